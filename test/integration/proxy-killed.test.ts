import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { decodeEnvelope, encodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { AttemptRecord, UsageEvent } from '../../schemas/usage-event.ts';
import { systemClock } from '../../services/platform/clock.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { newId } from '../../services/platform/id-source.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createAttemptJournal } from '../../services/proxy/attempt-journal.ts';
import { recoverAttempts } from '../../services/proxy/recover-attempts.ts';
import { eventually } from '../contract/event-log-kit.ts';
import type { ProxyHouse } from '../helpers/proxy-house.ts';
import { createProxyHouse, runProxy } from '../helpers/proxy-house.ts';
import { call, readAll, readEvents, startUpstream } from './proxy-harness.ts';

const CHILD = new URL('../helpers/killed-proxy-process.ts', import.meta.url);
const CHAT = '/openai/v1/chat/completions';
const bodyOf = (stream: boolean): string =>
  JSON.stringify({
    model: 'gpt-5-mini',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: 50,
    ...(stream ? { stream } : {}),
  });
const REPLY = { id: 'chatcmpl-1', object: 'chat.completion', model: 'gpt-5-mini' };
const USAGE = { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 };

const startProvider = () =>
  startUpstream((_req, res, body) => {
    const stream = body.includes('"stream":true');
    res.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
    const message = { role: 'assistant', content: 'hello' };
    if (!stream) {
      res.end(JSON.stringify({ ...REPLY, choices: [{ index: 0, message }], usage: USAGE }));
      return;
    }
    const delta = { ...REPLY, choices: [{ index: 0, delta: message }] };
    res.write(`data: ${JSON.stringify(delta)}\n\n`);
    res.write(`data: ${JSON.stringify({ ...REPLY, choices: [], usage: USAGE })}\n\n`);
    res.end('data: [DONE]\n\n');
  });

/** A proxy that dies by SIGKILL at the point of its n-th event. */
const startDoomed = async (house: ProxyHouse, point: string, nth = 1) => {
  const child: ChildProcess = fork(CHILD, [house.dataDir, point, `${nth}`], { execArgv: [] });
  const exited = once(child, 'exit');
  onTestFinished(() => void child.kill('SIGKILL'));
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { child, url, exited };
};

/** What the log holds once a proxy has started over it and stopped again. */
const afterRestart = async (house: ProxyHouse): Promise<UsageEvent[]> => {
  const again = await runProxy(house);
  again.child.kill('SIGTERM');
  expect(await again.ended).toBe(0);
  const log = await openLmdbEventLog({ directory: house.logDirectory, name: 'proxy-1' });
  try {
    expect(await readAll(log, TOPICS.attempts.name)).toEqual([]);
    return await readEvents(log);
  } finally {
    await log.close();
  }
};

const tellOf = (events: readonly UsageEvent[]) =>
  events.map(({ ending, error_kind, classes, estimate }) => ({
    ending,
    error_kind,
    output: classes.output_text,
    basis: estimate?.basis,
  }));

describe.each([
  ['a JSON reply', false],
  ['a stream', true],
])('a proxy killed while it ends %s', (_what, stream) => {
  const killedAt = async (point: string): Promise<UsageEvent[]> => {
    const provider = await startProvider();
    const house = await createProxyHouse(provider.url);
    const doomed = await startDoomed(house, point);
    const reply = await call(doomed.url + CHAT, bodyOf(stream)).catch(() => ({ cut: true }));
    // The client never takes the answer for whole: its end waits for the event.
    expect(reply.cut).toBe(true);
    expect((await doomed.exited)[1]).toBe('SIGKILL');
    expect(provider.seen.length).toBe(1);
    return afterRestart(house);
  };

  test('row 1 · between the response and the flush: the opened record becomes a flagged estimate, once', async () => {
    // Declared: 50 tokens of output at most; nothing of what the provider said was kept.
    expect(tellOf(await killedAt('before'))).toEqual([
      { ending: 'estimated', error_kind: 'crash', output: '50', basis: 'declared_maximum' },
    ]);
  });

  test('case 41 · with the event stored and not yet flushed: the event and its end are one append, so it is there once', async () => {
    expect(tellOf(await killedAt('stored'))).toEqual([
      { ending: 'reported', error_kind: undefined, output: '2', basis: undefined },
    ]);
  });

  test('row 2 · after the flush and before the response ends: the event is there once', async () => {
    expect(tellOf(await killedAt('durable'))).toEqual([
      { ending: 'reported', error_kind: undefined, output: '2', basis: undefined },
    ]);
  });
});

