import { describe, expect, test } from 'vitest';
import { call, startUpstream } from './proxy-harness.ts';
import {
  always,
  ask,
  chat,
  closedAddress,
  inShort,
  openSandbox,
  routedHouse,
  step,
} from './routing-house.ts';

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
      // The second call finds `a` set aside for two seconds, and begins with `b`.
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
