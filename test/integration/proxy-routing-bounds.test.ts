import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { callToLeave } from './endings-house.ts';
import { call, startUpstream, until, untilEvents } from './proxy-harness.ts';
import {
  always,
  ask,
  chat,
  inShort,
  openSandbox,
  REPLY,
  routedHouse,
  step,
} from './routing-house.ts';

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
  const events = await untilEvents(house.localLog, 1);
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
  await untilEvents(house.localLog, 1);
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
    const events = await untilEvents(house.localLog, 2);
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
    const events = (await untilEvents(house.localLog, 2)).toSorted(
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
    const events = await untilEvents(house.localLog, 2);
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
    await untilEvents(house.localLog, 1);
    slow.answer();
    expect((await reply).status).toBe(200);
    expect((await untilEvents(house.localLog, 2)).map(inShort)).toEqual([
      'hedge bad 500 not_billed',
      'primary slow 200 reported',
    ]);
  });

  test('does not go out once the answer has begun', async () => {
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

  test('does not go out when the client has left, although the attempt is drained', async () => {
    const a = await startUpstream((req, res) => {
      // Longer than the hedge would have waited.
      setTimeout(() => always(200)(req, res, ''), 600);
    });
    const house = await routedHouse(
      { a: { base_url: a.url }, b: { base_url: a.url } },
      { steps: [step('a'), step('b')], hedge_after_ms: 300 },
    );
    const leave = callToLeave(`${house.url}/v1/chat/completions`, chat());
    await until(() => a.seen.length > 0);
    leave();
    expect((await untilEvents(house.localLog, 1)).map(inShort)).toEqual(['primary a 200 drained']);
    expect(a.seen).toHaveLength(1);
  });
});
