import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  KEY,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
} from './proxy-harness.ts';

const CHAT = '{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}';
const REPLY =
  '{"model":"gpt-4o","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}';
const PATH = '/openai/v1/chat/completions';
/** What an attacker would have the upstream take for a request of its own. */
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: x\r\nX-Ignore: x';

const house = async () => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(REPLY);
  });
  await putUpstream(office, { base_url: provider.url });
  await putKey(office);
  return { provider, ...(await startTestProxy({ office })) };
};

/** Sends bytes as they are and gives every byte that comes back until the proxy closes, or has answered `answers` times. */
const send = (
  port: number,
  bytes: string | string[],
  answers = Number.POSITIVE_INFINITY,
): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(port, '127.0.0.1', () => {
      for (const part of Array.isArray(bytes) ? bytes : [bytes]) socket.write(part, 'latin1');
    });
    socket.on('data', (chunk) => {
      said += chunk.toString('latin1');
      const whole = said.match(/HTTP\/1\.1 [2-5]\d\d/g)?.length ?? 0;
      if (whole >= answers && /\r\n\r\n/.test(said)) socket.end();
    });
    socket.on('close', () => resolve(said));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(said) : reject(error),
    );
  });

const statuses = (said: string): number[] =>
  [...said.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));

interface Raw {
  method?: string;
  target?: string;
  version?: string;
  headers?: string[];
  length?: boolean;
  body?: string;
  eol?: string;
}

/** A request as text, `Connection: close` at its end so that the proxy says when it is done. */
const raw = (about: Raw = {}): string => {
  const { method = 'POST', target = PATH, version = 'HTTP/1.1', eol = '\r\n', body = CHAT } = about;
  const lines = [
    `${method} ${target} ${version}`,
    'Host: proxy',
    `Authorization: Bearer ${KEY}`,
    'Content-Type: application/json',
    ...(about.length === false ? [] : [`Content-Length: ${body.length}`]),
    ...(about.headers ?? []),
    'Connection: close',
  ];
  return lines.join(eol) + eol + eol + body;
};
const chunked = (frames: string): string =>
  raw({ length: false, headers: ['Transfer-Encoding: chunked'], body: frames });
const HEX = CHAT.length.toString(16);

const REFUSED: readonly [string, string][] = [
  [
    'Content-Length and Transfer-Encoding',
    raw({
      headers: ['Transfer-Encoding: chunked'],
      body: `${HEX}\r\n${CHAT}\r\n0\r\n\r\n${SMUGGLED}`,
    }),
  ],
  [
    'Transfer-Encoding and Content-Length',
    raw({
      length: false,
      headers: ['Transfer-Encoding: chunked', 'Content-Length: 4'],
      body: `${HEX}\r\n${CHAT}\r\n0\r\n\r\n${SMUGGLED}`,
    }),
  ],
  ['two different lengths', raw({ headers: ['Content-Length: 5'] })],
  ['the same length twice', raw({ headers: [`Content-Length: ${CHAT.length}`] })],
  [
    'a list of lengths',
    raw({ length: false, headers: [`Content-Length: ${CHAT.length}, ${CHAT.length}`] }),
  ],
  ['a signed length', raw({ length: false, headers: [`Content-Length: +${CHAT.length}`] })],
  ['a negative length', raw({ length: false, headers: ['Content-Length: -1'] })],
  ['a hexadecimal length', raw({ length: false, headers: [`Content-Length: 0x${HEX}`] })],
  [
    'a length beyond all bounds',
    raw({ length: false, headers: ['Content-Length: 99999999999999999999999'] }),
  ],
  [
    'a blank before the colon',
    raw({ length: false, headers: [`Content-Length : ${CHAT.length}`] }),
  ],
  [
    'an unknown transfer encoding',
    raw({
      length: false,
      headers: ['Transfer-Encoding: xchunked'],
      body: `${HEX}\r\n${CHAT}\r\n0\r\n\r\n`,
    }),
  ],
  [
    'chunked that is not the last encoding',
    raw({
      length: false,
      headers: ['Transfer-Encoding: chunked, identity'],
      body: `${HEX}\r\n${CHAT}\r\n0\r\n\r\n`,
    }),
  ],
  [
    'chunked twice',
    raw({
      length: false,
      headers: ['Transfer-Encoding: chunked', 'Transfer-Encoding: cow'],
      body: `${HEX}\r\n${CHAT}\r\n0\r\n\r\n`,
    }),
  ],
  ['a chunk size that is no number', chunked(`zz\r\n${CHAT}\r\n0\r\n\r\n`)],
  ['a signed chunk size', chunked(`+${HEX}\r\n${CHAT}\r\n0\r\n\r\n`)],
  ['a chunk size with 0x', chunked(`0x${HEX}\r\n${CHAT}\r\n0\r\n\r\n`)],
  ['a chunk size beyond all bounds', chunked(`ffffffffffffffffff\r\n${CHAT}\r\n0\r\n\r\n`)],
  ['a chunk longer than its size', chunked(`4\r\n${CHAT}\r\n0\r\n\r\n`)],
  ['a chunk size ended by a bare LF', chunked(`${HEX}\n${CHAT}\r\n0\r\n\r\n`)],
  ['a length in the trailers', chunked(`${HEX}\r\n${CHAT}\r\n0\r\nContent-Length: 9\r\n\r\n`)],
  ['lines ended by a bare LF', raw({ eol: '\n' })],
  ['a bare CR in a header', raw({ headers: ['X-A: b\rTransfer-Encoding: chunked'] })],
  ['a zero byte in a header', raw({ headers: ['X-A: b\u0000c'] })],
  ['a header without a colon', raw({ headers: ['Transfer-Encoding chunked'] })],
  ['a header with an empty name', raw({ headers: [': chunked'] })],
  ['a header name with a blank', raw({ headers: ['X A: b'] })],
  [
    'headers of 40 KiB',
    raw({ headers: Array.from({ length: 40 }, (_, n) => `X-${n}: ${'x'.repeat(1024)}`) }),
  ],
  ['a header of 40 KiB', raw({ headers: [`X-Long: ${'x'.repeat(40_960)}`] })],
  ['a target of 40 KiB', raw({ target: `${PATH}?x=${'x'.repeat(40_960)}` })],
  ['no Host', raw().replace('Host: proxy\r\n', '')],
  ['half a preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\n'],
  ['HTTP/0.9', `POST ${PATH}\r\n\r\n`],
  ['a version of two digits', raw({ version: 'HTTP/1.10' })],
  ['a method in lower case', raw({ method: 'post' })],
  ['a made-up method', raw({ method: 'BREW' })],
  [
    'TRACE, which would show the credential',
    raw({ method: 'TRACE', target: '/openai/v1/responses/resp_68a1b2c3', length: false, body: '' }),
  ],
  ['a WebDAV method', raw({ method: 'PROPFIND' })],
  ['a blank in the target', raw({ target: `${PATH} /x` })],
];

