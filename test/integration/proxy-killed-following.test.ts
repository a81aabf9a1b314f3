import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import {
  openLmdbEventLog,
  openLmdbEventLogReader,
} from '../../services/platform/lmdb-event-log.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import type { ProxyHouse } from '../helpers/proxy-house.ts';
import { createProxyHouse, runProxy } from '../helpers/proxy-house.ts';
import { call, readAll, readEvents, startUpstream, until } from './proxy-harness.ts';

const CHILD = new URL('../helpers/killed-proxy-process.ts', import.meta.url);
const ASK_MS = '25';
const ITEMS = 450;
/** 100 + 1 … 100 + 450 */
const INPUT = ITEMS * 100 + (ITEMS * (ITEMS + 1)) / 2;
/** Accepted, 450 items, the job. */
const BATCH_EVENTS = ITEMS + 2;

const itemLine = (number: number): string => {
  const usage = {
    prompt_tokens: 100 + number,
    completion_tokens: 10,
    total_tokens: 110 + number,
  };
  const body = { id: `chatcmpl-${number}`, model: 'gpt-4o-mini-2024-07-18', choices: [], usage };
  const response = { status_code: 200, request_id: `req_${number}`, body };
  return `${JSON.stringify({ custom_id: `mine-${number}`, response, error: null })}\n`;
};
const RESULTS = Array.from({ length: ITEMS }, (_, n) => itemLine(n + 1));
const JOB = { id: 'batch_abc', object: 'batch', endpoint: '/v1/chat/completions' };
const RESPONSE = {
  id: 'resp_0a1b2c',
  object: 'response',
  model: 'gpt-4.1-mini-2025-04-14',
  output: [],
};
const USAGE = { input_tokens: 120, output_tokens: 30, total_tokens: 150 };

/** Batches and background responses that are done when they are first looked at; `stalls`: the first download stops after 300 lines. */
const startProvider = (stalls = false) => {
  let downloads = 0;
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    const json = (body: object): void =>
      void res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const isBatch = req.url?.startsWith('/v1/batches') === true;
    if (req.method === 'POST') {
      json(isBatch ? { ...JOB, status: 'validating' } : { ...RESPONSE, status: 'queued' });
    } else if (isBatch) {
      const completed_at = Math.floor(Date.now() / 1000);
      json({ ...JOB, status: 'completed', completed_at, output_file_id: 'file-out' });
    } else if (req.url?.endsWith('/content')) {
      downloads += 1;
      const stalled = stalls && downloads === 1;
      res.writeHead(200, { 'content-type': 'application/octet-stream' });
      res.write(RESULTS.slice(0, stalled ? 300 : ITEMS).join(''));
      if (!stalled) res.end();
    } else json({ ...RESPONSE, status: 'completed', usage: USAGE });
  };
  return startUpstream(answer);
};

const startChild = async (house: ProxyHouse, point: string, nth: number) => {
  const args = [house.dataDir, point, `${nth}`, ASK_MS];
  const child: ChildProcess = fork(CHILD, args, { execArgv: [] });
  const exited = once(child, 'exit');
  onTestFinished(() => void child.kill('SIGKILL'));
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { child, url, exited };
};

const readerOf = async (house: ProxyHouse): Promise<EventLog> => {
  const offsets = createMemoryEventLog('offsets');
  const log = await openLmdbEventLogReader({
    directory: house.logDirectory,
    name: 'proxy-1',
    offsets,
  });
  onTestFinished(() => log.close());
  return log;
};

/** Resolves when the fact that supersedes the accepted one is there. */
const untilSettled = async (house: ProxyHouse): Promise<void> => {
  const log = await readerOf(house);
  await until(async () => {
    const events = await readEvents(log);
    return events.some(({ supersedes }) => supersedes !== undefined) || undefined;
  });
  await log.close();
};

