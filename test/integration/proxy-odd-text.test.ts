import { expect, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
} from './proxy-harness.ts';

const REPLY =
  '{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}';

const house = async (reply = REPLY) => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' }).end(reply);
  });
  await putUpstream(office, { base_url: provider.url });
  await putKey(office);
  return startTestProxy({ office });
};

const METERED = { ending: 'reported', classes: { input_uncached: '100', output_text: '50' } };

// "İ" is one letter that becomes two in lower case; a tier too long for an event would make its readers refuse the event.
test.each([
  ['a requested tier', `{"model":"gpt-4o","service_tier":"${'İ'.repeat(64)}"}`, REPLY],
  [
    'a tier of the reply',
    '{"model":"gpt-4o"}',
    `{"service_tier":"${'İ'.repeat(64)}",${REPLY.slice(1)}`,
  ],
])('%s that grows in lower case leaves an event that can be read', async (_name, body, reply) => {
  const { url, localLog } = await house(reply);
  await call(`${url}/openai/v1/chat/completions`, body);
  expect(await readEvents(localLog)).toMatchObject([METERED]);
});

test('half a surrogate pair in model, tier, reply or tags is in no event', async () => {
  const { url, localLog } = await house(`{"service_tier":"\\udc00",${REPLY.slice(1)}`);
  const body = '{"model":"gpt-\\ud800","service_tier":"x\\ud800"}';
  expect((await call(`${url}/openai/v1/chat/completions`, body)).status).toBe(200);
  const [event] = await readEvents(localLog);
  expect(event).toMatchObject(METERED);
  expect(event).not.toHaveProperty('requested_model');
  expect(event).not.toHaveProperty('requested_tier');
  expect(event).not.toHaveProperty('tier');
  const tagged = await call(`${url}/openai/v1/chat/completions`, '{"model":"gpt-4o"}', {
    headers: { 'x-reckoner-tags': '{"campaign":"\\ud800"}' },
  });
  expect(tagged.status).toBe(400);
});

test('a reply in more parts than an event holds is unknown, not unreadable for every reader', async () => {
  const iterations = Array.from({ length: 65 }, (_, index) => ({
    model: `model-${index}`,
    input_tokens: 1,
    output_tokens: 1,
  }));
  const { url, localLog } = await house(
    JSON.stringify({ model: 'model-0', usage: { input_tokens: 1, output_tokens: 1, iterations } }),
  );
  await call(`${url}/openai/v1/messages`, '{"model":"model-0"}');
  expect(await readEvents(localLog)).toMatchObject([{ ending: 'unknown', classes: {} }]);
});

test('a credential that is not there is answered, not hung up on', async () => {
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: 'http://127.0.0.1:1' });
  await putKey(office);
  const resolveSecret = () => {
    throw new Error('the variable UPSTREAM_KEY is not set');
  };
  const { url } = await startTestProxy({ office, resolveSecret });
  const reply = await call(`${url}/openai/v1/chat/completions`, '{"model":"gpt-4o"}');
  expect(reply.status).toBe(503);
  expect(JSON.parse(reply.body.toString()).error.code).toBe('credential_missing');
});