test('case 35 · SIGKILL under load: what was answered whole is there once, what was not is detected and bounded by the calls in flight', async () => {
  // Forty are answered, twenty never are: those are open when the fortieth event is stored and the proxy dies of it.
  let asked = 0;
  const provider = await startUpstream((_req, res) => {
    asked += 1;
    if (asked % 3 === 0) return;
    res.writeHead(200, { 'content-type': 'application/json' });
    const message = { role: 'assistant', content: 'hello' };
    res.end(JSON.stringify({ ...REPLY, choices: [{ index: 0, message }], usage: USAGE }));
  });
  const house = await createProxyHouse(provider.url);
  const doomed = await startDoomed(house, 'stored', 40);
  const answers = await Promise.all(
    Array.from({ length: 60 }, () =>
      call(doomed.url + CHAT, bodyOf(false)).then(
        ({ cut, headers }) => (cut ? null : String(headers['x-reckoner-request-id'])),
        () => null,
      ),
    ),
  );
  await doomed.exited;
  const whole = answers.filter((id) => id !== null);
  const events = await afterRestart(house);
  const ids = events.map(({ request_id }) => request_id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(whole.filter((id) => !ids.includes(id))).toEqual([]);
  // Whatever reached the provider has its event, and each whose end nobody saw says so.
  const crashed = events.filter(({ error_kind }) => error_kind === 'crash').length;
  expect(events.length).toBeGreaterThanOrEqual(provider.seen.length);
  expect(crashed).toBeGreaterThanOrEqual(Math.floor(provider.seen.length / 3));
  expect(crashed).toBeLessThanOrEqual(60 - whole.length);
});

test('case 35 · SIGTERM with calls in flight and spend not yet flushed loses nothing', async () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    const message = { role: 'assistant', content: 'hello' };
    const reply = JSON.stringify({ ...REPLY, choices: [{ index: 0, message }], usage: USAGE });
    void released.then(() => res.end(reply));
  });
  const house = await createProxyHouse(provider.url);
  const proxy = await runProxy(house);
  const calls = Array.from({ length: 30 }, () => call(proxy.url + CHAT, bodyOf(false)));
  await eventually('30 calls at the provider', () => provider.seen.length === 30);
  proxy.child.kill('SIGTERM');
  release();
  const replies = await Promise.all(calls);
  expect(await proxy.ended).toBe(0);
  expect(replies.every(({ status, cut }) => status === 200 && !cut)).toBe(true);
  const events = await afterRestart(house);
  expect(events.length).toBe(30);
  expect(events.every(({ ending }) => ending === 'reported')).toBe(true);
});

const openedRecord = (number: number): AttemptRecord => ({
  request_id: newId(),
  attempt_id: newId(),
  attempt_number: 1,
  attempt_role: 'primary',
  event_id: newId(),
  event_ts: '2026-11-21T10:00:00.000Z',
  proxy_id: 'proxy-1',
  boot_id: newId(),
  key_id: 'acme-key',
  credential_pool_id: 'openai',
  byo_key: false,
  upstream: 'openai',
  provider: 'openai',
  flavour: 'openai.chat',
  requested_model: 'gpt-5-mini',
  streamed: false,
  dimensions: { tenant: `tenant-${number % 5}` },
  tags: {},
  estimated_input_tokens: '9',
  max_output_tokens: '50',
});

const leaveOpen = async (log: EventLog, count: number): Promise<void> => {
  for (let number = 0; number < count; number += 1) {
    const record = openedRecord(number);
    const outer = {
      id: record.attempt_id,
      source: '/proxy/proxy-1',
      subject: record.dimensions.tenant,
      time: record.event_ts,
    };
    const value = encodeEnvelope('attempt', outer, record);
    log.append([{ topic: TOPICS.attempts.name, key: record.attempt_id, value }]);
  }
  await log.append([{ topic: TOPICS.attempts.name, key: 'none', value: null }]).durable;
};

describe('recovery of many opened records', () => {
  test('reads and closes a page at a time, whatever their number', async () => {
    const log = createMemoryEventLog('proxy-1');
    await leaveOpen(log, 3_000);
    const read = log.read.bind(log);
    const append = log.append.bind(log);
    let largestPage = 0;
    let underWay = 0;
    let mostUnderWay = 0;
    log.read = async (from, max) => {
      const page = await read(from, max);
      largestPage = Math.max(largestPage, page.length);
      return page;
    };
    log.append = (entries) => {
      underWay += 1;
      mostUnderWay = Math.max(mostUnderWay, underWay);
      const appended = append(entries);
      const done = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        underWay -= 1;
      });
      return { stored: appended.stored, durable: done };
    };
    const journal = createAttemptJournal({
      log,
      proxyId: 'proxy-1',
      durability: 'disk',
      whenLate: 'reject',
      logger: createLogger('proxy', 'silent'),
      onAppendFailed: () => undefined,
    });
    const about = { bootId: newId(), clock: systemClock, countDeadLetters: () => undefined };
    expect(await recoverAttempts(log, journal, about)).toBe(3_000);
    expect(largestPage).toBeLessThanOrEqual(256);
    expect(mostUnderWay).toBeLessThanOrEqual(256);
    expect(await recoverAttempts(log, journal, about)).toBe(0);
    const events = await readEvents(log);
    expect(events.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: 3_000 }, (_, index) => index + 1),
    );
    expect(events.every(({ error_kind }) => error_kind === 'crash')).toBe(true);
  });

  test('killed in the middle and run again, it writes no id twice and none never', async () => {
    const provider = await startProvider();
    const house = await createProxyHouse(provider.url);
    const log = await openLmdbEventLog({ directory: house.logDirectory, name: 'proxy-1' });
    await leaveOpen(log, 2_000);
    const opened = (await readAll(log, TOPICS.attempts.name)).map(({ value }) => {
      const decoded = decodeEnvelope('attempt', value ?? new Uint8Array());
      return decoded.ok ? decoded.value.data.event_id : '';
    });
    await log.close();
    const child = fork(CHILD, [house.dataDir, 'stored', '700'], { execArgv: [] });
    expect((await once(child, 'exit'))[1]).toBe('SIGKILL');
    const events = await afterRestart(house);
    expect(events.map(({ event_id }) => event_id).sort()).toEqual(opened.sort());
    expect(new Set(events.map(({ boot_id }) => boot_id)).size).toBe(2);
  });
});
