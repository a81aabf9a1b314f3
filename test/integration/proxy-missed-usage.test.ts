import { expect, onTestFinished, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { startSandbox } from '../../services/sandbox/main.ts';
import { ANTHROPIC, house, MESSAGES, oneEvent, STREAM, sse } from './endings-house.ts';
import { call, putKey, putUpstream, startTestProxy, untilEvents } from './proxy-harness.ts';

/** Goal: usage that was stated is never missed, and usage that was not is never taken for zero. Method: replies byte for byte, and a sandbox. */
const CHAT = JSON.stringify({
  model: 'gpt-4o',
  messages: [{ role: 'user', content: 'count the boats' }],
});
const CHAT_PATH = '/openai/v1/chat/completions';
const JSON_TYPE = { 'content-type': 'application/json' };

/** Answers each call with the next of these bodies. */
const answering = (bodies: string[]) =>
  house((_req, res) => {
    res.writeHead(200, JSON_TYPE);
    res.end(bodies.shift() ?? '{}');
  });

test('case 6 · a stated zero is a value and an absent figure is unknown: the two never turn into each other', async () => {
  const { url, localLog } = await answering([
    '{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}',
    '{"model":"gpt-4o","choices":[]}',
    '{"model":"gpt-4o","choices":[],"usage":null}',
    '{"model":"gpt-4o","choices":[],"usage":{"completion_tokens":7,"total_tokens":7}}',
  ]);
  for (let i = 0; i < 4; i += 1) await call(url + CHAT_PATH, CHAT);
  const events = await untilEvents(localLog, 4);
  expect(events.map(({ ending, classes }) => [ending, classes])).toEqual([
    ['reported', { input_uncached: '0', output_text: '0' }],
    ['unknown', {}],
    ['unknown', {}],
    ['unknown', {}],
  ]);
});

test('case 10 · calls that time out and are made again by the SDK: each one on the wire has its event, unknown and not free', async () => {
  let asked = 0;
  const { url, localLog, provider } = await house(
    (_req, res) => {
      asked += 1;
      if (asked < 3) return;
      res.writeHead(200, JSON_TYPE);
      res.end(
        '{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}',
      );
    },
    { timeout_ms: 1000, attempts_max: 1 },
  );
  const statuses: number[] = [];
  while (statuses.at(-1) !== 200) statuses.push((await call(url + CHAT_PATH, CHAT)).status);
  expect(statuses).toEqual([504, 504, 200]);
  const events = await untilEvents(localLog, provider.seen.length);
  expect(events.map(({ ending, error_kind }) => [ending, error_kind])).toEqual([
    ['unknown', 'timeout'],
    ['unknown', 'timeout'],
    ['reported', undefined],
  ]);
});

const START = sse(
  '{"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":100,"cache_read_input_tokens":50,"cache_creation_input_tokens":900,"cache_creation":{"ephemeral_5m_input_tokens":600,"ephemeral_1h_input_tokens":300},"service_tier":"standard","output_tokens":1}}}',
);
const TEXT = sse(
  '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"one two three"}}',
);

test('case 14 · a stream cut for idleness keeps what was stated before, cache writes and all', async () => {
  const { url, localLog } = await house(
    (_req, res) => {
      res.writeHead(200, STREAM);
      res.write(START + TEXT);
    },
    { ...ANTHROPIC, timeout_ms: 1000 },
  );
  expect((await call(`${url}/anthropic/v1/messages`, MESSAGES)).cut).toBe(true);
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'partial',
    error_kind: 'timeout',
    classes: {
      input_uncached: '100',
      cache_read: '50',
      cache_write_5m: '600',
      cache_write_1h: '300',
      output_text: '3',
    },
  });
});

test('case 14 · a stream that takes longer than the timeout is not cut while it goes on: the timeout is for silence', async () => {
  const { url, localLog } = await house(
    (_req, res) => {
      res.writeHead(200, STREAM);
      res.write(START);
      let left = 5;
      const timer = setInterval(() => {
        left -= 1;
        res.write(TEXT);
        if (left > 0) return;
        clearInterval(timer);
        res.end(
          sse(
            '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}',
          ),
        );
      }, 400);
    },
    { ...ANTHROPIC, timeout_ms: 1000 },
  );
  expect((await call(`${url}/anthropic/v1/messages`, MESSAGES)).cut).toBe(false);
  const event = await oneEvent(localLog);
  expect(event).toMatchObject({ ending: 'reported', classes: { output_text: '15' } });
  expect(event?.duration_ms).toBeGreaterThan(1000);
});

