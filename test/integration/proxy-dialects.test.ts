import { EventStreamCodec } from '@smithy/eventstream-codec';
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
} from './proxy-harness.ts';

/** A proxy before one upstream of a dialect that answers every call alike. */
const before = async (
  upstream: Record<string, unknown>,
  answer: Parameters<typeof startUpstream>[0],
  key: Record<string, unknown> = {},
) => {
  const provider = await startUpstream(answer);
  const office = createMemoryEventLog('office');
  await putKey(office, key);
  await putUpstream(office, { models: [], base_url: provider.url, ...upstream });
  const proxy = await startTestProxy({ office });
  const oneEvent = async () => {
    const [event, ...others] = await readEvents(proxy.localLog);
    expect(others).toEqual([]);
    if (!event) throw new Error('no event was written');
    return event;
  };
  return { ...proxy, provider, oneEvent };
};

const json = (status: number, body: object) =>
  ((_req, res) => {
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }) as Parameters<typeof startUpstream>[0];

const AZURE = { id: 'azure-contoso', provider: 'azure', dialect: 'azure' };
const CHAT = '/azure/contoso/openai/deployments/prod/chat/completions?api-version=2024-02-01';
const PROMPT = JSON.stringify({ messages: [{ role: 'user', content: 'one two three' }] });

test('Azure: a prompt its content filter refuses is billed, so its input is estimated', async () => {
  const refusal = { error: { code: 'content_filter', message: 'The response was filtered' } };
  const { url, provider, oneEvent } = await before(AZURE, json(400, refusal));
  const reply = await call(`${url}${CHAT}`, PROMPT, {
    headers: { authorization: '', 'api-key': KEY },
  });
  expect([reply.status, JSON.parse(reply.body.toString())]).toEqual([400, refusal]);
  expect(provider.seen[0]).toMatchObject({
    url: '/openai/deployments/prod/chat/completions?api-version=2024-02-01',
    headers: { 'api-key': 'upstream-secret' },
  });
  expect(await oneEvent()).toMatchObject({
    ending: 'estimated',
    error_kind: 'refused',
    requested_model: 'prod',
    upstream: 'azure-contoso',
    estimate: { basis: 'text_seen' },
    classes: { input_uncached: '3' },
  });
});

test('Azure: any other refusal is not billed', async () => {
  const { url, oneEvent } = await before(AZURE, json(404, { error: { code: 'NotFound' } }));
  await call(`${url}${CHAT}`, PROMPT);
  expect(await oneEvent()).toMatchObject({ ending: 'not_billed', classes: {} });
});

const GEMINI = { id: 'gemini', provider: 'google', dialect: 'gemini' };
const GENERATE = '/gemini/v1beta/models/gemini-2.5-flash:generateContent';

test('Gemini: the key goes in its own header, a key’s models hold for the path, the event has the classes', async () => {
  const body = {
    modelVersion: 'gemini-2.5-flash',
    usageMetadata: { promptTokenCount: 10, thoughtsTokenCount: 5, totalTokenCount: 15 },
  };
  const { url, provider, oneEvent } = await before(GEMINI, json(200, body), {
    models: ['gemini-2.5-*'],
  });
  const headers = { authorization: '', 'x-goog-api-key': KEY };
  const contents = JSON.stringify({ contents: [{ parts: [{ text: 'hello' }] }] });
  expect((await call(`${url}${GENERATE}`, contents, { headers })).status).toBe(200);
  const other = GENERATE.replace('2.5-flash', '3-pro');
  expect((await call(`${url}${other}`, contents, { headers })).status).toBe(403);
  expect(provider.seen.map(({ headers: sent }) => sent['x-goog-api-key'])).toEqual([
    'upstream-secret',
  ]);
  expect(await oneEvent()).toMatchObject({
    flavour: 'gemini.generate',
    ending: 'reported',
    classes: { input_uncached: '10', output_text: '0', output_reasoning: '5' },
  });
});

test('Bedrock: each message of a binary stream reaches the client before the next is there', async () => {
  const codec = new EventStreamCodec(
    (bytes) => Buffer.from(bytes).toString(),
    (text) => Buffer.from(text),
  );
  const message = (type: string, payload: object): Buffer =>
    Buffer.from(
      codec.encode({
        headers: { ':event-type': { type: 'string', value: type } },
        body: Buffer.from(JSON.stringify(payload)),
      }),
    );
  const first = message('contentBlockDelta', { delta: { text: 'Hi' } });
  const usage = { inputTokens: 8, outputTokens: 2, totalTokens: 10 };
  const second = message('metadata', { usage });
  const arrived = Promise.withResolvers<void>();
  const { url, oneEvent } = await before(
    { id: 'bedrock', provider: 'aws', dialect: 'bedrock' },
    (_req, res) => {
      res.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream' });
      res.write(first);
      // Ends only when the client has the first message: one held back would hang here.
      arrived.promise.then(() => res.end(second));
    },
  );
  const reply = await call(`${url}/bedrock/model/amazon.nova-lite-v1%3A0/converse-stream`, '{}', {
    onSocket: (socket) => {
      let seen = '';
      socket.on('data', (bytes: Buffer) => {
        seen += bytes.toString('latin1');
        if (seen.includes('contentBlockDelta')) arrived.resolve();
      });
    },
  });
  expect(reply.body.equals(Buffer.concat([first, second]))).toBe(true);
  expect(await oneEvent()).toMatchObject({
    flavour: 'bedrock.converse',
    requested_model: 'amazon.nova-lite-v1:0',
    streamed: true,
    ending: 'reported',
    classes: { input_uncached: '8', output_text: '2' },
  });
});

test('speech: the characters sent are what is sold', async () => {
  const { url, oneEvent } = await before({}, (_req, res) => {
    res.writeHead(200, { 'content-type': 'audio/mpeg' }).end(Buffer.from([0xff, 0xfb, 0x90]));
  });
  await call(`${url}/openai/v1/audio/speech`, JSON.stringify({ model: 'tts-1', input: 'Hello' }));
  expect(await oneEvent()).toMatchObject({
    flavour: 'openai.speech',
    requested_model: 'tts-1',
    ending: 'reported',
    classes: {},
    units: { characters: '5' },
  });
});

test('a provider that states usage unasked is not asked, and what it states is not hidden', async () => {
  const usage = { prompt_tokens: 4, completion_tokens: 1, total_tokens: 5 };
  const stream = `data: {"choices":[],"usage":${JSON.stringify(usage)}}\n\ndata: [DONE]\n\n`;
  const { url, provider, oneEvent } = await before({ stream_usage: 'as_is' }, (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).end(stream);
  });
  const body = '{"model":"gpt-4o","stream":true,"messages":[]}';
  const reply = await call(`${url}/openai/v1/chat/completions`, body);
  expect([reply.body.toString(), provider.seen[0]?.body]).toEqual([stream, body]);
  expect(await oneEvent()).toMatchObject({ classes: { input_uncached: '4', output_text: '1' } });
});
