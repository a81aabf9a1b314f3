import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  putKey,
  putUpstream,
  readAll,
  readEvents,
  startTestProxy,
  startUpstream,
  until,
  untilEvents,
} from './proxy-harness.ts';

const PACE = { baseMs: 20, maxMs: 40 };
const ID = 'resp_0a1b2c';
const response = (status: string, more: object = {}): string =>
  JSON.stringify({
    id: ID,
    object: 'response',
    status,
    model: 'gpt-4.1-mini-2025-04-14',
    service_tier: 'default',
    output: [],
    ...more,
  });
/** 2026-11-21T20:00:00Z */
const COMPLETED_AT = 1_795_291_200;
const DONE = response('completed', {
  completed_at: COMPLETED_AT,
  usage: {
    input_tokens: 120,
    input_tokens_details: { cached_tokens: 20 },
    output_tokens: 30,
    output_tokens_details: { reasoning_tokens: 10 },
    total_tokens: 150,
  },
});
const CLASSES = {
  input_uncached: '100',
  cache_read: '20',
  output_text: '20',
  output_reasoning: '10',
};
const ask = (more: object = {}): string =>
  JSON.stringify({ model: 'gpt-4.1-mini', input: 'canary-prompt', background: true, ...more });

const json = (res: ServerResponse, body: string, status = 200): void => {
  res.writeHead(status, { 'content-type': 'application/json' }).end(body);
};

/** An upstream that takes work on and answers each look at it with the next of `looks`; the last one stays. */
const house = async (
  accepted: string,
  looks: (string | number)[],
  over: { localLog?: EventLog; upstream?: object; followPace?: typeof PACE } = {},
) => {
  const office = createMemoryEventLog('office');
  let look = 0;
  const provider = await startUpstream((req, res) => {
    if (req.method === 'POST') return json(res, accepted);
    const now = looks[Math.min(look, looks.length - 1)];
    look += 1;
    if (typeof now === 'number') json(res, '{"error":{}}', now);
    else json(res, now ?? '');
  });
  await putUpstream(office, { base_url: `${provider.url}/v1`, ...over.upstream });
  await putKey(office);
  const running = await startTestProxy({
    office,
    followPace: over.followPace ?? PACE,
    ...(over.localLog ? { localLog: over.localLog } : {}),
  });
  return { office, provider, ...running };
};

/** What is left of the log of pending work when tombstones are taken into account. */
const stillPending = async (log: EventLog): Promise<string[]> => {
  await log.compact(TOPICS.pendingOperations.name);
  const entries = await readAll(log, TOPICS.pendingOperations.name);
  return entries.filter(({ value }) => value !== null).map(({ key }) => key);
};

test('case 23 · a background response nobody looks at again is charged once, when it is completed', async () => {
  const { url, localLog, metrics, provider } = await house(response('queued'), [
    response('in_progress'),
    503,
    DONE,
  ]);
  expect((await call(`${url}/openai/v1/responses`, ask())).status).toBe(200);
  const [pending, settled] = await untilEvents(localLog, 2);
  expect(pending).toMatchObject({ ending: 'pending', classes: {}, sequence: 1 });
  expect(settled).toMatchObject({
    ending: 'reported',
    supersedes: pending?.event_id,
    attempt_id: pending?.attempt_id,
    request_id: pending?.request_id,
    event_ts: pending?.event_ts,
    dimensions: pending?.dimensions,
    provider_completed_at: '2026-11-21T20:00:00.000Z',
    model: 'gpt-4.1-mini-2025-04-14',
    finish_reason: 'completed',
    classes: CLASSES,
    sequence: 2,
  });
  expect(settled?.event_id).not.toBe(pending?.event_id);
  const looked = provider.seen.filter(({ method }) => method === 'GET');
  expect(looked.map(({ url: path }) => path)).toEqual(Array(3).fill(`/v1/responses/${ID}`));
  expect(looked[0]?.headers.authorization).toBe('Bearer upstream-secret');
  expect(await stillPending(localLog)).toEqual([]);
  expect(await metrics.render()).toMatch(
    /proxy_operations_total\{.*operation="response".*outcome="reported".*\} 1/,
  );
});

