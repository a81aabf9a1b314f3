import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
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

const PACE = { baseMs: 15, maxMs: 30 };
/** 2026-11-21T20:00:00Z */
const COMPLETED_AT = 1_795_291_200;

const json = (res: ServerResponse, body: unknown, status = 200): void => {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

const item = (number: number): string =>
  JSON.stringify({
    id: `batch_req_${number}`,
    custom_id: `mine-${number}`,
    response: {
      status_code: 200,
      request_id: `req_${number}`,
      body: {
        id: `chatcmpl-${number}`,
        model: 'gpt-4o-mini-2024-07-18',
        service_tier: 'default',
        choices: [{ index: 0, message: { content: 'canary-reply' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 100 + number, completion_tokens: 10, total_tokens: 110 + number },
      },
    },
    error: null,
  });
const refused = (number: number): string =>
  JSON.stringify({
    id: `batch_req_${number}`,
    custom_id: `mine-${number}`,
    response: { status_code: 400, request_id: `req_${number}`, body: { error: { message: 'x' } } },
    error: null,
  });

interface Provider {
  items?: number;
  refusals?: number;
  /** Questions before the batch is over. */
  looks?: number;
  last?: object;
}

/** OpenAI's batch endpoints as far as they matter here. */
const batchProvider = (about: Provider) => {
  const { items = 450, refusals = 0, looks = 2 } = about;
  let looked = 0;
  const job = (status: string) => ({
    id: 'batch_abc',
    object: 'batch',
    endpoint: '/v1/chat/completions',
    status,
    ...(status === 'completed'
      ? {
          completed_at: COMPLETED_AT,
          output_file_id: 'file-out',
          error_file_id: refusals > 0 ? 'file-err' : null,
          usage: { input_tokens: 1, output_tokens: 1 },
          ...about.last,
        }
      : {}),
  });
  return (req: IncomingMessage, res: ServerResponse): void => {
    if (req.method === 'POST') {
      json(res, job('validating'));
      return;
    }
    if (req.url === '/v1/batches/batch_abc') {
      looked += 1;
      json(res, job(looked > looks ? 'completed' : 'in_progress'));
      return;
    }
    const failed = req.url === '/v1/files/file-err/content';
    const count = failed ? refusals : items;
    res.writeHead(200, { 'content-type': 'application/octet-stream' });
    for (let n = 1; n <= count; n += 1) res.write(`${failed ? refused(10_000 + n) : item(n)}\n`);
    res.end();
  };
};

const start = async (url: string, localLog: EventLog) => {
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: `${url}/v1` });
  await putKey(office);
  return startTestProxy({ office, localLog, followPace: PACE, stopTimeoutMs: 50 });
};

const CREATE = JSON.stringify({
  input_file_id: 'file-in',
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
});

/** Resolves when the job itself is settled, which comes last. */
const untilSettled = (log: EventLog): Promise<UsageEvent[]> =>
  until(async () => {
    const events = await readEvents(log);
    return events.some(({ supersedes }) => supersedes !== undefined) ? events : undefined;
  });

/** 100 + 1 … 100 + 450 */
const INPUT_OF_450 = 450 * 100 + (450 * 451) / 2;
const inputOf = (events: readonly UsageEvent[]): number =>
  events.reduce((sum, { classes }) => sum + Number(classes.input_uncached ?? '0'), 0);

test('case 24 · a batch that is polled fifty times is charged once, item by item, as of its completion', async () => {
  const provider = await startUpstream(batchProvider({ refusals: 3, looks: 25 }));
  const localLog = createMemoryEventLog('proxy-1');
  const { url } = await start(provider.url, localLog);
  expect((await call(`${url}/openai/v1/batches`, CREATE)).status).toBe(200);
  for (let look = 0; look < 50; look += 1) {
    await call(`${url}/openai/v1/batches/batch_abc`, null, { method: 'GET' });
  }
  await call(`${url}/openai/v1/files/file-out/content`, null, { method: 'GET' });
  const events = await untilSettled(localLog);
  const [job, ...rest] = events;
  expect(job).toMatchObject({ ending: 'pending', flavour: 'openai.batch' });
  const items = rest.filter(({ supersedes }) => supersedes === undefined);
  const done = items.filter(({ ending }) => ending === 'reported');
  expect(done).toHaveLength(450);
  expect(inputOf(done)).toBe(INPUT_OF_450);
  expect(items.filter(({ ending }) => ending === 'not_billed')).toHaveLength(3);
  expect(done[0]).toMatchObject({
    flavour: 'openai.chat',
    tier: 'batch',
    model: 'gpt-4o-mini-2024-07-18',
    event_ts: job?.event_ts,
    request_id: job?.request_id,
    dimensions: job?.dimensions,
    provider_completed_at: '2026-11-21T20:00:00.000Z',
    provider_request_id: 'req_1',
    raw_usage: '{"prompt_tokens":101,"completion_tokens":10,"total_tokens":111}',
  });
  expect(events.filter(({ supersedes }) => supersedes === job?.event_id)).toMatchObject([
    { ending: 'not_billed', classes: {} },
  ]);
  expect(new Set(events.map(({ event_id }) => event_id)).size).toBe(455);
  expect(new Set(items.map(({ attempt_id }) => attempt_id)).size).toBe(453);
  expect(JSON.stringify(events)).not.toContain('canary');
});

test('case 24 · a batch nobody asks about again is charged all the same', async () => {
  const provider = await startUpstream(batchProvider({ items: 3 }));
  const localLog = createMemoryEventLog('proxy-1');
  const { url } = await start(provider.url, localLog);
  await call(`${url}/openai/v1/batches`, CREATE);
  const events = await untilSettled(localLog);
  expect(events.map(({ ending }) => ending)).toEqual([
    'pending',
    'reported',
    'reported',
    'reported',
    'not_billed',
  ]);
});

/** A log that goes away at its nth append from the batch's acceptance on: nothing of that append or of later ones is there. */
const dyingLog = (log: EventLog, dieAt: number): { log: EventLog; died: () => boolean } => {
  let appends = 0;
  const dying = Object.create(log, {
    subscribe: { value: log.subscribe.bind(log) },
    read: { value: log.read.bind(log) },
    ranges: { value: log.ranges.bind(log) },
    committed: { value: log.committed.bind(log) },
    append: {
      value: (entries: Parameters<EventLog['append']>[0]) => {
        const accepts = entries.some(({ topic }) => topic === TOPICS.pendingOperations.name);
        if (accepts || appends > 0) appends += 1;
        const never = { stored: new Promise<never>(() => undefined) };
        return appends >= dieAt ? { ...never, durable: never.stored } : log.append(entries);
      },
    },
  }) as EventLog;
  return { log: dying, died: () => appends >= dieAt };
};

test.each([2, 3, 4, 5])(
  'case 24 · a proxy that dies before its append number %i of a batch loses no item and doubles none',
  async (dieAt) => {
    const provider = await startUpstream(batchProvider({ looks: 0 }));
    const log = createMemoryEventLog('proxy-1');
    // Of its own accord it is never closed: like a process that was killed, it just does nothing more.
    const dying = dyingLog(log, dieAt);
    const { url } = await start(provider.url, dying.log);
    await call(`${url}/openai/v1/batches`, CREATE);
    await until(() => dying.died() || undefined);
    // Appends: acceptance, three groups of items, the end. Before the nth there are these events.
    const before = [1, 201, 401, 451][dieAt - 2];
    expect(await readEvents(log)).toHaveLength(before ?? 0);
    await start(provider.url, log);
    const events = await untilSettled(log);
    expect(events).toHaveLength(452);
    expect(new Set(events.map(({ event_id }) => event_id)).size).toBe(452);
    expect(inputOf(events)).toBe(INPUT_OF_450);
  },
);

test('a batch that failed costs nothing; one that expired is charged for what was done', async () => {
  const failed = await startUpstream(
    batchProvider({ looks: 0, last: { status: 'failed', output_file_id: null } }),
  );
  const log = createMemoryEventLog('proxy-1');
  const first = await start(failed.url, log);
  await call(`${first.url}/openai/v1/batches`, CREATE);
  expect((await untilSettled(log)).map(({ ending }) => ending)).toEqual(['pending', 'not_billed']);
  const expired = await startUpstream(
    batchProvider({ items: 2, looks: 0, last: { status: 'expired' } }),
  );
  const other = createMemoryEventLog('proxy-2');
  const second = await start(expired.url, other);
  await call(`${second.url}/openai/v1/batches`, CREATE);
  expect((await untilSettled(other)).map(({ ending }) => ending)).toEqual([
    'pending',
    'reported',
    'reported',
    'not_billed',
  ]);
});

test('a line of results that cannot be read is an unknown item, not a free one', async () => {
  const good = batchProvider({ items: 1, looks: 0 });
  const provider = await startUpstream((req, res) => {
    if (!req.url?.endsWith('/content')) return good(req, res);
    res.writeHead(200).end(`${item(1)}\n{"custom_id": broken\n`);
  });
  const log = createMemoryEventLog('proxy-1');
  const { url } = await start(provider.url, log);
  await call(`${url}/openai/v1/batches`, CREATE);
  const events = await untilSettled(log);
  expect(events.map(({ ending }) => ending)).toEqual([
    'pending',
    'reported',
    'unknown',
    'not_billed',
  ]);
});

test("Anthropic's message batches: items by their results, errored and expired ones free", async () => {
  const result = (id: string, type: string, message?: object): string =>
    JSON.stringify({ custom_id: id, result: { type, ...(message ? { message } : {}) } });
  const message = {
    id: 'msg_1',
    type: 'message',
    model: 'claude-haiku-4-5-20251001',
    content: [{ type: 'text', text: 'canary-reply' }],
    stop_reason: 'end_turn',
    usage: {
      input_tokens: 70,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 30,
      output_tokens: 12,
      service_tier: 'batch',
    },
  };
  const job = { id: 'msgbatch_01', type: 'message_batch', processing_status: 'in_progress' };
  const provider = await startUpstream((req, res) => {
    if (req.method === 'POST') return json(res, job);
    if (req.headers['anthropic-version'] === undefined) return json(res, {}, 400);
    if (req.url === '/v1/messages/batches/msgbatch_01') {
      return json(res, {
        ...job,
        processing_status: 'ended',
        ended_at: '2026-11-21T20:00:00.123456Z',
        results_url: 'https://elsewhere.test/results',
      });
    }
    res.writeHead(200, { 'content-type': 'application/x-jsonl' });
    res.end(
      `${result('a', 'succeeded', message)}\n${result('b', 'errored')}\n${result('c', 'expired')}`,
    );
  });
  const office = createMemoryEventLog('office');
  await putUpstream(office, {
    id: 'anthropic',
    provider: 'anthropic',
    dialect: 'anthropic',
    base_url: provider.url,
  });
  await putKey(office);
  const localLog = createMemoryEventLog('proxy-1');
  const { url } = await startTestProxy({ office, localLog, followPace: PACE });
  await call(`${url}/anthropic/v1/messages/batches`, JSON.stringify({ requests: [] }));
  const events = await untilSettled(localLog);
  expect(provider.seen.at(-1)?.url).toBe('/v1/messages/batches/msgbatch_01/results');
  expect(events.map(({ ending }) => ending)).toEqual([
    'pending',
    'reported',
    'not_billed',
    'not_billed',
    'not_billed',
  ]);
  expect(events[1]).toMatchObject({
    flavour: 'anthropic.messages',
    tier: 'batch',
    provider_completed_at: '2026-11-21T20:00:00.123Z',
    classes: { input_uncached: '70', cache_read: '30', output_text: '12' },
  });
});

/** Results whose nth download is `downloads[n - 1]`; an array of lines breaks off after them, a number is a refusal. The last one stays. */
const resultsOf = (downloads: (string | string[] | number)[]) => {
  const jobs = batchProvider({ looks: 0 });
  let asked = 0;
  return (req: IncomingMessage, res: ServerResponse): void => {
    if (!req.url?.endsWith('/content')) {
      jobs(req, res);
      return;
    }
    const now = downloads[Math.min(asked, downloads.length - 1)] ?? 404;
    asked += 1;
    if (typeof now === 'number') {
      json(res, {}, now);
      return;
    }
    res.writeHead(200, { 'content-type': 'application/octet-stream' });
    if (typeof now === 'string') res.end(now);
    else res.write(now.join(''), () => setTimeout(() => res.socket?.destroy(), 20));
  };
};
const linesOf = (numbers: readonly number[]): string[] => numbers.map((n) => `${item(n)}\n`);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1);

