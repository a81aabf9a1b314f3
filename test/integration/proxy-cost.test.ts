import { createHash } from 'node:crypto';
import { connect } from 'node:http2';
import { describe, expect, onTestFinished, test } from 'vitest';
import { addAmounts } from '../../pricing/money.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { rateBatch } from '../../services/rater/core/rate-batch.ts';
import type { Heard } from './proxy-cost-rig.ts';
import { ask, BOOKS, COST, COST_OF_REPLY, houseOf, STREAM, TRAILERS } from './proxy-cost-rig.ts';
import { KEY, readEvents, startUpstream, until, untilEvents } from './proxy-harness.ts';
import { always, chat, inShort, openSandbox, REPLY, step } from './routing-house.ts';

/** What the rater makes of a request's events, in one sum; undefined where it leaves one of them unrated. */
const ratedTotal = async (log: EventLog, requestId: unknown): Promise<string | undefined> => {
  const events = (await readEvents(log)).filter((event) => event.request_id === requestId);
  const { envelopes } = rateBatch(events, BOOKS, BOOKS.newestKnownFrom);
  const totals = envelopes.map(({ rated }) => rated.total_usd);
  expect(totals).not.toHaveLength(0);
  return totals.every((total) => total !== undefined) ? addAmounts(totals) : undefined;
};

/** The same over HTTP/2. */
const askHttp2 = (url: string, body: string): Promise<Omit<Heard, 'status'>> => {
  const session = connect(url);
  onTestFinished(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': '/a/v1/chat/completions',
    authorization: `Bearer ${KEY}`,
    'content-type': 'application/json',
  });
  stream.end(body);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const heard = { headers: {}, trailers: {} as NodeJS.Dict<string>, body: Buffer.alloc(0) };
    stream.on('response', (headers) => Object.assign(heard, { headers }));
    stream.on('trailers', (trailers) => Object.assign(heard, { trailers }));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => resolve({ ...heard, body: Buffer.concat(chunks) }));
  });
};

