import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  ANTHROPIC,
  callAndLeave,
  callToLeave,
  chatOf,
  FIRST,
  house,
  LAST,
  MESSAGES,
  oneEvent,
  STREAM,
  sse,
  untilMetric,
} from './endings-house.ts';
import {
  call,
  KEY,
  putKey,
  putUpstream,
  readAll,
  readEvents,
  startTestProxy,
  startUpstream,
  until,
  untilEvents,
} from './proxy-harness.ts';

/** Goal: whenever a client goes, each attempt has one event that says what is known. Method: an upstream whose every byte the test decides. */
const CHAT = chatOf('count the boats on the river, please');
const MESSAGE_START = sse(
  '{"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":70,"cache_read_input_tokens":5,"cache_creation_input_tokens":900,"cache_creation":{"ephemeral_5m_input_tokens":600,"ephemeral_1h_input_tokens":300},"output_tokens":1}}}',
);
const delta = (text: string): string =>
  sse(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"${text}"}}`);

test('case 2 · clients that all drop at once: as many drains as are allowed, an estimate for each of the others', async () => {
  const clients = 40;
  const open: ServerResponse[] = [];
  const { url, localLog, metrics } = await house(
    (_req, res) => {
      open.push(res);
      res.writeHead(200, STREAM);
      res.write(FIRST);
    },
    {},
    { drains_max: 5 },
  );
  await Promise.all(
    Array.from({ length: clients }, () => callAndLeave(`${url}/v1/chat/completions`, CHAT)),
  );
  const { over, drains } = await until(async () => {
    const found = await readEvents(localLog);
    const taken = Number(/proxy_drains\{[^}]*\} (\d+)/.exec(await metrics.render())?.[1]);
    return found.length + taken >= clients ? { over: found, drains: taken } : undefined;
  });
  expect([drains, over.length]).toEqual([5, clients - 5]);
  expect(over.every((event) => event.ending === 'estimated')).toBe(true);
  // Whoever was given up was let go upstream as well: nobody generates for a client that left.
  await until(() => open.filter((res) => res.destroyed).length === clients - 5 || undefined);
  for (const res of open) if (!res.destroyed) res.end(LAST);
  const events = await untilEvents(localLog, clients);
  expect(events.filter((event) => event.ending === 'drained')).toHaveLength(5);
});

test('case 2 · a drain reads 64 MiB and no more: an endless answer is given up and estimated', async () => {
  const chunk = Buffer.from(
    sse(`{"choices":[{"index":0,"delta":{"content":""}}],"pad":"${'x'.repeat(1_000_000)}"}`),
  );
  let sent = 0;
  let pour = (): void => undefined;
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, STREAM);
    res.write(FIRST);
    pour = () => {
      while (!res.destroyed) {
        sent += chunk.length;
        if (!res.write(chunk)) return void res.once('drain', pour);
      }
    };
  });
  await callAndLeave(`${url}/v1/chat/completions`, CHAT);
  // Not before the proxy knows that the client has gone: then every byte is read for nobody.
  await untilMetric(url, 'proxy_drains{service="proxy"} 1');
  pour();
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'estimated',
    error_kind: 'client_left',
    classes: { output_text: '3' },
  });
  expect(sent).toBeGreaterThan(64 * 1024 * 1024);
  expect(sent).toBeLessThan(72 * 1024 * 1024);
});

test('case 3 · a drop on the Anthropic route keeps what was stated: input, cache read, both cache writes, and output so far', async () => {
  const { url, localLog } = await house(
    (_req, res) => {
      res.writeHead(200, STREAM);
      res.write(MESSAGE_START + delta('one two three'));
    },
    { ...ANTHROPIC, disconnect: 'cancel' },
  );
  await callAndLeave(`${url}/anthropic/v1/messages`, MESSAGES);
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'partial',
    error_kind: 'client_left',
    classes: {
      input_uncached: '70',
      cache_read: '5',
      cache_write_5m: '600',
      cache_write_1h: '300',
      output_text: '3',
    },
  });
});

test('case 8 · a cancelled stream of 806 deltas is not one token of output: the text seen is counted, and flagged', async () => {
  const { url, localLog } = await house(
    (_req, res) => {
      res.writeHead(200, STREAM);
      res.write(MESSAGE_START);
      // " boat" is one token of o200k; the first stands without its blank and is one too.
      res.write(delta('boat') + delta(' boat').repeat(805));
      res.write(sse('{"type":"ping"}'));
    },
    { ...ANTHROPIC, disconnect: 'cancel' },
  );
  let text = '';
  const leave = await new Promise<() => void>((resolve) => {
    call(`${url}/anthropic/v1/messages`, MESSAGES, {
      onSocket: (socket) => {
        socket.on('data', (chunk: Buffer) => {
          text += chunk.toString();
          if (text.includes('"ping"')) resolve(() => socket.destroy());
        });
      },
    }).catch(() => undefined);
  });
  leave();
  const event = await oneEvent(localLog);
  expect(event).toMatchObject({
    ending: 'partial',
    classes: { input_uncached: '70', output_text: '806' },
    estimate: { basis: 'text_seen', classes: ['output_text'] },
  });
});

test('case 13 · a client that leaves before the first byte of output still leaves its prompt on the bill', async () => {
  let asked = false;
  const { url, localLog } = await house(
    () => {
      asked = true;
    },
    { disconnect: 'cancel' },
  );
  const leave = callToLeave(`${url}/v1/chat/completions`, CHAT);
  await until(() => asked || undefined);
  leave();
  const event = await oneEvent(localLog);
  expect(event).toMatchObject({
    ending: 'estimated',
    error_kind: 'client_left',
    classes: { output_text: '0' },
    estimate: { basis: 'text_seen', classes: ['input_uncached', 'output_text'] },
  });
  // Seven words and a comma, each a token of o200k.
  expect(event?.classes.input_uncached).toBe('8');
});

test('case 21 · what a dropped stream held is given back: the next one is drained again, and every count returns to zero', async () => {
  const open: ServerResponse[] = [];
  const { url, localLog } = await house(
    (_req, res) => {
      open.push(res);
      res.writeHead(200, STREAM);
      res.write(FIRST);
    },
    {},
    { drains_max: 2 },
  );
  for (const round of [1, 2, 3]) {
    await Promise.all([
      callAndLeave(`${url}/v1/chat/completions`, CHAT),
      callAndLeave(`${url}/v1/chat/completions`, CHAT),
    ]);
    await untilMetric(url, 'proxy_drains{service="proxy"} 2');
    for (const res of open.splice(0)) res.end(LAST);
    const events = await untilEvents(localLog, 2 * round);
    expect(events.map((event) => event.ending)).toEqual(events.map(() => 'drained'));
  }
  await untilMetric(url, 'proxy_drains{service="proxy"} 0');
  await untilMetric(url, 'proxy_calls_in_flight{service="proxy"} 0');
});

test('row 53 · a stream that ends without its usage is one event, estimated from the text, and says so', async () => {
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, STREAM);
    res.end(`${FIRST}data: [DONE]\n\n`);
  });
  expect((await call(`${url}/v1/chat/completions`, CHAT)).cut).toBe(false);
  const event = await oneEvent(localLog);
  expect(event).toMatchObject({ ending: 'estimated', classes: { output_text: '3' } });
  expect(event?.estimate).toEqual({
    basis: 'text_seen',
    classes: ['input_uncached', 'output_text'],
  });
});

test('row 53 · a Gemini array that breaks off leaves what its last whole chunk stated', async () => {
  const chunk = (text: string, tokens: number): string =>
    JSON.stringify({
      candidates: [{ content: { parts: [{ text }] } }],
      usageMetadata: {
        promptTokenCount: 40,
        candidatesTokenCount: tokens,
        totalTokenCount: 40 + tokens,
      },
      modelVersion: 'gemini-2.5-flash',
    });
  const { url, localLog } = await house(
    (_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json; charset=UTF-8' });
      res.write(`[${chunk('a "quoted" ] brace', 6)}\n,\r\n`);
      res.write(`${chunk('on', 7)},{"candidates":[{"con`, () => res.destroy());
    },
    { id: 'gemini', provider: 'google', dialect: 'gemini' },
  );
  const path = '/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent';
  expect((await call(url + path, '{"contents":[]}')).cut).toBe(true);
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'partial',
    error_kind: 'cut',
    classes: { input_uncached: '40', output_text: '7' },
  });
});

