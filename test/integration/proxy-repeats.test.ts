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

test('case 28 · the same request twice is two calls and two events, and what the provider had cached stays a class of its own', async () => {
  let calls = 0;
  const provider = await startUpstream((_req, res) => {
    calls += 1;
    const cached = calls === 1 ? 0 : 1024;
    const usage = {
      prompt_tokens: 1100,
      completion_tokens: 7,
      total_tokens: 1107,
      prompt_tokens_details: { cached_tokens: cached },
    };
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(
      JSON.stringify({ id: 'chatcmpl-same', model: 'gpt-4o-2024-08-06', choices: [], usage }),
    );
  });
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: `${provider.url}/v1` });
  await putKey(office);
  const { url, localLog } = await startTestProxy({ office });
  const body = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'same' }] });
  const headers = { 'idempotency-key': 'the-same' };
  await call(`${url}/openai/v1/chat/completions`, body, { headers });
  await call(`${url}/openai/v1/chat/completions`, body, { headers });
  const events = await readEvents(localLog);
  expect(provider.seen).toHaveLength(2);
  expect(events.map(({ classes }) => classes)).toEqual([
    { input_uncached: '1100', cache_read: '0', output_text: '7' },
    { input_uncached: '76', cache_read: '1024', output_text: '7' },
  ]);
  expect(new Set(events.map(({ event_id }) => event_id)).size).toBe(2);
  expect(new Set(events.map(({ attempt_id }) => attempt_id)).size).toBe(2);
});