/** What the log holds when nobody writes to it any more, and which work is still pending in it. */
const leftBehind = async (
  house: ProxyHouse,
): Promise<{ events: UsageEvent[]; pending: string[] }> => {
  const log = await openLmdbEventLog({ directory: house.logDirectory, name: 'proxy-1' });
  try {
    await log.compact(TOPICS.pendingOperations.name);
    const left = await readAll(log, TOPICS.pendingOperations.name);
    const pending = left.filter(({ value }) => value !== null).map(({ key }) => key);
    return { events: await readEvents(log), pending };
  } finally {
    await log.close();
  }
};

/** A proxy starts over what the killed one left, follows it to its end and is killed as well. */
const afterRestart = async (house: ProxyHouse) => {
  const again = await startChild(house, 'never', 1);
  await untilSettled(house);
  again.child.kill('SIGKILL');
  await again.exited;
  return leftBehind(house);
};

const expectOnce = ({ events, pending }: Awaited<ReturnType<typeof leftBehind>>): void => {
  expect(pending).toEqual([]);
  expect(events).toHaveLength(BATCH_EVENTS);
  expect(new Set(events.map(({ event_id }) => event_id)).size).toBe(BATCH_EVENTS);
  const input = events.reduce((sum, { classes }) => sum + Number(classes.input_uncached ?? '0'), 0);
  expect(input).toBe(INPUT);
  expect(events.filter(({ supersedes }) => supersedes !== undefined)).toHaveLength(1);
};

// Append 1 is the accepted batch. Its results are more than one read of a socket, so 2 and 3 are groups of items; 4 is the job, or a group.
test.each([
  ['stored', 2],
  ['before', 3],
  ['durable', 3],
  ['before', 4],
  ['stored', 4],
])(
  'case 24 · a proxy killed at "%s" of its append %i while it reads a batch: each item once, settled once',
  {
    timeout: 60_000,
  },
  async (point, nth) => {
    const provider = await startProvider();
    const house = await createProxyHouse(`${provider.url}/v1`);
    const doomed = await startChild(house, point, nth);
    expect((await call(`${doomed.url}/openai/v1/batches`, '{"input_file_id":"file-in"}')).cut).toBe(
      false,
    );
    expect((await doomed.exited)[1]).toBe('SIGKILL');
    expectOnce(await afterRestart(house));
  },
);

test.each(['before', 'stored', 'durable'])(
  'case 23 · a proxy killed at "%s" of the append that settles a background response: settled once',
  { timeout: 60_000 },
  async (point) => {
    const provider = await startProvider();
    const house = await createProxyHouse(`${provider.url}/v1`);
    const doomed = await startChild(house, point, 2);
    const body = '{"model":"gpt-4.1-mini","input":"x","background":true}';
    expect((await call(`${doomed.url}/openai/v1/responses`, body)).status).toBe(200);
    expect((await doomed.exited)[1]).toBe('SIGKILL');
    const { events, pending } = await afterRestart(house);
    expect(pending).toEqual([]);
    expect(events.map(({ ending }) => ending)).toEqual(['pending', 'reported']);
    expect(events[1]).toMatchObject({ supersedes: events[0]?.event_id });
  },
);

test('case 24 · `reckoner serve proxy` killed with -9 while the results stream: each item once, settled once', {
  timeout: 60_000,
}, async () => {
  const provider = await startProvider(true);
  const house = await createProxyHouse(`${provider.url}/v1`);
  const first = await runProxy(house);
  await call(`${first.url}/openai/v1/batches`, '{"input_file_id":"file-in"}');
  const log = await readerOf(house);
  // The first group is written; the provider has sent 300 lines and goes silent.
  await until(async () => (await readEvents(log)).length > 1 || undefined);
  await log.close();
  first.child.kill('SIGKILL');
  await first.ended;
  const { events, pending } = await leftBehind(house);
  expect(pending).toHaveLength(1);
  expect(events.length).toBeGreaterThan(200);
  expect(events.length).toBeLessThan(BATCH_EVENTS);
  const second = await runProxy(house);
  await untilSettled(house);
  second.child.kill('SIGTERM');
  expect(await second.ended).toBe(0);
  expectOnce(await leftBehind(house));
});