test('row 53 · usage stated so far in every chunk is a part until a choice has finished', async () => {
  const chunk = (tokens: number): string =>
    sse(
      `{"model":"grok-3-mini","choices":[{"index":0,"delta":{"content":"one"}}],"usage":{"prompt_tokens":20,"completion_tokens":${tokens},"total_tokens":${20 + tokens}}}`,
    );
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, STREAM);
    res.write(chunk(8) + chunk(16), () => res.destroy());
  });
  await call(`${url}/v1/chat/completions`, CHAT);
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'partial',
    classes: { input_uncached: '20', output_text: '16' },
  });
});

/** A local log whose records of opened attempts reach a stage only when the test says so. */
const slowLog = (stage: 'stored' | 'durable') => {
  const log = createMemoryEventLog('proxy-1');
  const gate = Promise.withResolvers<unknown>();
  let held = 0;
  const append = log.append.bind(log);
  log.append = (entries) => {
    const written = append(entries);
    if (!entries.some(({ topic, value }) => topic === TOPICS.attempts.name && value !== null)) {
      return written;
    }
    held += 1;
    const later = gate.promise.then((): Promise<unknown> => written[stage]);
    return { ...written, [stage]: later };
  };
  return { log, release: () => gate.resolve(undefined), held: () => held };
};

