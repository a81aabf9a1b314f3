import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  KEY,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
  until,
} from './proxy-harness.ts';

const CHAT = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }] });
const STREAM = JSON.stringify({ ...JSON.parse(CHAT), stream: true });
const USAGE = '{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}';
const REPLY = `{"model":"gpt-4o","choices":[],"usage":${USAGE}}`;

const house = async (answer: Parameters<typeof startUpstream>[0], upstream: object = {}) => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream(answer);
  await putUpstream(office, { base_url: provider.url, ...upstream });
  await putKey(office);
  return { provider, ...(await startTestProxy({ office })) };
};

test.each([
  ['gzip', gzipSync],
  ['br', brotliCompressSync],
])(
  'a body that an upstream compresses (%s) although asked not to passes as it is and is metered',
  async (name, squeeze) => {
    const { url, localLog, provider } = await house((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': name });
      res.end(squeeze(REPLY));
    });
    const reply = await call(`${url}/v1/chat/completions`, CHAT);
    expect(reply.body.equals(squeeze(REPLY))).toBe(true);
    expect(reply.headers['content-encoding']).toBe(name);
    expect(provider.seen[0]?.headers['accept-encoding']).toBe('identity');
    expect(await readEvents(localLog)).toMatchObject([{ ending: 'reported', raw_usage: USAGE }]);
  },
);

test('a compressed stream with usage to hide reaches the client decoded and without it', async () => {
  const event = (json: string): string => `data: ${json}\n\n`;
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
    const first = event('{"choices":[{"delta":{"content":"Hi"}}],"usage":null}');
    res.end(gzipSync(`${first}${event(`{"choices":[],"usage":${USAGE}}`)}data: [DONE]\n\n`));
  });
  const reply = await call(`${url}/v1/chat/completions`, STREAM);
  expect(reply.headers['content-encoding']).toBeUndefined();
  expect(reply.body.toString()).toBe(
    `${event('{"choices":[{"delta":{"content":"Hi"}}]}')}data: [DONE]\n\n`,
  );
  expect(await readEvents(localLog)).toMatchObject([{ ending: 'reported' }]);
});

test('an answer without body passes, and its usage is unknown', async () => {
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, { 'content-length': '0' });
    res.end();
  });
  const reply = await call(`${url}/v1/chat/completions`, CHAT);
  expect([reply.status, reply.body.length]).toEqual([200, 0]);
  expect(await readEvents(localLog)).toMatchObject([{ ending: 'unknown' }]);
});

test('a body of 20 MB reaches a slow client whole while the upstream is held back', async () => {
  const filler = 'x'.repeat(20_000_000);
  const big = `{"filler":"${filler}","choices":[],"usage":${USAGE}}`;
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(big);
  });
  const length = await new Promise<number>((resolve, reject) => {
    const req = request(
      `${url}/v1/chat/completions`,
      { method: 'POST', agent: false, headers: { authorization: `Bearer ${KEY}` } },
      (res) => {
        let total = 0;
        res.on('data', (chunk: Buffer) => {
          total += chunk.length;
          res.pause();
          setImmediate(() => res.resume());
        });
        res.on('end', () => resolve(total));
      },
    );
    req.on('error', reject);
    req.end(CHAT);
  });
  expect(length).toBe(big.length);
  expect(await readEvents(localLog)).toMatchObject([{ ending: 'reported', raw_usage: USAGE }]);
});

test('the client has its last byte only after the event is durable', async () => {
  const order: string[] = [];
  const localLog = createMemoryEventLog('proxy-1');
  const append = localLog.append.bind(localLog);
  let release = (): void => undefined;
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => {
    order.push('upstream');
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(REPLY);
  });
  await putUpstream(office, { base_url: provider.url });
  await putKey(office);
  const { url } = await startTestProxy({ office, localLog });
  localLog.append = (entries) => {
    const closing = entries.length === 2;
    order.push(closing ? 'event' : 'opened');
    const appended = append(entries);
    if (!closing) return appended;
    const durable = new Promise<void>((resolve) => {
      release = () => {
        order.push('durable');
        resolve();
      };
    });
    return { stored: appended.stored, durable };
  };
  const answer = call(`${url}/v1/chat/completions`, CHAT).then((reply) => {
    order.push('answered');
    return reply;
  });
  await until(() => order.includes('event') || undefined);
  // A round trip through the same server: had the last byte been sent, it would be here by now.
  await call(`${url}/livez`, null, { method: 'GET' });
  release();
  expect((await answer).body.toString()).toBe(REPLY);
  expect(order).toEqual(['opened', 'upstream', 'event', 'durable', 'answered']);
});

test('a connection survives a refusal of a body that was not read', async () => {
  const { url } = await house((_req, res) => res.end(REPLY));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const post = (key: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${key}` };
      const req = request(
        `${url}/v1/chat/completions`,
        { method: 'POST', agent, headers },
        (res) => {
          res.resume();
          res.on('end', () => resolve(res.statusCode ?? 0));
        },
      );
      req.on('error', reject);
      req.end(CHAT);
    });
  expect([await post('nobody'), await post(KEY)]).toEqual([401, 200]);
  agent.destroy();
});

test.each([
  ['two lengths', 'Content-Length: 2\r\nContent-Length: 3\r\n'],
  ['a length and a transfer encoding', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n'],
])('a request with %s is refused by the parser', async (_name, headers) => {
  const { url, provider } = await house((_req, res) => res.end(REPLY));
  const reply = await new Promise<string>((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('close', () => resolve(text));
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\n${headers}\r\n{}`,
    );
  });
  expect(reply).toMatch(/^HTTP\/1\.1 400 /);
  expect(provider.seen).toHaveLength(0);
});

test('100 clients that leave at random bytes leave 100 drained events', async () => {
  const piece =
    'data: {"model":"gpt-4o","choices":[{"delta":{"content":"word "}}],"usage":null}\n\n';
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    let left = 20;
    const next = (): void => {
      left -= 1;
      if (left > 0) res.write(piece, () => setImmediate(next));
      else res.end(`data: {"choices":[],"usage":${USAGE}}\n\ndata: [DONE]\n\n`);
    };
    next();
  });
  for (let client = 0; client < 100; client += 1) {
    const leaveAt = (client * 37) % 900;
    call(`${url}/v1/chat/completions`, STREAM, {
      onSocket: (socket) => {
        let got = 0;
        socket.on('data', (chunk) => {
          got += chunk.length;
          if (got > leaveAt) socket.destroy();
        });
      },
    }).catch(() => undefined);
  }
  const events = await until(async () => {
    const found = await readEvents(localLog);
    return found.length === 100 ? found : undefined;
  });
  for (const event of events) {
    expect(['drained', 'reported']).toContain(event.ending);
    expect(event.classes).toEqual({ input_uncached: '100', output_text: '50' });
  }
  // Gap-free: 1 to 100, each once.
  expect(events.map((e) => e.sequence)).toEqual(events.map((_e, index) => index + 1));
});
