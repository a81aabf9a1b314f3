import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { connect, constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { startClientsHouse } from './proxy-clients-house.ts';
import {
  KEY,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
  untilEvents,
} from './proxy-harness.ts';

/** One streamed chat over HTTP/2 without a word of HTTP/1; `onData` sees each piece. */
const stream = (url: string, directive: string, onData: (leave: () => void) => void) => {
  const session = connect(url);
  onTestFinished(() => session.destroy());
  const call = session.request({
    ':method': 'POST',
    ':path': '/openai/v1/chat/completions',
    authorization: `Bearer ${KEY}`,
    'content-type': 'application/json',
  });
  const messages = [{ role: 'user', content: `[[sandbox ${directive}]]` }];
  call.end(JSON.stringify({ model: 'gpt-4o', stream: true, messages }));
  return new Promise<number>((resolve) => {
    call.on('data', () => onData(() => call.close(constants.NGHTTP2_CANCEL)));
    call.on('error', () => undefined);
    call.on('close', () => resolve(call.rstCode));
  });
};

test('a caller over HTTP/2 that leaves in the middle is drained like any other', async () => {
  const house = await startClientsHouse();
  const directive = 'input=100 output=40 chunks=20 chunk_ms=10';
  await stream(house.url, directive, (leave) => leave());
  const [event] = await untilEvents(house.localLog, 1);
  expect(event).toMatchObject({
    ending: 'drained',
    error_kind: 'client_left',
    classes: { input_uncached: '100', output_text: '40' },
  });
});

test('an answer that breaks off does not look over HTTP/2 like one that ended', async () => {
  const house = await startClientsHouse();
  const code = await stream(
    house.url,
    'input=100 output=40 chunks=20 cut=after:10',
    () => undefined,
  );
  expect(code).not.toBe(0);
  expect((await readEvents(house.localLog))[0]).toMatchObject({ error_kind: 'cut' });
});

const REPLY = '{"model":"gpt-4o","usage":{"prompt_tokens":3,"completion_tokens":4}}';

const houseAnswering = async (answer: (res: ServerResponse) => void) => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => answer(res));
  await putUpstream(office, { base_url: provider.url, attempts_max: 1 });
  await putKey(office);
  return { provider, ...(await startTestProxy({ office })) };
};

/** One call over HTTP/2, whole. */
const callHttp2 = (url: string, headers: OutgoingHttpHeaders, body: string) => {
  const session = connect(url);
  onTestFinished(() => session.destroy());
  const stream = session.request(
    {
      ':method': 'POST',
      ':path': '/openai/v1/chat/completions',
      authorization: `Bearer ${KEY}`,
      'content-type': 'application/json',
      ...headers,
    },
    { endStream: false },
  );
  stream.end(body);
  return new Promise<{ status: number | undefined; text: string }>((resolve) => {
    const heard = { status: undefined as number | undefined, text: '' };
    stream.on('response', (head) => {
      heard.status = head[':status'];
    });
    stream.on('data', (chunk) => {
      heard.text += chunk;
    });
    stream.on('error', () => undefined);
    stream.on('close', () => resolve(heard));
  });
};

const CHAT = '{"model":"gpt-4o","messages":[]}';

describe('an upstream cannot end the process of callers over HTTP/2', () => {
  test('by a status that HTTP/2 does not know', async () => {
    const { url } = await houseAnswering((res) => void res.writeHead(999).end(REPLY));
    expect(await callHttp2(url, {}, CHAT)).toEqual({ status: 502, text: REPLY });
  });

  test('by headers that HTTP/2 forbids', async () => {
    const { url } = await houseAnswering(
      (res) => void res.writeHead(200, { 'http2-settings': 'AAMAAABk', te: 'gzip' }).end(REPLY),
    );
    expect(await callHttp2(url, {}, CHAT)).toEqual({ status: 200, text: REPLY });
  });

  test('nor is its answer lost for a head of 40 KiB', async () => {
    const long = Object.fromEntries(
      Array.from({ length: 8 }, (_, n) => [`x-${n}`, 'y'.repeat(5_000)]),
    );
    const office = createMemoryEventLog('office');
    const server = createServer({ maxHeaderSize: 65_536 }, (_req, res) => {
      res.writeHead(200, long).end(REPLY);
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    await putUpstream(office, { base_url: `http://127.0.0.1:${port}` });
    await putKey(office);
    const { url } = await startTestProxy({ office });
    expect(await callHttp2(url, {}, CHAT)).toEqual({ status: 200, text: REPLY });
  });
});

test('a body behind a method that has none is a body, not a second request', async () => {
  const { url, provider } = await houseAnswering((res) => void res.writeHead(200).end('deleted'));
  const smuggled = `POST /openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n`;
  const path = '/openai/v1/files/file-abc123';
  const heard = await callHttp2(url, { ':method': 'DELETE', ':path': path }, smuggled);
  expect(heard).toEqual({ status: 200, text: 'deleted' });
  expect(provider.seen).toMatchObject([{ method: 'DELETE', body: smuggled }]);
});

test('connections that have not said what they speak do not hold up a stop', async () => {
  const { proxy } = await houseAnswering((res) => void res.end());
  for (const said of ['', 'PRI * HT']) {
    const socket = connectTcp(proxy.port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined);
    await new Promise<void>((connected) => socket.once('connect', connected));
    socket.write(said);
  }
  // Served behind them, so they have been taken in by now.
  await fetch(`${proxy.url}/livez`);
  await proxy.close();
});
