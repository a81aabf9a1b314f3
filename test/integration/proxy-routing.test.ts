import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { call, startUpstream, until } from './proxy-harness.ts';
import {
  ask,
  chat,
  closedAddress,
  eventsOf,
  inShort,
  openSandbox,
  routedHouse,
  step,
} from './routing-house.ts';

const REPLY =
  '{"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}';

/** Answers every call with a status; 200 with usage. */
const always =
  (status: number, headers: Record<string, string> = {}): Parameters<typeof startUpstream>[0] =>
  (_req, res) => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(status === 200 ? REPLY : `{"error":{"code":${status}}}`);
  };

describe('a call whose target fails', () => {
  test.for([429, 500, 502, 503, 504, 529])(
    'row 54 · after a %i the next target answers at once, and each attempt is an event of the same request',
    async (status) => {
      const sandbox = await openSandbox();
      const base_url = sandbox.openaiUrl;
      const house = await routedHouse(
        { a: { base_url }, b: { base_url } },
        {
          steps: [step('a'), step('b')],
        },
      );
      const started = performance.now();
      const reply = await ask(house.url, chat(`id=x status=${status}x1 input=100 output=10`));
      expect(reply.status).toBe(200);
      // A wait before the same target would be 125 ms at least.
      expect(performance.now() - started).toBeLessThan(2000);
      const events = await house.events();
      expect(events.map(inShort)).toEqual([
        `primary a ${status} not_billed`,
        'fallback b 200 reported',
      ]);
      expect(events.map((event) => event.attempt_number)).toEqual([1, 2]);
      expect(new Set(events.map((event) => event.request_id)).size).toBe(1);
      expect(events.map((event) => event.credential_pool_id)).toEqual(['a', 'b']);
      const bill = sandbox.bill();
      expect([bill.attempts, bill.billed_attempts]).toEqual([2, 1]);
    },
  );

  test('row 54 · an upstream that cannot be reached is passed over, and then set aside', async () => {
    const sandbox = await openSandbox();
    const house = await routedHouse(
      { a: { base_url: await closedAddress() }, b: { base_url: sandbox.openaiUrl } },
      { steps: [step('a'), step('b')] },
    );
    expect((await ask(house.url, chat())).status).toBe(200);
    expect((await ask(house.url, chat())).status).toBe(200);
    expect((await house.events()).map(inShort)).toEqual([
      'primary a unreachable not_billed',
      'fallback b 200 reported',
      // The second call finds `a` set aside for a second, and begins with `b`.
      'primary b 200 reported',
    ]);
    expect(await house.metrics.render()).toMatch(
      /targets_set_aside_total\{[^}]*upstream="a"[^}]*\} 1/,
    );
    expect(sandbox.bill().attempts).toBe(2);
  });

  test('case 11 · of a call that is answered nowhere every attempt is counted, and the last answer goes to the client as it came', async () => {
    const a = await startUpstream(always(500));
    const b = await startUpstream(always(503, { 'x-request-id': 'req_b', 'retry-after': '3600' }));
    const house = await routedHouse(
      { a: { base_url: `${a.url}/v1` }, b: { base_url: `${b.url}/v1` } },
      { steps: [step('a'), step('b')], attempts_max: 5 },
    );
    const reply = await ask(house.url, chat());
    expect([reply.status, reply.body.toString(), reply.headers['retry-after']]).toEqual([
      503,
      '{"error":{"code":503}}',
      '3600',
    ]);
    expect(reply.headers['x-request-id']).toBe('req_b');
    expect((await house.events()).map(inShort)).toEqual([
      'primary a 500 not_billed',
      'fallback b 503 not_billed',
    ]);
    expect([a.seen.length, b.seen.length]).toEqual([1, 1]);
  });

  test('an answer that was kept back is shown when the attempts after it bring none', async () => {
    const a = await startUpstream(always(429, { 'x-request-id': 'req_a' }));
    const house = await routedHouse(
      { a: { base_url: `${a.url}/v1` }, b: { base_url: await closedAddress() } },
      { steps: [step('a'), { ...step('b'), attempts_max: 1 }] },
    );
    const reply = await ask(house.url, chat());
    expect([reply.status, reply.body.toString(), reply.headers['x-request-id']]).toEqual([
      429,
      '{"error":{"code":429}}',
      'req_a',
    ]);
    expect(await house.events()).toHaveLength(2);
  });

  test('when none answers at all the client gets our 502', async () => {
    const base_url = await closedAddress();
    const house = await routedHouse(
      { a: { base_url }, b: { base_url } },
      {
        steps: [step('a', 'b')],
        attempts_max: 2,
      },
    );
    const reply = await ask(house.url, chat());
    expect([reply.status, JSON.parse(reply.body.toString()).error.code]).toEqual([
      502,
      'upstream_unreachable',
    ]);
    expect(await house.events()).toHaveLength(2);
  });

  test('what is the caller’s own fault is answered by the first target alone', async () => {
    const a = await startUpstream(always(400));
    const house = await routedHouse(
      { a: { base_url: a.url }, b: { base_url: a.url } },
      { steps: [step('a'), step('b')] },
    );
    expect((await ask(house.url, chat())).status).toBe(400);
    expect(a.seen).toHaveLength(1);
  });

  test('a refused credential goes on to another upstream, and never to the same', async () => {
    const a = await startUpstream(always(401));
    const b = await startUpstream(always(200));
    const house = await routedHouse(
      { a: { base_url: a.url }, b: { base_url: b.url } },
      { steps: [step('a'), step('b')] },
    );
    expect((await ask(house.url, chat())).status).toBe(200);
    expect((await house.events()).map(inShort)).toEqual([
      'primary a 401 not_billed',
      'fallback b 200 reported',
    ]);
    const alone = await ask(house.url, chat(), '/a/v1/chat/completions');
    expect([alone.status, a.seen.length]).toEqual([401, 2]);
  });

  test('an error whose body does not end holds up the next attempt for a second at most', async () => {
    const a = await startUpstream((_req, res) => {
      res.writeHead(500, { 'content-type': 'application/json' });
      res.write('{"error"');
    });
    const b = await startUpstream(always(200));
    const house = await routedHouse(
      { a: { base_url: a.url }, b: { base_url: b.url } },
      { steps: [step('a'), step('b')] },
    );
    expect((await ask(house.url, chat())).status).toBe(200);
    expect((await house.events()).map(inShort)).toEqual([
      'primary a 500 not_billed',
      'fallback b 200 reported',
    ]);
  });

  test('a target without a credential is left out, and the log says so', async () => {
    const sandbox = await openSandbox();
    const base_url = sandbox.openaiUrl;
    const house = await routedHouse(
      { a: { base_url, credential: { env: 'NOT_THERE' } }, b: { base_url } },
      { steps: [step('a'), step('b')] },
      {
        resolveSecret: (reference) => {
          if (JSON.stringify(reference).includes('NOT_THERE')) throw new Error('NOT_THERE');
          return 'secret';
        },
      },
    );
    expect((await ask(house.url, chat())).status).toBe(200);
    expect((await house.events()).map(inShort)).toEqual(['primary b 200 reported']);
    expect((await ask(house.url, chat(), '/a/v1/chat/completions')).status).toBe(503);
  });
});