test('case 15 · the last message_delta is laid over message_start field by field: the later figure stands, none is added or lost', async () => {
  const { url, localLog } = await house((_req, res) => {
    res.writeHead(200, STREAM);
    res.write(START);
    res.write(
      sse(
        '{"type":"message_delta","delta":{},"usage":{"output_tokens":20,"cache_read_input_tokens":80}}',
      ),
    );
    res.end(
      sse(
        '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":42}}',
      ),
    );
  }, ANTHROPIC);
  await call(`${url}/anthropic/v1/messages`, MESSAGES);
  expect(await oneEvent(localLog)).toMatchObject({
    ending: 'reported',
    tier: 'standard',
    // 100 and the writes stand in the start alone, 80 in the first delta, 42 in both deltas (20 before).
    classes: {
      input_uncached: '100',
      cache_read: '80',
      cache_write_5m: '600',
      cache_write_1h: '300',
      output_text: '42',
    },
  });
});

const gemini = async () => {
  const sandbox = await startSandbox();
  onTestFinished(() => sandbox.close());
  const office = createMemoryEventLog('office');
  await putUpstream(office, {
    id: 'gemini',
    provider: 'google',
    dialect: 'gemini',
    base_url: `${sandbox.url}/gemini`,
  });
  await putKey(office);
  return { sandbox, ...(await startTestProxy({ office })) };
};

test('case 16 · the same call, native and through the compatible endpoint, whole and streamed, has the same tokens', async () => {
  const { url, localLog, sandbox } = await gemini();
  const prompt = '[[sandbox input=700 output=60 reasoning=25]]';
  const native = JSON.stringify({ contents: [{ role: 'user', parts: [{ text: prompt }] }] });
  const compatible = (stream: boolean): string =>
    JSON.stringify({
      model: 'gemini-2.5-flash',
      stream,
      messages: [{ role: 'user', content: prompt }],
    });
  const model = `${url}/gemini/v1beta/models/gemini-2.5-flash`;
  await call(`${model}:generateContent`, native);
  await call(`${model}:streamGenerateContent?alt=sse`, native);
  await call(`${model}:streamGenerateContent`, native);
  await call(`${url}/gemini/v1beta/openai/chat/completions`, compatible(false));
  await call(`${url}/gemini/v1beta/openai/chat/completions`, compatible(true));
  const events = await untilEvents(localLog, 5);
  for (const { classes } of events) {
    // Thinking in the total alone cannot be told from text; it is priced alike.
    const output = BigInt(classes.output_text ?? 0) + BigInt(classes.output_reasoning ?? 0);
    expect([classes.input_uncached, output]).toEqual(['700', 60n]);
  }
  expect(sandbox.bill().attempts).toBe(5);
});

test('case 17 · reasoning nobody sees is billed from the usage: it is in the event, once, beside the text', async () => {
  const { url, localLog } = await answering([
    // OpenAI: 170 of the 1,170 are reasoning.
    '{"model":"gpt-4o","choices":[{"message":{"content":"four boats"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":1170,"total_tokens":1180,"completion_tokens_details":{"reasoning_tokens":170}}}',
    // xAI: 170 on top of the 1,000, as only the total tells.
    '{"model":"grok-3-mini","choices":[{"message":{"content":"four boats"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":1000,"total_tokens":1180,"completion_tokens_details":{"reasoning_tokens":170}}}',
  ]);
  for (let i = 0; i < 2; i += 1) await call(url + CHAT_PATH, CHAT);
  for (const { ending, classes } of await untilEvents(localLog, 2)) {
    expect([ending, classes]).toEqual([
      'reported',
      { input_uncached: '10', output_text: '1000', output_reasoning: '170' },
    ]);
  }
});

test('case 18 · Responses state usage under names of their own; a shape nobody knows is unknown, never zero', async () => {
  const { url, localLog, metrics } = await answering([
    '{"object":"response","status":"completed","model":"gpt-4o","output":[],"usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":10},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":42}}',
    '{"object":"response","status":"completed","model":"gpt-4o","output":[],"usage":{"tokens_in":30,"tokens_out":12}}',
    '{"model":"gpt-4o","choices":[],"usage":{"tokens_in":30,"tokens_out":12}}',
  ]);
  const ask = JSON.stringify({ model: 'gpt-4o', input: 'count the boats' });
  await call(`${url}/openai/v1/responses`, ask);
  await call(`${url}/openai/v1/responses`, ask);
  await call(url + CHAT_PATH, CHAT);
  const events = await untilEvents(localLog, 3);
  expect(events.map(({ ending, classes }) => [ending, classes])).toEqual([
    [
      'reported',
      { input_uncached: '20', cache_read: '10', output_text: '10', output_reasoning: '2' },
    ],
    ['unknown', {}],
    ['unknown', {}],
  ]);
  expect(events[1]?.raw_usage).toBe('{"tokens_in":30,"tokens_out":12}');
  expect(await metrics.render()).toMatch(/usage_unreadable_total\{[^}]*responses[^}]*\} 1/);
});
