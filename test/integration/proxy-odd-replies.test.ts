import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { call, putKey, putUpstream, readEvents, startTestProxy } from './proxy-harness.ts';

const REPLY =
  '{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}';
const JSON_TYPE = 'content-type: application/json';

interface Answer {
  status?: string;
  headers?: string[];
  body?: string;
}

/** An upstream that answers every request with these bytes, as no library would write them. */
const house = async ({ status = '200 OK', headers = [JSON_TYPE], body = REPLY }: Answer) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(`HTTP/1.1 ${status}\r\n${headers.join('\r\n')}\r\n`);
      socket.write(`content-length: ${Buffer.byteLength(body)}\r\n\r\n`);
      // The body comes in a turn of its own, as it does from a provider that works on it.
      setImmediate(() => socket.end(body));
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => new Promise((closed) => server.close(() => closed())));
  const { port } = server.address() as AddressInfo;
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: `http://127.0.0.1:${port}`, attempts_max: 1 });
  await putKey(office);
  return startTestProxy({ office });
};

const METERED = { ending: 'reported', classes: { input_uncached: '100', output_text: '50' } };
const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
const stream = `data: ${REPLY}\n\ndata: [DONE]\n\n`;

test.each<[string, Answer]>([
  ['two content types', { headers: [JSON_TYPE, JSON_TYPE] }],
  ['a header of another script', { headers: [JSON_TYPE, 'x-note: 株式会社'] }],
  ['a content type in capitals', { headers: ['content-type: Application/JSON'] }],
  ['a stream named in capitals', { headers: ['content-type: Text/Event-Stream'], body: stream }],
  ['a status of no standard', { status: '600 Odd' }],
  ['usage nested very deeply', { body: REPLY.replace('"usage":{', `"usage":{"x":${deep},`) }],
])('a reply with %s is passed on and metered', async (_name, answer) => {
  const { url, localLog } = await house(answer);
  const reply = await call(`${url}/openai/v1/chat/completions`, '{"model":"gpt-4o"}');
  expect(reply.body.toString()).toBe(answer.body ?? REPLY);
  expect(await readEvents(localLog)).toMatchObject([METERED]);
});

test('a reply with two content encodings that contradict each other leaves its event', async () => {
  const { url, localLog } = await house({
    headers: [JSON_TYPE, 'content-encoding: gzip', 'content-encoding: identity'],
  });
  await call(`${url}/openai/v1/chat/completions`, '{"model":"gpt-4o"}');
  expect(await readEvents(localLog)).toMatchObject([{ ending: 'unknown', classes: {} }]);
});