describe('case 86 · the cost an answer states is the cost in the ledger', () => {
  test('case 86 · of a body of JSON, in its head, to the last digit', async () => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({ a: { base_url: provider.url } });
    const heard = await ask(house.url, chat());
    expect(heard.headers[COST]).toBe(COST_OF_REPLY);
    expect(heard.headers[COST]).toBe(
      await ratedTotal(house.localLog, heard.headers['x-reckoner-request-id']),
    );
    expect(heard.body.toString()).toBe(REPLY);
    expect(heard.headers.trailer).toBeUndefined();
  });

  test('case 86 · of a body of JSON that comes in many pieces, bytes and length as they came', async () => {
    const provider = await startUpstream((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': REPLY.length });
      const pieces = REPLY.match(/.{1,20}/g) ?? [];
      const next = (): void => {
        const piece = pieces.shift();
        if (piece === undefined) return void res.end();
        res.write(piece);
        setTimeout(next, 2);
      };
      next();
    });
    const house = await houseOf({ a: { base_url: provider.url } });
    const heard = await ask(house.url, chat(), { headers: TRAILERS });
    expect(heard.headers[COST]).toBe(COST_OF_REPLY);
    expect(heard.headers['content-length']).toBe(String(REPLY.length));
    expect(heard.body.toString()).toBe(REPLY);
  });

  test('case 86 · of a stream, as a trailer behind it where the client takes trailers', async () => {
    const sandbox = await openSandbox();
    const house = await houseOf({ a: { base_url: sandbox.openaiUrl } });
    const heard = await ask(house.url, STREAM, { headers: TRAILERS });
    // 70 x 0.00000015 + 7 x 0.0000006 = 0.0000105 + 0.0000042
    expect(heard.trailers[COST]).toBe('0.0000147');
    expect(heard.trailers[COST]).toBe(
      await ratedTotal(house.localLog, heard.headers['x-reckoner-request-id']),
    );
    expect(heard.headers.trailer).toBe(COST);
    expect(heard.headers[COST]).toBeUndefined();
  });

  test('case 86 · of a stream whose client takes no trailers, nowhere: the framing is as ever', async () => {
    const sandbox = await openSandbox();
    const house = await houseOf({ a: { base_url: sandbox.openaiUrl } });
    const heard = await ask(house.url, STREAM);
    expect([heard.headers.trailer, heard.headers[COST], heard.trailers]).toEqual([
      undefined,
      undefined,
      {},
    ]);
  });

  test('case 86 · of a body too long to wait for, as a trailer; without trailers its length stays', async () => {
    const long = JSON.stringify({ ...JSON.parse(REPLY), padding: 'x'.repeat(300_000) });
    const provider = await startUpstream((_req, res) => {
      res.writeHead(200, {
        'content-type': 'application/json',
        'content-length': long.length,
      });
      res.end(long);
    });
    const house = await houseOf({ a: { base_url: provider.url } });
    const told = await ask(house.url, chat(), { headers: TRAILERS });
    expect([told.headers[COST], told.trailers[COST]]).toEqual([undefined, COST_OF_REPLY]);
    const plain = await ask(house.url, chat());
    expect([plain.headers[COST], plain.headers['content-length']]).toEqual([
      undefined,
      String(long.length),
    ]);
    const digest = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');
    expect([digest(told.body), digest(plain.body)]).toEqual([digest(long), digest(long)]);
  });

  test('case 86 · over HTTP/2: in the head of a short answer, behind a stream', async () => {
    const sandbox = await openSandbox();
    const provider = await startUpstream(always(200));
    const short = await houseOf({ a: { base_url: provider.url } });
    const streamed = await houseOf({ a: { base_url: sandbox.openaiUrl } });
    const whole = await askHttp2(short.url, chat());
    expect([whole.headers[COST], whole.body.toString()]).toEqual([COST_OF_REPLY, REPLY]);
    const events = await askHttp2(streamed.url, STREAM);
    expect(events.trailers[COST]).toBe('0.0000147');
    expect(events.headers[COST]).toBeUndefined();
  });

  test('case 86 · of all attempts together, where one that failed was billed as well', async () => {
    // A provider that works, fails and states what it has used.
    const failing = await startUpstream((_req, res) => {
      res.writeHead(500, { 'content-type': 'application/json' });
      res.end(REPLY);
    });
    const busy = await startUpstream(always(429));
    const good = await startUpstream(always(200));
    const house = await houseOf(
      {
        a: { base_url: failing.url },
        b: { base_url: busy.url },
        c: { base_url: good.url },
      },
      { steps: [step('a'), step('b'), step('c')] },
    );
    const heard = await ask(house.url, chat(), { path: '/r/v1/chat/completions' });
    const events = await untilEvents(house.localLog, 3);
    expect(events.map(inShort)).toEqual([
      'primary a 500 reported',
      'fallback b 429 not_billed',
      'fallback c 200 reported',
    ]);
    // 0.00000195 + 0 + 0.00000195
    expect(heard.headers[COST]).toBe('0.0000039');
    expect(heard.headers[COST]).toBe(
      await ratedTotal(house.localLog, heard.headers['x-reckoner-request-id']),
    );
  });

  test('case 86 · of a call that nobody answered well: what its attempts cost, nothing or something', async () => {
    const failing = await startUpstream((_req, res) => {
      res.writeHead(500, { 'content-type': 'application/json' });
      res.end(REPLY);
    });
    const refusing = await startUpstream(always(400));
    const house = await houseOf({
      a: { base_url: failing.url, attempts_max: 2 },
      b: { base_url: refusing.url },
    });
    const twice = await ask(house.url, chat());
    // Two attempts of 0.00000195.
    expect([twice.status, twice.headers[COST]]).toEqual([500, '0.0000039']);
    const refused = await ask(house.url, chat(), { path: '/b/v1/chat/completions' });
    expect([refused.status, refused.headers[COST]]).toEqual([400, '0']);
  });
});