describe('a stream', () => {
  test('that fails before its first byte is begun anew elsewhere, and the client sees one', async () => {
    const sandbox = await openSandbox();
    const base_url = sandbox.openaiUrl;
    const house = await routedHouse(
      { a: { base_url }, b: { base_url } },
      {
        steps: [step('a'), step('b')],
      },
    );
    const reply = await ask(house.url, chat('id=s status=503x1 output=30', { stream: true }));
    expect(reply.body.toString().match(/"role":"assistant"/g)).toHaveLength(1);
    expect(reply.body.toString()).toMatch(/data: \[DONE\]\n\n$/);
    expect(reply.body.toString()).not.toContain('"usage"');
    expect((await house.events()).map(inShort)).toEqual([
      'primary a 503 not_billed',
      'fallback b 200 reported',
    ]);
    expect(sandbox.bill().attempts).toBe(2);
  });

  test('case 11 · that breaks after its first byte is not begun anew: the client sees the break', async () => {
    const sandbox = await openSandbox();
    const base_url = sandbox.openaiUrl;
    const house = await routedHouse(
      { a: { base_url }, b: { base_url } },
      {
        steps: [step('a'), step('b')],
      },
    );
    const body = chat('id=c output=30 chunk_ms=2 cut=after:10', { stream: true });
    const reply = await ask(house.url, body);
    expect([reply.status, reply.cut]).toEqual([200, true]);
    expect((await house.events()).map(inShort)).toEqual(['primary a 200 estimated']);
    expect(sandbox.bill().attempts).toBe(1);
  });
});

