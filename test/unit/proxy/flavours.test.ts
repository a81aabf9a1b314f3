import { describe, expect, test } from 'vitest';
import type { Flavour } from '../../../schemas/words.ts';
import { countTools } from '../../../services/proxy/core/flavours/openai-responses.ts';
import { createReplyReader } from '../../../services/proxy/core/reply-readers.ts';

/** Reads one JSON body. */
const read = (flavour: Flavour, body: object) => {
  const reader = createReplyReader(flavour);
  const source = JSON.stringify(body);
  reader.readBody(source, JSON.parse(source));
  return reader.statement();
};

/** Reads a stream of events. */
const readStream = (flavour: Flavour, events: object[]) => {
  const reader = createReplyReader(flavour);
  for (const event of events) {
    const source = JSON.stringify(event);
    reader.readEvent({ source, data: JSON.parse(source) });
  }
  return reader.statement();
};

describe('OpenAI usage', () => {
  test('cached and written input, reasoning and audio are inside the totals and come out disjoint', () => {
    const { classes } = read('openai.chat', {
      usage: {
        prompt_tokens: 1000,
        completion_tokens: 300,
        total_tokens: 1300,
        prompt_tokens_details: { cached_tokens: 400, cache_write_tokens: 100, audio_tokens: 50 },
        completion_tokens_details: { reasoning_tokens: 120, audio_tokens: 30 },
      },
    });
    // 1000 - 400 - 100 - 50 = 450; 300 - 120 - 30 = 150.
    expect(classes).toEqual({
      input_uncached: '450',
      cache_read: '400',
      cache_write_30m: '100',
      'input_uncached.audio': '50',
      output_text: '150',
      output_reasoning: '120',
      'output_text.audio': '30',
    });
  });

  test('writes are split by time to live where that is stated', () => {
    const { classes } = read('openai.chat', {
      usage: {
        prompt_tokens: 100,
        completion_tokens: 1,
        prompt_tokens_details: {
          cache_write_tokens: 60,
          cache_write_tokens_details: { ttl_30m_tokens: 20, ttl_12h_tokens: 40 },
        },
      },
    });
    expect(classes).toMatchObject({
      input_uncached: '40',
      cache_write_30m: '20',
      cache_write_12h: '40',
    });
  });

  test('audio that must have been in the cache is counted there', () => {
    const { classes } = read('openai.chat', {
      usage: {
        prompt_tokens: 100,
        completion_tokens: 1,
        prompt_tokens_details: { cached_tokens: 70, audio_tokens: 50 },
      },
    });
    // 30 are not cached, 50 are audio: at least 20 audio tokens were cached.
    expect(classes).toMatchObject({
      input_uncached: '0',
      cache_read: '50',
      'cache_read.audio': '20',
      'input_uncached.audio': '30',
    });
  });

  test.each([
    ['a total that does not add up', { prompt_tokens: 1, completion_tokens: 2, total_tokens: 4 }],
    ['a negative count', { prompt_tokens: -1, completion_tokens: 2 }],
    ['a fraction', { prompt_tokens: 1.5, completion_tokens: 2 }],
    ['text for a number', { prompt_tokens: '12', completion_tokens: 2 }],
    ['a missing count', { completion_tokens: 2 }],
    [
      'more cached than sent',
      { prompt_tokens: 1, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 2 } },
    ],
    [
      'more reasoning than output',
      {
        prompt_tokens: 1,
        completion_tokens: 2,
        completion_tokens_details: { reasoning_tokens: 3 },
      },
    ],
  ])('%s is unreadable, keeps its structure and counts nothing', (_name, usage) => {
    const statement = read('openai.chat', { usage });
    expect(statement).toMatchObject({ completeness: 'unreadable', classes: {} });
    expect(statement.rawUsage).toBe(JSON.stringify(usage));
  });

  test('a stated zero is a value, an absent figure is none', () => {
    expect(
      read('openai.chat', { usage: { prompt_tokens: 0, completion_tokens: 0 } }).classes,
    ).toEqual({
      input_uncached: '0',
      output_text: '0',
    });
    expect(read('openai.chat', { usage: null })).toMatchObject({
      completeness: 'none',
      classes: {},
    });
  });

  test('built-in tools are counted from the output items', () => {
    expect(
      countTools([
        { type: 'web_search_call', action: { type: 'search' } },
        { type: 'web_search_call', action: { type: 'open_page' } },
        { type: 'file_search_call' },
        { type: 'code_interpreter_call', container_id: 'c1' },
        { type: 'code_interpreter_call', container_id: 'c1' },
        { type: 'function_call' },
      ]),
    ).toEqual({ web_search_requests: '1', file_search_calls: '1', code_interpreter_sessions: '1' });
  });

  test('raw usage is kept as it was written, numbers and blanks included', () => {
    const reader = createReplyReader('openai.chat');
    const source =
      '{"x": "}\\"usage\\":{", "usage" : { "prompt_tokens":1e1, "completion_tokens": 2.0 } }';
    reader.readBody(source, JSON.parse(source));
    expect(reader.statement()).toMatchObject({
      rawUsage: '{ "prompt_tokens":1e1, "completion_tokens": 2.0 }',
      classes: { input_uncached: '10', output_text: '2' },
    });
  });
});