test.each([
  ['of OpenAI', ID],
  ['of a host whose ids say nothing', '7f1c9e52-2d63-4a58-9a3f-0c1f2e3d4b5a'],
])(
  'case 23 · fifty looks of the client at a background response %s add no charge',
  async (_whose, id) => {
    const named = (body: string): string => body.replace(ID, id);
    const { url, localLog } = await house(named(response('queued')), [
      ...Array<string>(30).fill(named(response('in_progress'))),
      named(DONE),
    ]);
    await call(`${url}/openai/v1/responses`, ask());
    const path = `${url}/openai/v1/responses/${id}`;
    for (let look = 0; look < 50; look += 1) {
      expect((await call(path, null, { method: 'GET' })).status).toBe(200);
    }
    await untilEvents(localLog, 2);
    await call(path, null, { method: 'GET' });
    const events = await readEvents(localLog);
    expect(events.map(({ ending }) => ending)).toEqual(['pending', 'reported']);
  },
);

test('a proxy that is started again takes up what the one before it had taken on', async () => {
  const localLog = createMemoryEventLog('proxy-1');
  const first = await house(response('queued'), [response('queued')], { localLog });
  await call(`${first.url}/openai/v1/responses`, ask());
  await first.proxy.close();
  expect(await stillPending(localLog)).toHaveLength(1);
  await house(response('queued'), [DONE], { localLog });
  const events = await untilEvents(localLog, 2);
  expect(events.map(({ ending }) => ending).sort()).toEqual(['pending', 'reported']);
  expect(new Set(events.map(({ boot_id }) => boot_id)).size).toBe(2);
  expect(await stillPending(localLog)).toEqual([]);
});

test.each([
  ['failed without usage costs nothing', response('failed'), 'not_billed', {}],
  ['cancelled without usage costs nothing', response('cancelled'), 'not_billed', {}],
  ['completed without usage is unknown, not free', response('completed'), 'unknown', {}],
  [
    'cancelled with usage is charged as stated',
    DONE.replace('"completed"', '"cancelled"'),
    'reported',
    CLASSES,
  ],
])('background work that %s', async (_name, last, ending, classes) => {
  const { url, localLog } = await house(response('queued'), [last]);
  await call(`${url}/openai/v1/responses`, ask());
  const [, settled] = await untilEvents(localLog, 2);
  expect(settled).toMatchObject({ ending, classes });
});

test('work the provider knows nothing of any more ends unknown, with an alarm', async () => {
  const { url, localLog, metrics } = await house(response('queued'), [404]);
  await call(`${url}/openai/v1/responses`, ask());
  const [, settled] = await untilEvents(localLog, 2);
  expect(settled).toMatchObject({ ending: 'unknown', classes: {} });
  expect(settled?.provider_completed_at).toBeUndefined();
  expect(await metrics.render()).toMatch(/outcome="given_up".*\} 1/);
  expect(await stillPending(localLog)).toEqual([]);
});

test('case 23 · work that is not found at first, or now and then, or cannot be asked about, is followed on', async () => {
  const { url, localLog } = await house(
    response('queued'),
    [404, 404, 404, 401, 403, response('in_progress'), 404, 429, 500, 404, 404, DONE],
    { followPace: { baseMs: 2, maxMs: 2_000 } },
  );
  await call(`${url}/openai/v1/responses`, ask());
  const [, settled] = await untilEvents(localLog, 2);
  expect(settled).toMatchObject({ ending: 'reported', classes: CLASSES });
});

test('nothing of the prompt is in the record of pending work', async () => {
  const { url, localLog } = await house(response('queued'), [response('queued')]);
  await call(`${url}/openai/v1/responses`, ask());
  await untilEvents(localLog, 1);
  const [entry] = await readAll(localLog, TOPICS.pendingOperations.name);
  expect(Buffer.from(entry?.value ?? []).toString()).toContain(ID);
  expect(Buffer.from(entry?.value ?? []).toString()).not.toContain('canary');
});

const CREATED = `event: response.created\ndata: {"type":"response.created","response":${response('in_progress')}}\n\n`;
const DELTA =
  'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"one two three"}\n\n';

/** An upstream whose streams break after some text, and that says afterwards what they came to. */
const brokenStreams = async (look: () => string, upstream: object = {}) => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((req, res) => {
    if (req.method === 'GET') return json(res, look());
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(CREATED + DELTA, () => res.socket?.destroy());
  });
  await putUpstream(office, { base_url: `${provider.url}/v1`, ...upstream });
  await putKey(office);
  const running = await startTestProxy({ office, followPace: PACE });
  return { provider, ...running };
};