const slowHouse = async (
  stage: 'stored' | 'durable',
  disconnect: 'drain' | 'cancel',
  rest: Promise<unknown> = Promise.resolve(),
) => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, STREAM);
    res.write(FIRST);
    void rest.then(() => res.end(LAST));
  });
  await putUpstream(office, { base_url: provider.url, disconnect });
  await putKey(office);
  const slow = slowLog(stage);
  const running = await startTestProxy({ office, localLog: slow.log });
  return { ...running, provider, slow };
};

test.each(['drain', 'cancel'] as const)(
  'a client that leaves before anything was sent upstream costs nothing (%s): no call, one event, not billed',
  async (disconnect) => {
    const { url, localLog, provider, slow } = await slowHouse('stored', disconnect);
    const leave = callToLeave(`${url}/v1/chat/completions`, CHAT);
    await until(() => slow.held() > 0 || undefined);
    leave();
    // What closed before a later call was made has been noticed when that one is answered.
    await call(`${url}/livez`, null, { method: 'GET' });
    await call(`${url}/livez`, null, { method: 'GET' });
    slow.release();
    expect(await oneEvent(localLog)).toMatchObject({
      ending: 'not_billed',
      error_kind: 'client_left',
      classes: {},
    });
    expect(provider.seen).toHaveLength(0);
  },
);

test('a client that leaves while the opened record is flushed is drained: one event, with the full usage', async () => {
  const rest = Promise.withResolvers<unknown>();
  const { url, localLog, provider, slow } = await slowHouse('durable', 'drain', rest.promise);
  const leave = callToLeave(`${url}/v1/chat/completions`, CHAT);
  await until(() => provider.seen.length > 0 || undefined);
  leave();
  await untilMetric(url, 'proxy_drains{service="proxy"} 1');
  slow.release();
  rest.resolve(undefined);
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'drained',
    classes: { input_uncached: '100', output_text: '50' },
  });
});

test('a client that leaves before its body is sent makes no attempt', async () => {
  const { url, localLog, provider } = await house((_req, res) => void res.end());
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${CHAT.length}\r\n\r\n`;
  socket.write(head + CHAT.slice(0, 20));
  await untilMetric(url, 'proxy_calls_in_flight{service="proxy"} 1');
  socket.destroy();
  await untilMetric(url, 'proxy_calls_in_flight{service="proxy"} 0');
  expect(provider.seen).toHaveLength(0);
  expect(await readAll(localLog, TOPICS.attempts.name)).toHaveLength(0);
  expect(await readEvents(localLog)).toHaveLength(0);
});

test('a client that closes its half of the connection has left, as web servers commonly see it: its call is drained', async () => {
  let finish = (): void => undefined;
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, STREAM);
    res.write(FIRST);
    finish = () => void res.end(LAST);
  });
  const { hostname, port } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer ${KEY}\r\ncontent-length: ${CHAT.length}\r\n\r\n`;
  socket.write(head + CHAT);
  await new Promise((resolve) => socket.once('data', resolve));
  const closed = new Promise((resolve) => socket.once('end', resolve));
  socket.end();
  await untilMetric(url, 'proxy_drains{service="proxy"} 1');
  await closed;
  finish();
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'drained',
    error_kind: 'client_left',
    classes: { output_text: '50' },
  });
});