describe('Anthropic usage', () => {
  const start = (usage: object) => ({
    type: 'message_start',
    message: { model: 'claude-sonnet-4-5', usage },
  });
  const delta = (usage: object) => ({
    type: 'message_delta',
    delta: { stop_reason: 'end_turn' },
    usage,
  });

  test('the four counters are additional to each other, writes split by time to live', () => {
    const statement = read('anthropic.messages', {
      model: 'claude-sonnet-4-5',
      stop_reason: 'end_turn',
      usage: {
        input_tokens: 10,
        cache_read_input_tokens: 20,
        cache_creation_input_tokens: 30,
        cache_creation: { ephemeral_5m_input_tokens: 12, ephemeral_1h_input_tokens: 18 },
        output_tokens: 40,
        output_tokens_details: { thinking_tokens: 15 },
        server_tool_use: { web_search_requests: 2, web_fetch_requests: 0 },
        service_tier: 'Priority',
        inference_geo: 'us',
      },
    });
    expect(statement).toMatchObject({
      completeness: 'full',
      tier: 'priority',
      geo: 'us',
      finishReason: 'end_turn',
      units: { web_search_requests: '2' },
    });
    expect(statement.classes).toEqual({
      input_uncached: '10',
      cache_read: '20',
      cache_write_5m: '12',
      cache_write_1h: '18',
      output_text: '25',
      output_reasoning: '15',
    });
  });

  test('the last statement wins field by field: it neither adds nor takes the greatest', () => {
    const statement = readStream('anthropic.messages', [
      start({
        input_tokens: 2068,
        cache_read_input_tokens: 55_096,
        output_tokens: 8,
        service_tier: 'standard',
      }),
      delta({ input_tokens: 22_397, cache_read_input_tokens: 0, output_tokens: 637 }),
    ]);
    expect(statement).toMatchObject({
      completeness: 'full',
      tier: 'standard',
      classes: { input_uncached: '22397', cache_read: '0', output_text: '637' },
    });
  });

  test.each([
    [{ ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 40 }, 100, '0', '100'],
    [{ ephemeral_5m_input_tokens: 40, ephemeral_1h_input_tokens: 0 }, 100, '100', '0'],
    [{ ephemeral_5m_input_tokens: 30, ephemeral_1h_input_tokens: 10 }, 100, '90', '10'],
    [{ ephemeral_5m_input_tokens: 30, ephemeral_1h_input_tokens: 10 }, 0, '0', '0'],
  ])('the split %o of the start is kept when the sum becomes %d', (split, sum, five, hour) => {
    const statement = readStream('anthropic.messages', [
      start({
        input_tokens: 1,
        output_tokens: 1,
        cache_creation_input_tokens: 40,
        cache_creation: split,
      }),
      delta({ output_tokens: 2, cache_creation_input_tokens: sum }),
    ]);
    expect(statement.classes).toMatchObject({ cache_write_5m: five, cache_write_1h: hour });
  });

  test('iterations are what is billed, each model on its own', () => {
    const turn = (input: number, output: number, rest: object = {}) => ({
      type: 'message',
      input_tokens: input,
      output_tokens: output,
      ...rest,
    });
    const { classes, parts } = read('anthropic.messages', {
      model: 'claude-sonnet-4-5',
      usage: {
        input_tokens: 2390,
        output_tokens: 121,
        output_tokens_details: { thinking_tokens: 28 },
        iterations: [
          turn(1128, 110),
          turn(2518, 22, { type: 'advisor_message', model: 'claude-opus-4-8' }),
          turn(1262, 11),
        ],
      },
    });
    // 1128 + 1262 = 2390 and 2518; 110 + 11 - 28 = 93.
    expect(parts).toEqual([
      {
        model: 'claude-sonnet-4-5',
        classes: { input_uncached: '2390', output_text: '93', output_reasoning: '28' },
        units: {},
      },
      {
        model: 'claude-opus-4-8',
        classes: { input_uncached: '2518', output_text: '22' },
        units: {},
      },
    ]);
    expect(classes).toEqual({ input_uncached: '4908', output_text: '115', output_reasoning: '28' });
  });

  test('what another model served alone is priced as that model, and its tools with it', () => {
    const served = { type: 'fallback_message', model: 'claude-opus-4-8' };
    const figures = { input_tokens: 7, output_tokens: 3 };
    const { units, parts } = read('anthropic.messages', {
      model: 'claude-sonnet-4-5',
      usage: {
        ...figures,
        server_tool_use: { web_search_requests: 2 },
        iterations: [{ ...figures, ...served }],
      },
    });
    const tools = { web_search_requests: '2' };
    expect(units).toEqual(tools);
    expect(parts).toEqual([
      {
        model: 'claude-opus-4-8',
        classes: { input_uncached: '7', output_text: '3' },
        units: tools,
      },
    ]);
  });

  test('a turn that does not split its writes is split as the whole is', () => {
    const turn = { input_tokens: 1, output_tokens: 1, cache_creation_input_tokens: 40 };
    const { classes } = read('anthropic.messages', {
      model: 'claude-sonnet-4-5',
      usage: {
        ...turn,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 40 },
        iterations: [{ type: 'message', ...turn, cache_creation: null }],
      },
    });
    expect(classes).toMatchObject({ cache_write_5m: '0', cache_write_1h: '40' });
  });

  test('a stream that stops before a final statement is stated in part', () => {
    const statement = readStream('anthropic.messages', [
      start({ input_tokens: 70, output_tokens: 1 }),
    ]);
    expect(statement).toMatchObject({ completeness: 'part', classes: { input_uncached: '70' } });
  });
});

test('an unknown wire format keeps the structure of what is stated and no words', () => {
  const usage = { tokens: { total: 12 }, tier: 'gold', note: 'words of a customer' };
  expect(read('passthrough', { model: 'm', usage })).toMatchObject({
    completeness: 'unreadable',
    classes: {},
    rawUsage: '{"tokens":{"total":12},"tier":"gold","note":"…"}',
  });
});
