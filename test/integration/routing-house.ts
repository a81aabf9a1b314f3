import { createServer } from 'node:http';
import { onTestFinished } from 'vitest';
import { RouteSchema } from '../../schemas/control-record.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import type { Sandbox } from '../../services/sandbox/main.ts';
import { startSandbox } from '../../services/sandbox/main.ts';
import {
  call,
  putKey,
  putRecord,
  putUpstream,
  readEvents,
  startTestProxy,
  type startUpstream,
} from './proxy-harness.ts';

/** A pretend provider that ends with the test. */
export const openSandbox = async (): Promise<Sandbox> => {
  const sandbox = await startSandbox();
  onTestFinished(() => sandbox.close());
  return sandbox;
};

/** An address where nobody listens. */
export const closedAddress = async (): Promise<string> => {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return `http://127.0.0.1:${port}/v1`;
};

/** A proxy with the upstreams by id, and one route `r` over them for `gpt-*`. */
export const routedHouse = async (
  upstreams: Record<string, object>,
  route: object,
  over: { key?: Record<string, unknown>; resolveSecret?: (r: object) => string } = {},
) => {
  const office = createMemoryEventLog('office');
  for (const [id, upstream] of Object.entries(upstreams)) {
    await putUpstream(office, { id, models: [], ...upstream });
  }
  const body = RouteSchema.parse({ id: 'r', models: ['gpt-*'], ...route });
  await putRecord(office, { kind: 'route', body });
  await putKey(office, over.key);
  const { resolveSecret } = over;
  const proxy = await startTestProxy({ office, ...(resolveSecret ? { resolveSecret } : {}) });
  return { ...proxy, events: () => readEvents(proxy.localLog) };
};

/** A completion of ten tokens. */
export const REPLY =
  '{"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}';

/** Answers every call with a status; 200 with usage. */
export const always =
  (status: number, headers: Record<string, string> = {}): Parameters<typeof startUpstream>[0] =>
  (_req, res) => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(status === 200 ? REPLY : `{"error":{"code":${status}}}`);
  };

/** Targets of one step, each with a weight of one. */
export const step = (...ids: string[]) => ({ targets: ids.map((upstream) => ({ upstream })) });

/** A chat completion whose prompt tells the sandbox what to do. */
export const chat = (directive = '', rest: object = {}): string =>
  JSON.stringify({
    model: 'gpt-4o-mini',
    messages: [{ role: 'user', content: directive === '' ? 'Hi' : `[[sandbox ${directive}]]` }],
    ...rest,
  });

export const ask = (url: string, body: string, path = '/v1/chat/completions') =>
  call(`${url}${path}`, body);

/** What an attempt was, in short: `primary a 429 not_billed`. */
export const inShort = (event: UsageEvent): string =>
  `${event.attempt_role} ${event.upstream} ${event.http_status ?? event.error_kind} ${event.ending}`;
