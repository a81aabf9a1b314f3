import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  callAndLeave,
  chatOf,
  FIRST,
  house,
  LAST,
  oneEvent,
  sse,
  USAGE,
  untilMetric,
} from './endings-house.ts';
import {
  call,
  putKey,
  putUpstream,
  readAll,
  readEvents,
  startTestProxy,
  startUpstream,
  until,
} from './proxy-harness.ts';

const CANARY = 'canary-prompt-7f3a9c';
const CHAT = chatOf(CANARY);
const MESSAGE_START = `event: message_start\n${sse('{"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":70,"cache_read_input_tokens":5,"output_tokens":1}}}')}`;
const TEXT_DELTA = `event: content_block_delta\n${sse('{"type":"content_block_delta","delta":{"type":"text_delta","text":"one two three"}}')}`;

test('case 1 · row 53 · a client that leaves mid-stream is drained: one event, with the full usage', async () => {
  let finish = (): void => undefined;
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(FIRST);
    finish = () => void res.end(LAST);
  });
  await callAndLeave(`${url}/v1/chat/completions`, CHAT);
  await untilMetric(url, 'proxy_drains{service="proxy"} 1');
  finish();
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'drained',
    error_kind: 'client_left',
    classes: { input_uncached: '100', output_text: '50' },
  });
});

test.each([
  ['the upstream cancels by policy', { disconnect: 'cancel' }, {}],
  ['all drains are taken', {}, { drains_max: 0 }],
  ['the drain takes too long', {}, { drain_timeout_ms: 100 }],
])(
  'row 53 · a client that leaves while %s leaves an estimate from the text seen',
  async (_n, upstream, config) => {
    let gone = false;
    const { url, localLog } = await house(
      (_req, res) => {
        res.on('close', () => {
          gone = true;
        });
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.write(FIRST);
      },
      upstream,
      config,
    );
    await callAndLeave(`${url}/v1/chat/completions`, CHAT);
    const event = await oneEvent(localLog);
    expect(event).toMatchObject({
      ending: 'estimated',
      error_kind: 'client_left',
      // "one two three" is three tokens of o200k.
      classes: { output_text: '3' },
      estimate: { basis: 'text_seen', classes: ['input_uncached', 'output_text'] },
    });
    expect(BigInt(event?.classes.input_uncached ?? 0)).toBeGreaterThan(0n);
    await until(() => gone || undefined);
  },
);

test('case 5 · a client that leaves a call without stream is still metered in full', async () => {
  let finish = (): void => undefined;
  const { url, localLog } = await house((_req, res) => {
    finish = () => {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(`{"model":"gpt-4o","choices":[],"usage":${USAGE}}`);
    };
  });
  let socket: Socket | undefined;
  const body = JSON.stringify({ ...JSON.parse(CHAT), stream: false });
  call(`${url}/v1/chat/completions`, body, {
    onSocket: (s) => {
      socket = s;
    },
  }).catch(() => undefined);
  await until(() => finish.toString().includes('writeHead') || undefined);
  socket?.destroy();
  // An event that is there before the answer is not the one of a drain.
  await Promise.race([untilMetric(url, 'proxy_drains{service="proxy"} 1'), oneEvent(localLog)]);
  finish();
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'drained',
    classes: { output_text: '50' },
  });
});

test('row 53 · an upstream cut mid-stream reaches the client as a cut and is estimated', async () => {
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(FIRST, () => res.destroy());
  });
  const reply = await call(`${url}/v1/chat/completions`, CHAT);
  expect(reply.cut).toBe(true);
  expect(reply.body.toString()).toBe(FIRST.replace(',"usage":null', ''));
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'estimated',
    error_kind: 'cut',
    classes: { output_text: '3' },
  });
});

test('row 53 · an Anthropic stream cut after message_start is stated in part', async () => {
  const { url, localLog } = await house(
    (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(MESSAGE_START + TEXT_DELTA, () => res.destroy());
    },
    { id: 'anthropic', provider: 'anthropic', dialect: 'anthropic', models: ['claude-*'] },
  );
  const body = JSON.stringify({
    model: 'claude-sonnet-4-5',
    stream: true,
    max_tokens: 9,
    messages: [],
  });
  expect((await call(`${url}/anthropic/v1/messages`, body)).cut).toBe(true);
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'partial',
    classes: { input_uncached: '70', cache_read: '5', output_text: '3' },
    estimate: { basis: 'text_seen', classes: ['output_text'] },
  });
});

test('429 and 500 are tried again: one event per attempt, one answer', async () => {
  const statuses = [429, 500, 200];
  const { url, localLog } = await house((_req, res) => {
    const status = statuses.shift() ?? 200;
    res.writeHead(status, { 'content-type': 'application/json', 'retry-after': '0' });
    res.end(status === 200 ? `{"choices":[],"usage":${USAGE}}` : '{"error":{}}');
  });
  const reply = await call(`${url}/v1/chat/completions`, CHAT);
  expect(reply.status).toBe(200);
  const events = await readEvents(localLog);
  expect(
    events.map((e) => [e.sequence, e.attempt_number, e.attempt_role, e.ending, e.http_status]),
  ).toEqual([
    [1, 1, 'primary', 'not_billed', 429],
    [2, 2, 'retry', 'not_billed', 500],
    [3, 3, 'retry', 'reported', 200],
  ]);
  expect(new Set(events.map((e) => e.request_id)).size).toBe(1);
});

