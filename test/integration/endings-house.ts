import type { Socket } from 'node:net';
import { expect } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
  until,
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

/** Waits until there are so many events; fails when there are more. */
export const untilEvents = async (localLog: Parameters<typeof readEvents>[0], count: number) => {
  const events = await until(async () => {
    const found = await readEvents(localLog);
    return found.length >= count ? found : undefined;
  });
  expect(events).toHaveLength(count);
  return events;
};

export const oneEvent = async (localLog: Parameters<typeof readEvents>[0]) =>
  (await untilEvents(localLog, 1))[0];