/** Runs a batch with these downloads to its end. */
const runBatch = async (downloads: (string | string[] | number)[]): Promise<UsageEvent[]> => {
  const provider = await startUpstream(resultsOf(downloads));
  const log = createMemoryEventLog('proxy-1');
  const { url } = await start(provider.url, log);
  await call(`${url}/openai/v1/batches`, CREATE);
  return untilSettled(log);
};

test('case 24 · results that break off and come in another order the next time lose no item and double none', async () => {
  const backwards = linesOf(upTo(450).reverse());
  const events = await runBatch([
    // One group of 200 is written, with its marker; the file backwards has other lines there.
    linesOf(upTo(300)),
    backwards.slice(0, 320),
    linesOf(upTo(450).map((n) => ((n + 100) % 450) + 1)).join(''),
  ]);
  expect(events).toHaveLength(452);
  expect(new Set(events.map(({ event_id }) => event_id)).size).toBe(452);
  expect(inputOf(events)).toBe(INPUT_OF_450);
});

test('case 24 · results that are refused for a while are read when they are there', async () => {
  const events = await runBatch([404, 429, 500, 401, 404, linesOf(upTo(2)).join('')]);
  expect(events.map(({ ending }) => ending)).toEqual([
    'pending',
    'reported',
    'reported',
    'not_billed',
  ]);
});

test('results that are gone leave an unknown batch, not a free one', async () => {
  const events = await runBatch([410]);
  expect(events.map(({ ending }) => ending)).toEqual(['pending', 'unknown']);
});

test('the same custom_id twice is two items', async () => {
  const twice = item(2).replace('mine-2', 'mine-1');
  const events = await runBatch([`${item(1)}\n${twice}\n`]);
  const items = events.filter(({ ending }) => ending === 'reported');
  expect(items.map(({ classes }) => classes.input_uncached)).toEqual(['101', '102']);
  expect(new Set(events.map(({ event_id }) => event_id)).size).toBe(4);
  expect(new Set(items.map(({ attempt_id }) => attempt_id)).size).toBe(2);
});
