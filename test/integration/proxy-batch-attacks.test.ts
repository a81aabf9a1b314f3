import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
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
const CREATE = JSON.stringify({
  input_file_id: 'file-in',
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
});

const json = (res: ServerResponse, body: unknown, status = 200): ServerResponse =>
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

const line = (number: number): string =>
  JSON.stringify({
    id: `batch_req_${number}`,
    custom_id: `mine-${number}`,
    response: {
      status_code: 200,
      request_id: `req_${number}`,
      body: {
        id: `chatcmpl-${number}`,
        model: 'gpt-4o-mini-2024-07-18',
        choices: [{ index: 0, message: { content: 'canary-reply' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 },
      },
    },
    error: null,
  });

const RESULTS = `${[1, 2, 3].map(line).join('\n')}\n`;

/** A batch of three whose state is what `looks` says: the first answer, the second …, the last from then on. Null: 404. */
const provider = (looks: readonly (object | null)[], results = RESULTS) => {
  let looked = 0;
  return (req: IncomingMessage, res: ServerResponse): ServerResponse => {
    const job = { id: 'batch_abc1234', object: 'batch', endpoint: '/v1/chat/completions' };
    if (req.method === 'POST') return json(res, { ...job, status: 'validating' });
    if (req.url?.endsWith('/content')) return res.writeHead(200).end(results);
    const look = looks[Math.min(looked, looks.length - 1)];
    looked += 1;
    if (look) return json(res, { ...job, ...look });
    return json(res, { error: { message: 'x' } }, 404);
  };
};

const DONE = {
  status: 'completed',
  completed_at: COMPLETED_AT,
  output_file_id: 'file-out',
  error_file_id: null,
  request_counts: { total: 3, completed: 3, failed: 0 },
};

const start = async (url: string, localLog: EventLog) => {
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: `${url}/v1` });
  await putKey(office);
  return startTestProxy({ office, localLog, followPace: PACE, stopTimeoutMs: 50 });
};

const untilSettled = (log: EventLog): Promise<UsageEvent[]> =>
  until(async () => {
    const events = await readEvents(log);
    return events.some(({ supersedes }) => supersedes !== undefined) ? events : undefined;
  });

const outputOf = (events: readonly UsageEvent[]): number =>
  events.reduce((sum, { classes }) => sum + Number(classes.output_text ?? '0'), 0);

const runBatch = async (looks: readonly (object | null)[], results?: string) => {
  const upstream = await startUpstream(provider(looks, results));
  const localLog = createMemoryEventLog('proxy-1');
  const { url } = await start(upstream.url, localLog);
  await call(`${url}/openai/v1/batches`, CREATE);
  return untilSettled(localLog);
};

test('case 24 · a batch that says it is completed before it names its results is not free: it is asked again', async () => {
  const events = await runBatch([{ ...DONE, output_file_id: null }, DONE]);
  // three items with 10 tokens of output each
  expect(outputOf(events)).toBe(30);
});

test('case 24 · one 404 among many answers does not give a batch up', async () => {
  const going = { status: 'in_progress' };
  const events = await runBatch([going, going, going, going, null, going, DONE]);
  expect(outputOf(events)).toBe(30);
});

test('case 24 · results with a byte order mark, empty lines and CRLF are three items', async () => {
  const results = `\ufeff${[1, 2, 3].map(line).join('\r\n\r\n')}`;
  const events = await runBatch([DONE], results);
  expect(events.filter(({ ending }) => ending === 'reported')).toHaveLength(3);
  expect(outputOf(events)).toBe(30);
});

test('case 24 · two lines under one custom_id are two items', async () => {
  const results = `${[line(1), line(2), line(3).replace('mine-3', 'mine-1')].join('\n')}\n`;
  const events = await runBatch([DONE], results);
  const ids = new Set(events.map(({ event_id }) => event_id));
  expect(ids.size).toBe(events.length);
});

test('case 24 · a caller that fetches the results of its batch and deletes them at once is charged', async () => {
  let isThere = true;
  const answer = provider([DONE]);
  const upstream = await startUpstream((req, res) => {
    if (req.method === 'DELETE') {
      isThere = false;
      return json(res, { id: 'file-out1234', deleted: true });
    }
    if (req.url?.endsWith('/content') && !isThere) return json(res, { error: {} }, 404);
    return answer(req, res);
  });
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: `${upstream.url}/v1` });
  await putKey(office);
  const { url, localLog } = await startTestProxy({
    office,
    followPace: { baseMs: 200, maxMs: 300 },
    stopTimeoutMs: 50,
  });
  await call(`${url}/openai/v1/batches`, CREATE);
  await call(`${url}/openai/v1/batches/batch_abc1234`, null, { method: 'GET' });
  await call(`${url}/openai/v1/files/file-out1234/content`, null, { method: 'GET' });
  await call(`${url}/openai/v1/files/file-out1234`, null, { method: 'DELETE' });
  expect(outputOf(await untilSettled(localLog))).toBe(30);
});