test('the last refusal is passed on as it is, and a long Retry-After ends the retries', async () => {
  const { url, localLog, provider } = await house((_req, res) => {
    res.writeHead(429, { 'content-type': 'application/json', 'retry-after': '3600' });
    res.end('{"error":{"message":"slow down"}}');
  });
  const reply = await call(`${url}/v1/chat/completions`, CHAT);
  expect([reply.status, reply.body.toString(), reply.headers['retry-after']]).toEqual([
    429,
    '{"error":{"message":"slow down"}}',
    '3600',
  ]);
  expect(provider.seen).toHaveLength(1);
  expect(await oneEvent(localLog)).toMatchObject({ ending: 'not_billed', error_kind: 'refused' });
});

test('no attempt is made once the client has left', async () => {
  const { url, localLog, provider } = await house((_req, res) => {
    res.writeHead(503, { 'retry-after': '2' });
    res.end();
  });
  let socket: Socket | undefined;
  call(`${url}/v1/chat/completions`, CHAT, {
    onSocket: (s) => {
      socket = s;
    },
  }).catch(() => undefined);
  await oneEvent(localLog);
  socket?.destroy();
  await untilMetric(url, 'calls_in_flight{service="proxy"} 0');
  expect(provider.seen).toHaveLength(1);
});

test('usage that does not add up is unknown with its structure kept, never zero', async () => {
  const usage =
    '{"prompt_tokens":100,"completion_tokens":50,"total_tokens":151,"note":"some text here"}';
  const { url, localLog, metrics } = await house((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(`{"model":"gpt-4o","choices":[],"usage":${usage}}`);
  });
  await call(`${url}/v1/chat/completions`, CHAT);
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'unknown',
    classes: {},
    raw_usage: '{"prompt_tokens":100,"completion_tokens":50,"total_tokens":151,"note":"…"}',
  });
  expect(await metrics.render()).toMatch(/usage_unreadable_total\{[^}]*\} 1/);
});

test('attempts left open by a crash become events under the same id, once', async () => {
  const office = createMemoryEventLog('office');
  let asked = false;
  const provider = await startUpstream(() => {
    asked = true;
  });
  await putUpstream(office, { base_url: provider.url });
  await putKey(office);
  const localLog = createMemoryEventLog('proxy-1');
  const first = await startTestProxy({ office, localLog });
  call(`${first.url}/v1/chat/completions`, CHAT).catch(() => undefined);
  await until(() => asked || undefined);
  // What is in the log at this moment is what a crash leaves behind.
  const again = createMemoryEventLog('proxy-1');
  const opened = await readAll(localLog, TOPICS.attempts.name);
  expect(opened).toHaveLength(1);
  await again.append(opened).stored;
  const second = await startTestProxy({ office, localLog: again });
  const events = await readEvents(second.localLog);
  expect(events).toHaveLength(1);
  expect(events[0]).toMatchObject({
    event_id: JSON.parse(Buffer.from(opened[0]?.value ?? []).toString()).data.event_id,
    ending: 'estimated',
    error_kind: 'crash',
    sequence: 1,
    classes: { output_text: '500' },
    estimate: { basis: 'declared_maximum' },
  });
  const third = await startTestProxy({ office, localLog: second.localLog });
  expect(await readEvents(third.localLog)).toEqual(events);
});

test('a graceful stop lets the calls in flight end, then ends them; each leaves its event', async () => {
  const { url, localLog, proxy } = await house((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(FIRST);
  });
  const reply = call(`${url}/v1/chat/completions`, CHAT);
  await untilMetric(url, 'calls_in_flight{service="proxy"} 1');
  await proxy.close();
  expect((await reply).cut).toBe(true);
  expect(await oneEvent(localLog)).toMatchObject({ ending: 'estimated', error_kind: 'shutdown' });
});

test('a prompt, a completion and a provider error text are in no log entry and no metric', async () => {
  const office = createMemoryEventLog('office');
  let turn = 0;
  const provider = await startUpstream((_req, res) => {
    turn += 1;
    res.writeHead(turn === 1 ? 400 : 200, { 'content-type': 'application/json' });
    res.end(
      turn === 1
        ? '{"error":{"message":"error-canary"}}'
        : `{"model":"gpt-4o","choices":[{"message":{"content":"reply-canary"}}],"usage":{"prompt_tokens":"usage-canary text","x":1}}`,
    );
  });
  await putUpstream(office, { base_url: provider.url });
  await putKey(office);
  const localLog = createMemoryEventLog('proxy-1');
  const written: string[] = [];
  const append = localLog.append.bind(localLog);
  localLog.append = (entries) => {
    for (const { key, value } of entries) written.push(key, Buffer.from(value ?? []).toString());
    return append(entries);
  };
  const { url, metrics } = await startTestProxy({ office, localLog });
  for (let i = 0; i < 3; i += 1) await call(`${url}/v1/chat/completions`, CHAT);
  expect(await readEvents(localLog)).toHaveLength(3);
  // Three opened records, three events, three tombstones; a key and a value each.
  expect(written).toHaveLength(18);
  expect(written.join('\n') + (await metrics.render())).not.toMatch(/canary/);
});