describe('row 72 · a request that two servers may read in two ways', () => {
  test.each(REFUSED)(
    '%s is answered 4xx and the connection closed; the upstream sees nothing',
    async (_name, bytes) => {
      const { proxy, provider, localLog } = await house();
      // What is behind the first request must not be served either.
      const said = await send(proxy.port, [bytes, raw({ target: PATH })]);
      const [status = 0] = statuses(said);
      expect(
        status === 400 || status === 431 || status === 417 || status === 413,
        said.slice(0, 80),
      ).toBe(true);
      expect(provider.seen).toEqual([]);
      expect(await readEvents(localLog)).toEqual([]);
    },
  );
});

describe('row 72 · targets that are not a path here', () => {
  test.each([
    ['absolute form', `http://evil.example${PATH}`],
    ['absolute form with user', `http://openai@127.0.0.1${PATH}`],
    ['authority form', 'evil.example:443'],
    ['asterisk', '*'],
    ['dot segments', '/openai/v1/../v1/chat/completions'],
    ['escaped dot segments', '/openai/%2e%2e/v1/chat/completions'],
    ['escaped slash', '/openai/v1%2fchat/completions'],
    ['backslash', '/openai\\v1\\chat\\completions'],
    ['double slash', '//openai/v1/chat/completions'],
    ['fragment', `${PATH}#/models`],
    ['zero byte', `${PATH}%00/models`],
  ])('%s is answered 4xx; the upstream sees nothing', async (_name, target) => {
    const { proxy, provider } = await house();
    const [status = 0] = statuses(await send(proxy.port, raw({ target })));
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(provider.seen).toEqual([]);
  });

  test('CONNECT opens no tunnel', async () => {
    const { proxy, provider } = await house();
    const said = await send(proxy.port, 'CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(said).not.toMatch(/^HTTP\/1\.1 2/);
    expect(provider.seen).toEqual([]);
  });
});

/** What every request that is served must have become: one, of ours, with our length and nothing smuggled. */
const expectOne = (seen: Awaited<ReturnType<typeof startUpstream>>['seen'], body = CHAT): void => {
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatchObject({ method: 'POST', url: '/v1/chat/completions', body });
  expect(seen[0]?.headers['content-length']).toBe(String(body.length));
  expect(seen[0]?.headers['transfer-encoding']).toBeUndefined();
};

describe('row 72 · a request that is odd but clear', () => {
  test.each([
    ['chunked', chunked(`${HEX}\r\n${CHAT}\r\n0\r\n\r\n`)],
    [
      'chunked with extensions and trailers',
      chunked(`${HEX};a=b\r\n${CHAT}\r\n0\r\nX-Trailer: 1\r\n\r\n`),
    ],
    ['HTTP/1.0', raw({ version: 'HTTP/1.0' })],
    ['Expect: 100-continue', raw({ headers: ['Expect: 100-continue'] })],
    [
      'an upgrade to HTTP/2',
      raw({ headers: ['Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'] }),
    ],
    [
      'a websocket',
      raw({ headers: ['Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='] }),
    ],
    [
      'a method in a header',
      raw({
        headers: [
          'X-HTTP-Method-Override: DELETE',
          'X-HTTP-Method: DELETE',
          'X-Method-Override: DELETE',
        ],
      }),
    ],
    [
      'another path in a header',
      raw({ headers: ['X-Original-URL: /v1/files', 'X-Rewrite-URL: /v1/files'] }),
    ],
    ['two Hosts', raw({ headers: ['Host: evil.example'] })],
    ['two types', raw({ headers: ['Content-Type: text/plain'] })],
  ])('%s becomes one plain request', async (_name, bytes) => {
    const { proxy, provider, localLog } = await house();
    expect(statuses(await send(proxy.port, bytes)).at(-1)).toBe(200);
    expectOne(provider.seen);
    const sent = Object.keys(provider.seen[0]?.headers ?? {});
    expect(
      sent.filter((name) => /override|x-|upgrade|http2|expect|trailer|sec-/.test(name)),
    ).toEqual([]);
    expect(provider.seen[0]?.headers.host).not.toContain('evil');
    expect(await readEvents(localLog)).toHaveLength(1);
  });

  test('a folded header line is refused or one value; it never becomes a header of its own', async () => {
    const { proxy, provider } = await house();
    await send(
      proxy.port,
      raw({
        headers: ['X-A: b\r\n Transfer-Encoding: chunked', 'Anthropic-Beta: a\r\n\tX-Smuggled: b'],
      }),
    );
    expect(provider.seen.length).toBeLessThanOrEqual(1);
    for (const { headers } of provider.seen) {
      expect(headers['transfer-encoding']).toBeUndefined();
      expect(headers['x-smuggled']).toBeUndefined();
    }
  });

  test('headers that Connection names stay here, whatever they are', async () => {
    const { proxy, provider } = await house();
    const named = raw({
      headers: ['Anthropic-Beta: gone', 'Idempotency-Key: gone', 'OpenAI-Beta: stays'],
    }).replace(
      'Connection: close',
      'Connection: close, Anthropic-Beta, idempotency-key, content-length, authorization',
    );
    expect(statuses(await send(proxy.port, named))).toEqual([200]);
    expectOne(provider.seen);
    expect(provider.seen[0]?.headers).toMatchObject({
      'openai-beta': 'stays',
      authorization: 'Bearer upstream-secret',
    });
    expect(JSON.stringify(provider.seen[0]?.headers)).not.toContain('gone');
  });

  test('what stands behind the declared length is a request of its own, judged by itself', async () => {
    const { proxy, provider, localLog } = await house();
    const first = raw().replace('Connection: close\r\n', '');
    const said = await send(proxy.port, `${first}${SMUGGLED}\r\nConnection: close\r\n\r\n`);
    // It has no key and no such path exists: 404, and nothing of it reaches the upstream.
    expect(statuses(said)).toEqual([200, 404]);
    expectOne(provider.seen);
    expect(await readEvents(localLog)).toHaveLength(1);
  });

  test('pipelined calls are answered in order, each with its own event', async () => {
    const { proxy, provider, localLog } = await house();
    const keep = raw().replace('Connection: close\r\n', '');
    const other = raw()
      .replace(KEY, `${KEY.slice(0, -1)}x`)
      .replace('Connection: close\r\n', '');
    expect(statuses(await send(proxy.port, keep + other + raw()))).toEqual([200, 401, 200]);
    expect(provider.seen).toHaveLength(2);
    expect(await readEvents(localLog)).toHaveLength(2);
  });

  test('a body that never comes is no call', async () => {
    const { proxy, provider, localLog } = await house();
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    const socket = connect(proxy.port, '127.0.0.1', () => {
      socket.write(raw({ body: CHAT }).slice(0, -5), () => socket.end());
    });
    socket.on('close', () => resolve());
    socket.resume();
    await gone;
    expect(provider.seen).toEqual([]);
    expect(await readEvents(localLog)).toEqual([]);
  });
});