test('an estimate of a stream that broke is corrected by what the provider says later', async () => {
  const { url, localLog } = await brokenStreams(() => DONE);
  const body = JSON.stringify({ model: 'gpt-4.1-mini', input: 'hello', stream: true });
  expect((await call(`${url}/openai/v1/responses`, body)).cut).toBe(true);
  const [estimate, corrected] = await untilEvents(localLog, 2);
  expect(estimate).toMatchObject({ ending: 'estimated', error_kind: 'cut' });
  expect(corrected).toMatchObject({
    ending: 'reported',
    error_kind: 'cut',
    supersedes: estimate?.event_id,
    classes: CLASSES,
  });
  expect(corrected?.estimate).toBeUndefined();
  // It was a call of its own time: what it costs is decided when it was made.
  expect(corrected?.provider_completed_at).toBeUndefined();
});

test('an estimate stands when the provider never states usage, and it is asked only so often', async () => {
  const { url, localLog, provider } = await brokenStreams(() => response('incomplete'));
  const body = JSON.stringify({ model: 'gpt-4.1-mini', input: 'hello', stream: true });
  await call(`${url}/openai/v1/responses`, body);
  await until(async () => ((await stillPending(localLog)).length === 0 ? true : undefined));
  expect((await readEvents(localLog)).map(({ ending }) => ending)).toEqual(['estimated']);
  expect(provider.seen.filter(({ method }) => method === 'GET')).toHaveLength(6);
});

test('a reply the caller forbade to keep is not asked for', async () => {
  const { url, localLog } = await brokenStreams(() => DONE);
  const body = JSON.stringify({ model: 'gpt-4.1-mini', input: 'x', stream: true, store: false });
  await call(`${url}/openai/v1/responses`, body);
  await untilEvents(localLog, 1);
  expect(await readAll(localLog, TOPICS.pendingOperations.name)).toEqual([]);
});

test('a stream the client left and the policy cancelled is corrected as drained', async () => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((req, res) => {
    if (req.method === 'GET') return json(res, DONE);
    res.writeHead(200, { 'content-type': 'text/event-stream' }).write(CREATED + DELTA);
  });
  await putUpstream(office, { base_url: `${provider.url}/v1`, disconnect: 'cancel' });
  await putKey(office);
  const { url, localLog } = await startTestProxy({ office, followPace: PACE });
  const body = JSON.stringify({ model: 'gpt-4.1-mini', input: 'hello', stream: true });
  call(`${url}/openai/v1/responses`, body, {
    onSocket: (socket: Socket) => void socket.once('data', () => socket.destroy()),
  }).catch(() => undefined);
  const events = await untilEvents(localLog, 2);
  expect(events.map(({ ending }) => ending)).toEqual(['estimated', 'drained']);
  expect(events[1]).toMatchObject({ error_kind: 'client_left', classes: CLASSES });
});

test('a broken stream of OpenRouter is corrected by its record of the generation', async () => {
  const office = createMemoryEventLog('office');
  const record = {
    data: {
      id: 'gen-1763-abc',
      model: 'openai/gpt-4o',
      native_tokens_prompt: 90,
      native_tokens_completion: 40,
      native_tokens_reasoning: 0,
      native_tokens_cached: 10,
      total_cost: 0.000625,
      cancelled: true,
    },
  };
  const provider = await startUpstream((req, res) => {
    if (req.method === 'GET') return json(res, JSON.stringify(record));
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const chunk = {
      id: 'gen-1763-abc',
      model: 'openai/gpt-4o',
      choices: [{ index: 0, delta: { content: 'one two' } }],
    };
    res.write(`data: ${JSON.stringify(chunk)}\n\n`, () => res.socket?.destroy());
  });
  await putUpstream(office, {
    base_url: `${provider.url}/api/v1`,
    provider: 'openrouter',
    stream_usage: 'as_is',
  });
  await putKey(office);
  const { url, localLog } = await startTestProxy({ office, followPace: PACE });
  const body = { model: 'openai/gpt-4o', stream: true, messages: [{ role: 'user', content: 'x' }] };
  await call(`${url}/openai/v1/chat/completions`, JSON.stringify(body));
  const [, corrected] = await untilEvents(localLog, 2);
  expect(provider.seen.at(-1)?.url).toBe('/api/v1/generation?id=gen-1763-abc');
  expect(corrected).toMatchObject({
    ending: 'reported',
    classes: { input_uncached: '80', cache_read: '10', output_text: '40', output_reasoning: '0' },
    raw_usage:
      '{"native_tokens_prompt":90,"native_tokens_completion":40,"native_tokens_reasoning":0,"native_tokens_cached":10,"total_cost":0.000625,"cancelled":true}',
  });
});
