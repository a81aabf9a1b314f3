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

const CHAT = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }] });
const USAGE =
  '{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":60},"completion_tokens_details":{"reasoning_tokens":20}}';
const CHAT_REPLY = `{"id":"c1","model":"gpt-4o-2024-08-06","service_tier":"default","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":${USAGE}}`;

const house = async (answer: Parameters<typeof startUpstream>[0], upstream: object = {}) => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream(answer);
  await putUpstream(office, { base_url: provider.url, ...upstream });
  await putKey(office);
  return { office, provider, ...(await startTestProxy({ office })) };
};

test('a chat completion is answered byte for byte and leaves one event with disjoint classes', async () => {
  const { url, localLog, provider } = await house((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json', 'x-request-id': 'req_1' });
    res.end(CHAT_REPLY);
  });
  const reply = await call(`${url}/openai/v1/chat/completions`, CHAT);
  expect(reply.status).toBe(200);
  expect(reply.body.toString()).toBe(CHAT_REPLY);
  expect(reply.headers['x-reckoner-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  const events = await readEvents(localLog);
  expect(events).toHaveLength(1);
  expect(events[0]).toMatchObject({
    ending: 'reported',
    sequence: 1,
    model: 'gpt-4o-2024-08-06',
    tier: 'default',
    provider_request_id: 'req_1',
    raw_usage: USAGE,
    // 100 prompt - 60 cached = 40; 50 completion - 20 reasoning = 30.
    classes: { input_uncached: '40', cache_read: '60', output_text: '30', output_reasoning: '20' },
    dimensions: { tenant: 'acme', feature: 'chat' },
  });
  expect(provider.seen[0]).toMatchObject({ url: '/v1/chat/completions', body: CHAT });
  expect(provider.seen[0]?.headers.authorization).toBe('Bearer upstream-secret');
  expect(JSON.stringify(provider.seen)).not.toContain(KEY);
});

const chunk = (rest: string): string =>
  `data: {"id":"c1","object":"chat.completion.chunk","model":"gpt-4o-2024-08-06",${rest}}\n\n`;
const stream = (asked: boolean): string => {
  const none = asked ? ',"usage":null' : '';
  return [
    chunk(`"choices":[{"index":0,"delta":{"content":"Grüß"},"finish_reason":null}]${none}`),
    chunk(`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]${none}`),
    asked ? chunk(`"choices":[],"usage":${USAGE}`) : '',
    'data: [DONE]\n\n',
  ].join('');
};

test.each([
  [false, 'did not ask'],
  [true, 'asked'],
])('a stream whose caller %s for usage (%s) has the bytes of a direct call', async (asks) => {
  const { url, localLog, provider } = await house((_req, res, body) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const bytes = Buffer.from(stream(body.includes('"include_usage":true')));
    for (let at = 0; at < bytes.length; at += 7) res.write(bytes.subarray(at, at + 7));
    res.end();
  });
  const options = asks ? { stream_options: { include_usage: true } } : {};
  const body = JSON.stringify({ ...JSON.parse(CHAT), stream: true, ...options });
  const direct = await call(`${provider.url}/v1/chat/completions`, body);
  const reply = await call(`${url}/v1/chat/completions`, body);
  expect(reply.body.toString()).toBe(direct.body.toString());
  expect((await readEvents(localLog))[0]).toMatchObject({
    ending: 'reported',
    streamed: true,
    classes: { input_uncached: '40', cache_read: '60', output_text: '30', output_reasoning: '20' },
  });
});
