import type { Socket } from 'node:net';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  putKey,
  putUpstream,
  startTestProxy,
  startUpstream,
  until,
  untilEvents,
} from './proxy-harness.ts';

/** A proxy in front of one upstream of the test's own making. */
export const house = async (
  answer: Parameters<typeof startUpstream>[0],
  upstream: object = {},
  config = {},
) => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream(answer);
  await putUpstream(office, { base_url: provider.url, ...upstream });
  await putKey(office);
  const running = await startTestProxy({ office, proxyConfig: config });
  return { office, provider, ...running };
};

/** Calls and leaves as soon as the first bytes of the answer are there. */
export const callAndLeave = async (url: string, body: string): Promise<void> => {
  const left = new Promise<void>((resolve) => {
    call(url, body, {
      onSocket: (socket: Socket) => {
        socket.once('data', () => {
          socket.destroy();
          resolve();
        });
      },
    }).catch(() => undefined);
  });
  await left;
};

/** Calls; the client hangs up when told. */
export const callToLeave = (url: string, body: string): (() => void) => {
  let socket: Socket | undefined;
  call(url, body, {
    onSocket: (made) => {
      socket = made;
    },
  }).catch(() => undefined);
  return () => socket?.destroy();
};

export const untilMetric = (url: string, line: string): Promise<true> =>
  until(async () => {
    const reply = await call(`${url}/metrics`, null, { method: 'GET' });
    return reply.body.toString().includes(line) || undefined;
  });

/** Waits for the one event there is to be. */
export const oneEvent = async (localLog: EventLog): Promise<UsageEvent | undefined> =>
  (await untilEvents(localLog, 1))[0];

/** Bytes of streams, whose every one the tests decide. */
export const STREAM = { 'content-type': 'text/event-stream' };
export const sse = (json: string): string => `data: ${json}\n\n`;

/** A chat that is answered in a stream: three words, then what they cost. */
export const chatOf = (content: string): string =>
  JSON.stringify({
    model: 'gpt-4o',
    stream: true,
    max_tokens: 500,
    messages: [{ role: 'user', content }],
  });
export const FIRST = sse(
  '{"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"one two three"}}],"usage":null}',
);
export const USAGE = '{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}';
export const LAST = `${sse(`{"model":"gpt-4o","choices":[],"usage":${USAGE}}`)}data: [DONE]\n\n`;

/** An upstream of Anthropic's dialect, and a call to it. */
export const ANTHROPIC = {
  id: 'anthropic',
  provider: 'anthropic',
  dialect: 'anthropic',
  models: ['claude-*'],
};
export const MESSAGES = JSON.stringify({
  model: 'claude-sonnet-4-5',
  stream: true,
  max_tokens: 9000,
  messages: [{ role: 'user', content: 'count the boats' }],
});