describe('case 86 · a cost that is not known is not stated', () => {
  test('case 86 · while a hedge is still running, since what it will cost is not known', async () => {
    const sandbox = await openSandbox();
    const waiting: (() => void)[] = [];
    const slow = await startUpstream((_req, res) => {
      waiting.push(() => res.writeHead(200, { 'content-type': 'application/json' }).end(REPLY));
    });
    const house = await houseOf(
      { slow: { base_url: slow.url }, fast: { base_url: sandbox.openaiUrl } },
      { steps: [step('slow'), step('fast')], hedge_after_ms: 50 },
    );
    const heard = await ask(house.url, chat('input=70 output=7'), {
      path: '/r/v1/chat/completions',
    });
    expect([heard.status, heard.headers[COST]]).toEqual([200, undefined]);
    (await until(() => waiting[0]))();
    await untilEvents(house.localLog, 2);
    // 0.0000147 of the hedge and 0.00000195 of the attempt that was drained.
    const total = await ratedTotal(house.localLog, heard.headers['x-reckoner-request-id']);
    expect(total).toBe('0.00001665');
  });

  test('case 86 · but is, once the hedge has failed', async () => {
    const bad = await startUpstream(always(500));
    const slow = await startUpstream((_req, res) => {
      void until(() => bad.seen[0])
        .then(() => untilEvents(house.localLog, 1))
        .then(() => res.writeHead(200, { 'content-type': 'application/json' }).end(REPLY));
    });
    const house = await houseOf(
      { slow: { base_url: slow.url }, bad: { base_url: bad.url } },
      { steps: [step('slow'), step('bad')], hedge_after_ms: 50 },
    );
    const heard = await ask(house.url, chat(), { path: '/r/v1/chat/completions' });
    expect(heard.headers[COST]).toBe(COST_OF_REPLY);
  });

  test.each([
    [
      'no book names the model',
      '{"model":"gpt-new","usage":{"prompt_tokens":9,"completion_tokens":1}}',
    ],
    ['no usage is stated', '{"model":"gpt-4o-mini","choices":[]}'],
  ])('case 86 · when %s: absent, not zero', async (_why, reply) => {
    const provider = await startUpstream((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json' }).end(reply);
    });
    const house = await houseOf({ a: { base_url: provider.url } });
    const heard = await ask(house.url, chat(), { headers: TRAILERS });
    expect([heard.status, heard.headers[COST], heard.trailers]).toEqual([200, undefined, {}]);
    const requestId = heard.headers['x-reckoner-request-id'];
    expect(await ratedTotal(house.localLog, requestId)).toBeUndefined();
  });

  test('case 86 · of background work, neither when it is taken on nor when a client polls it', async () => {
    const provider = await startUpstream((req, res) => {
      const status = req.method === 'POST' ? 'queued' : 'completed';
      const usage = { input_tokens: 9, output_tokens: 1, total_tokens: 10 };
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(
        JSON.stringify({
          id: 'resp_0123456789abcdef',
          object: 'response',
          model: 'gpt-4o-mini',
          background: true,
          status,
          ...(status === 'completed' ? { usage } : {}),
        }),
      );
    });
    const house = await houseOf({ a: { base_url: provider.url } });
    const body = JSON.stringify({ model: 'gpt-4o-mini', input: 'Hi', background: true });
    const taken = await ask(house.url, body, { path: '/a/v1/responses', headers: TRAILERS });
    expect([taken.status, taken.headers[COST], taken.trailers]).toEqual([200, undefined, {}]);
    const polled = await fetch(`${house.url}/a/v1/responses/resp_0123456789abcdef`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    expect([polled.status, polled.headers.get(COST)]).toEqual([200, null]);
  });

  test('case 86 · of an answer without usage whose provider will be asked again: our estimate is not the last word', async () => {
    const provider = await startUpstream((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json' });
      const content = [{ type: 'output_text', text: 'Hello' }];
      const output = [{ type: 'message', content }];
      const id = 'resp_0123456789abcdef';
      res.end(JSON.stringify({ id, object: 'response', model: 'gpt-4o-mini', output }));
    });
    const house = await houseOf({ a: { base_url: provider.url } });
    const body = JSON.stringify({ model: 'gpt-4o-mini', input: 'Hi' });
    const heard = await ask(house.url, body, { path: '/a/v1/responses', headers: TRAILERS });
    expect((await untilEvents(house.localLog, 1))[0]).toMatchObject({ ending: 'estimated' });
    expect([heard.status, heard.headers[COST], heard.trailers]).toEqual([200, undefined, {}]);
  });

  test('case 86 · nor is what an upstream says about it passed on as ours', async () => {
    const provider = await startUpstream((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json', [COST]: '7' });
      res.end('{"model":"gpt-4o-mini","choices":[]}');
    });
    const house = await houseOf({ a: { base_url: provider.url } });
    expect((await ask(house.url, chat())).headers[COST]).toBeUndefined();
  });
});