describe('shares', () => {
  test('are kept by weight; two credentials of one account are two pools', async () => {
    const sandbox = await openSandbox();
    const base_url = sandbox.openaiUrl;
    const house = await routedHouse(
      {
        a: { base_url, credential: { env: 'KEY_A' } },
        b: { base_url, credential: { env: 'KEY_B' } },
      },
      {
        steps: [{ targets: [{ upstream: 'a', weight: 3 }, { upstream: 'b' }] }],
      },
    );
    for (let calls = 0; calls < 200; calls += 20) {
      await Promise.all(Array.from({ length: 20 }, () => ask(house.url, chat())));
    }
    const events = await house.events();
    const toA = events.filter((event) => event.credential_pool_id === 'a').length;
    // 200 draws at 3/4: 150 expected, the standard deviation is 6.1; five of them on either side.
    expect(toA).toBeGreaterThan(119);
    expect(toA).toBeLessThan(181);
    expect(events).toHaveLength(200);
    expect(sandbox.bill().attempts).toBe(200);
  });

  test('of least latency: the slow one is measured, then left alone but for a look now and then', async () => {
    const sandbox = await openSandbox();
    const slow = await startUpstream((_req, res) => {
      setTimeout(() => always(200)(_req, res, ''), 150);
    });
    const house = await routedHouse(
      { slow: { base_url: slow.url }, fast: { base_url: sandbox.openaiUrl } },
      { strategy: 'least_latency', steps: [step('slow', 'fast')] },
    );
    for (let calls = 0; calls < 40; calls += 1) await ask(house.url, chat());
    expect(slow.seen.length).toBeGreaterThanOrEqual(1);
    // 38 further looks with a chance of 1/40 each: more than ten happen once in 100 million runs.
    expect(slow.seen.length).toBeLessThan(11);
    expect(slow.seen.length + sandbox.bill().attempts).toBe(40);
    expect(await house.events()).toHaveLength(40);
  });
});

describe('a route', () => {
  test('is reached by its own path and by the models it names, and asks each target in its own words', async () => {
    const sandbox = await openSandbox();
    const house = await routedHouse(
      {
        a: { base_url: await closedAddress() },
        google: {
          provider: 'google',
          base_url: `${sandbox.url}/gemini/v1beta/openai`,
        },
      },
      {
        steps: [
          step('a'),
          { targets: [{ upstream: 'google', model: 'gemini-2.5-flash' }], attempts_max: 1 },
        ],
      },
      { key: { models: ['gpt-4o-mini'] } },
    );
    const body = chat('input=50 output=20 reasoning=5');
    const reply = await ask(house.url, body, '/r/v1/chat/completions');
    expect(reply.status).toBe(200);
    expect((await ask(house.url, body)).status).toBe(200);
    const events = await house.events();
    expect(events[0]).toMatchObject({ upstream: 'a', requested_model: 'gpt-4o-mini' });
    expect(events[1]).toMatchObject({
      attempt_role: 'fallback',
      upstream: 'google',
      provider: 'google',
      flavour: 'gemini.openai',
      requested_model: 'gemini-2.5-flash',
      // Its thinking stands only in the total: 20 of output are 15 of text and 5 of reasoning.
      classes: { input_uncached: '50', output_text: '15', output_reasoning: '5' },
    });
    // A key that may ask for one model may not ask for another through the same route.
    const forbidden = await ask(house.url, chat('', { model: 'gpt-4o' }));
    expect(forbidden.status).toBe(403);
    expect(sandbox.bill().attempts).toBe(events.filter((e) => e.upstream === 'google').length);
  });

  test('changes the model in the body and not another byte', async () => {
    const a = await startUpstream(always(200));
    const house = await routedHouse(
      { a: { base_url: `${a.url}/v1` } },
      { steps: [{ targets: [{ upstream: 'a', model: 'other/name' }] }] },
    );
    const body =
      '{ "temperature":1.0,\n "model" : "gpt-4o","messages":[{"role":"user","content":"gpt-4o\\u00e9é"}] }';
    await ask(house.url, body);
    expect(a.seen[0]?.body).toBe(body.replace('"model" : "gpt-4o"', '"model" : "other/name"'));
  });

  test('asks for usage at one target and leaves another as it is', async () => {
    const sandbox = await openSandbox();
    const a = await startUpstream(always(503));
    const house = await routedHouse(
      { a: { base_url: a.url, stream_usage: 'as_is' }, b: { base_url: sandbox.openaiUrl } },
      { steps: [step('a'), step('b')] },
    );
    const body = chat('output=5', { stream: true });
    expect((await ask(house.url, body)).status).toBe(200);
    expect(a.seen[0]?.body).toBe(body);
    expect((await house.events()).map(inShort)).toEqual([
      'primary a 503 not_billed',
      'fallback b 200 reported',
    ]);
  });

  test('lists models at its first target', async () => {
    const sandbox = await openSandbox();
    const house = await routedHouse(
      { a: { base_url: sandbox.openaiUrl }, b: { base_url: await closedAddress() } },
      { steps: [step('a'), step('b')] },
    );
    const reply = await call(`${house.url}/r/v1/models`, null, { method: 'GET' });
    expect(reply.status).toBe(200);
    expect(sandbox.bill().not_metered_calls).toBe(1);
  });
});

test('a provider in trouble gets a fifth more calls than usual at most, not a storm', async () => {
  const a = await startUpstream(always(500));
  const house = await routedHouse(
    { a: { base_url: a.url, attempts_max: 5 } },
    {
      steps: [step('a')],
      attempts_max: 5,
    },
  );
  const started = performance.now();
  const replies = await Promise.all(Array.from({ length: 100 }, () => ask(house.url, chat())));
  // Its own answer, not one of ours.
  expect(new Set(replies.map((reply) => reply.body.toString()))).toEqual(
    new Set(['{"error":{"code":500}}']),
  );
  const seconds = (performance.now() - started) / 1000;
  // 100 calls, 100 x 0.2, a constant of 20, and one more for every two seconds that passed.
  expect(a.seen.length).toBeLessThanOrEqual(100 + 20 + 20 + Math.ceil(seconds / 2));
  expect(a.seen.length).toBeGreaterThan(100);
  expect(await house.events()).toHaveLength(a.seen.length);
  expect(await house.metrics.render()).toMatch(
    /retries_refused_total\{[^}]*upstream="a"[^}]*\} \d/,
  );
});

test('case 9 · once the client has left no target is tried any more, and every attempt made has its event', async () => {
  const held: { end: () => void }[] = [];
  const a = await startUpstream((_req, res) => {
    held.push({
      end: () => {
        res.writeHead(503);
        res.end();
      },
    });
  });
  const b = await startUpstream(always(200));
  const house = await routedHouse(
    { a: { base_url: a.url }, b: { base_url: b.url } },
    { steps: [step('a'), step('b')] },
  );
  let socket: Socket | undefined;
  const gone = call(`${house.url}/v1/chat/completions`, chat(), {
    onSocket: (made) => {
      socket = made;
    },
  }).catch(() => undefined);
  await until(() => held[0]);
  const drains = () => house.metrics.render().then((text) => /proxy_drains\{[^}]*\} 1/.test(text));
  socket?.destroy();
  await gone;
  await until(async () => (await drains()) || undefined);
  held[0]?.end();
  const events = await eventsOf(house, 1);
  await until(async () =>
    /calls_in_flight\{[^}]*\} 0/.test(await house.metrics.render()) ? true : undefined,
  );
  expect(events.map(inShort)).toEqual(['primary a 503 not_billed']);
  expect([a.seen.length, b.seen.length, (await house.events()).length]).toEqual([1, 0, 1]);
});

test('case 9 · a client that leaves while the next attempt waits for its turn ends the attempts', async () => {
  const a = await startUpstream(always(503, { 'retry-after': '1' }));
  const house = await routedHouse({ a: { base_url: a.url } }, { steps: [step('a')] });
  let socket: Socket | undefined;
  const gone = call(`${house.url}/v1/chat/completions`, chat(), {
    onSocket: (made) => {
      socket = made;
    },
  }).catch(() => undefined);
  await eventsOf(house, 1);
  socket?.destroy();
  await gone;
  await until(async () =>
    /calls_in_flight\{[^}]*\} 0/.test(await house.metrics.render()) ? true : undefined,
  );
  expect([a.seen.length, (await house.events()).length]).toEqual([1, 1]);
});

describe('a hedge', () => {
  /** Answers when it is told to. */
  const onCommand = async (text = REPLY) => {
    const waiting: (() => void)[] = [];
    const upstream = await startUpstream((_req, res) => {
      waiting.push(() => {
        res.writeHead(200, { 'content-type': 'application/json' });
        res.end(text);
      });
    });
    return { ...upstream, answer: () => waiting.shift()?.(), asked: () => waiting[0] };
  };

  test('case 12 · goes out beside an attempt that shows nothing; the first to answer wins and both are events', async () => {
    const sandbox = await openSandbox();
    const slow = await onCommand();
    const house = await routedHouse(
      { slow: { base_url: slow.url }, fast: { base_url: sandbox.openaiUrl } },
      { steps: [step('slow'), step('fast')], hedge_after_ms: 50 },
    );
    const reply = await ask(house.url, chat('input=70 output=7'));
    expect(JSON.parse(reply.body.toString()).usage.prompt_tokens).toBe(70);
    // The client has its answer; the loser is still being generated, and is drained to its usage.
    await until(slow.asked);
    slow.answer();
    const events = await eventsOf(house, 2);
    expect(events.map(inShort)).toEqual(['hedge fast 200 reported', 'primary slow 200 drained']);
    expect(events[1]).toMatchObject({
      error_kind: 'hedge_lost',
      attempt_number: 1,
      classes: { input_uncached: '9', output_text: '1' },
    });
    expect(events[0]).toMatchObject({ attempt_number: 2, request_id: events[1]?.request_id });
    expect(slow.seen.length + sandbox.bill().attempts).toBe(2);
  });

  test('case 12 · that loses is given up where its upstream says so, and is an event all the same', async () => {
    const first = await onCommand();
    const second = await onCommand();
    const house = await routedHouse(
      { a: { base_url: first.url }, b: { base_url: second.url, disconnect: 'cancel' } },
      { steps: [step('a', 'b')], hedge_after_ms: 50 },
    );
    const reply = ask(house.url, chat());
    await until(() => first.asked() && second.asked());
    first.answer();
    expect((await reply).status).toBe(200);
    const events = (await eventsOf(house, 2)).toSorted(
      (a, b) => a.attempt_number - b.attempt_number,
    );
    const [one, two] = events.map(({ attempt_role, ending, error_kind, upstream }) => ({
      attempt_role,
      ending,
      error_kind,
      upstream,
    }));
    const won = { ending: 'reported', error_kind: undefined, upstream: 'a' };
    const lost = { ending: 'estimated', error_kind: 'hedge_lost', upstream: 'b' };
    const aFirst = one?.upstream === 'a';
    // The step's two targets are drawn by weight: either may be the first.
    expect(aFirst ? [one, two] : [two, one]).toEqual([
      { attempt_role: aFirst ? 'primary' : 'hedge', ...won },
      { attempt_role: aFirst ? 'hedge' : 'primary', ...lost },
    ]);
  });

  test('of one target goes to the same; there is one a call at most', async () => {
    const only = await onCommand();
    const house = await routedHouse(
      { a: { base_url: only.url } },
      { steps: [step('a')], hedge_after_ms: 50 },
    );
    const reply = ask(house.url, chat());
    await until(() => (only.seen.length === 2 ? true : undefined));
    only.answer();
    expect((await reply).status).toBe(200);
    only.answer();
    const events = await eventsOf(house, 2);
    expect(events.map((event) => event.attempt_role).toSorted()).toEqual(['hedge', 'primary']);
    expect(only.seen).toHaveLength(2);
  });

  test('that fails leaves the first attempt its time; when both fail the next target is tried', async () => {
    const slow = await onCommand();
    const bad = await startUpstream(always(500));
    const house = await routedHouse(
      { slow: { base_url: slow.url }, bad: { base_url: bad.url } },
      { steps: [step('slow'), step('bad')], hedge_after_ms: 50 },
    );
    const reply = ask(house.url, chat());
    await until(() => bad.seen[0]);
    await eventsOf(house, 1);
    slow.answer();
    expect((await reply).status).toBe(200);
    expect((await eventsOf(house, 2)).map(inShort)).toEqual([
      'hedge bad 500 not_billed',
      'primary slow 200 reported',
    ]);
  });

  test('does not go out once the answer has begun, nor when the client has left', async () => {
    const a = await startUpstream((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.flushHeaders();
      setTimeout(() => res.end('data: [DONE]\n\n'), 200);
    });
    const house = await routedHouse(
      { a: { base_url: a.url }, b: { base_url: a.url } },
      { steps: [step('a'), step('b')], hedge_after_ms: 50 },
    );
    expect((await ask(house.url, chat('', { stream: true }))).status).toBe(200);
    expect(a.seen).toHaveLength(1);
  });
});
