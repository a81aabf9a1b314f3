import { describe, expect, test } from 'vitest';
import type { Flavour } from '../../../schemas/words.ts';
import { closeAttempt } from '../../../services/proxy/core/close-attempt.ts';
import type { Statement } from '../../../services/proxy/core/flavour.ts';
import { createReplyMeter } from '../../../services/proxy/reply-meter.ts';
import { attemptOf } from './attempt-fixtures.ts';

/** Meters a reply as its bytes come, and closes the attempt they belong to. */
const meter = (flavour: Flavour, body: string, contentType = 'application/json') => {
  const reply = createReplyMeter(flavour, contentType);
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; at += 7) reply.feed(bytes.subarray(at, at + 7));
  reply.end();
  return reply.statement();
};
const json = (flavour: Flavour, body: object): Statement => meter(flavour, JSON.stringify(body));
const sse = (flavour: Flavour, events: readonly object[]): Statement =>
  meter(
    flavour,
    events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''),
    'text/event-stream',
  );

const closed = (flavour: Flavour, statement: Statement) =>
  closeAttempt(attemptOf({ flavour }), statement, {
    kind: 'complete',
    clientLeft: false,
    httpStatus: 200,
    closedAt: '2026-11-21T12:00:01.000Z',
    durationMs: 1000,
    outputTokensSeen: 0,
    streamSeen: false,
  });

describe('what is stated is a value, what is not stated is none', () => {
  const zero: readonly [Flavour, object][] = [
    ['openai.chat', { usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } }],
    ['openai.responses', { usage: { input_tokens: 0, output_tokens: 0, total_tokens: 0 } }],
    ['anthropic.messages', { usage: { input_tokens: 0, output_tokens: 0 } }],
    ['bedrock.converse', { usage: { inputTokens: 0, outputTokens: 0, totalTokens: 0 } }],
    ['gemini.generate', { usageMetadata: { promptTokenCount: 0, candidatesTokenCount: 0 } }],
    ['cohere.chat', { usage: { billed_units: { input_tokens: 0, output_tokens: 0 } } }],
  ];

  test.each(zero)('case 6 · %s: a stated zero is reported as zero', (flavour, body) => {
    const fact = closed(flavour, json(flavour, body));
    expect(fact.ending).toBe('reported');
    expect(fact.classes).toMatchObject({ input_uncached: '0', output_text: '0' });
  });

  test.each(zero)('case 6 · %s: an absent or empty usage is unknown and never zero', (flavour) => {
    for (const usage of [{}, { usage: null }, { usageMetadata: null }, { usage: {} }]) {
      const fact = closed(flavour, json(flavour, usage));
      expect([fact.ending, fact.classes]).toEqual(['unknown', {}]);
    }
  });
});

describe('a stream that states usage more than once', () => {
  const start = (usage: object) => ({ type: 'message_start', message: { model: 'm', usage } });
  const delta = (usage: object) => ({ type: 'message_delta', delta: {}, usage });

  test('case 15 · Anthropic: the start and the last delta are merged field by field, the later one wins', () => {
    // The start has the tier and the split of 500 written tokens; the delta raised the input from 2068 to 22397.
    const statement = sse('anthropic.messages', [
      start({
        input_tokens: 2068,
        output_tokens: 1,
        cache_creation_input_tokens: 500,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 500 },
        service_tier: 'priority',
      }),
      delta({ input_tokens: 22397, output_tokens: 300, cache_creation_input_tokens: 500 }),
      delta({ output_tokens: 421 }),
    ]);
    expect(statement.tier).toBe('priority');
    expect(statement.classes).toEqual({
      input_uncached: '22397',
      cache_write_5m: '0',
      cache_write_1h: '500',
      output_text: '421',
    });
  });

  test('case 15 · Anthropic: a later count may be smaller, so neither the sum nor the greatest is right', () => {
    const { classes } = sse('anthropic.messages', [
      start({ input_tokens: 9, output_tokens: 8, cache_read_input_tokens: 55096 }),
      delta({ input_tokens: 1200, output_tokens: 5, cache_read_input_tokens: 0 }),
    ]);
    expect(classes).toEqual({ input_uncached: '1200', cache_read: '0', output_text: '5' });
  });

  test('case 22 · figures that a host repeats in every chunk are set, not added', () => {
    const chunk = (output: number, extra: object = {}) => ({
      choices: [{ delta: { content: 'x' } }],
      usage: { prompt_tokens: 40, completion_tokens: output, total_tokens: 40 + output },
      ...extra,
    });
    const last = chunk(9, { choices: [{ delta: {}, finish_reason: 'stop' }] });
    // 40 + 9, not (40 + 3) + (40 + 6) + (40 + 9).
    expect(sse('openai.chat', [chunk(3), chunk(6), last])).toMatchObject({
      completeness: 'full',
      classes: { input_uncached: '40', output_text: '9' },
    });
  });

  test('case 22 · Groq states its usage twice and is charged once', () => {
    const usage = { prompt_tokens: 40, completion_tokens: 9, total_tokens: 49 };
    const chunk = { choices: [{ finish_reason: 'stop' }], usage, x_groq: { id: 'r', usage } };
    expect(sse('openai.chat', [chunk]).classes).toEqual({ input_uncached: '40', output_text: '9' });
  });

  test('case 22 · Gemini: the last object counts as a whole, also where it is smaller', () => {
    const chunk = (prompt: number, thoughts: number, text: number, more: object = {}) => ({
      candidates: [{ content: { parts: [{ text: 'x' }] }, finishReason: 'STOP' }],
      usageMetadata: {
        promptTokenCount: prompt,
        candidatesTokenCount: text,
        thoughtsTokenCount: thoughts,
        totalTokenCount: prompt + thoughts + text,
        ...more,
      },
    });
    // Thoughts went from 101 to 67; 101 + 67 or the greater of them would be charged for nothing.
    expect(sse('gemini.generate', [chunk(46, 101, 3), chunk(147, 67, 20)]).classes).toEqual({
      input_uncached: '147',
      output_text: '20',
      output_reasoning: '67',
    });
  });
});

/**
 * One call: 1000 tokens of prompt of which 640 came from the cache, 50 of answer of which 20 were thought. The formats count the cache
 * and the thinking in or beside their totals.
 */
const NORMALISED = {
  input_uncached: '360',
  cache_read: '640',
  output_text: '30',
  output_reasoning: '20',
};
const CHAT = {
  prompt_tokens: 1000,
  completion_tokens: 50,
  total_tokens: 1050,
  prompt_tokens_details: { cached_tokens: 640 },
  completion_tokens_details: { reasoning_tokens: 20 },
};
const RESPONSES = {
  input_tokens: 1000,
  output_tokens: 50,
  total_tokens: 1050,
  input_tokens_details: { cached_tokens: 640 },
  output_tokens_details: { reasoning_tokens: 20 },
};
const GEMINI = {
  promptTokenCount: 1000,
  cachedContentTokenCount: 640,
  candidatesTokenCount: 30,
  thoughtsTokenCount: 20,
  totalTokenCount: 1050,
};
const ANTHROPIC = {
  input_tokens: 360,
  cache_read_input_tokens: 640,
  output_tokens: 50,
  output_tokens_details: { thinking_tokens: 20 },
};
const HIDDEN = {
  prompt_tokens: 1000,
  completion_tokens: 30,
  total_tokens: 1050,
  prompt_tokens_details: { cached_tokens: 640 },
};

describe('the same call through native and OpenAI-shaped routes', () => {
  test.each<[string, Flavour, object]>([
    ['OpenAI Chat', 'openai.chat', { usage: CHAT }],
    ['OpenAI Responses', 'openai.responses', { status: 'completed', usage: RESPONSES }],
    ['Gemini, native', 'gemini.generate', { usageMetadata: GEMINI }],
    ['Gemini, as OpenAI', 'gemini.openai', { usage: HIDDEN }],
    ['Gemini, through a gateway', 'openai.chat', { model: 'google/gemini-3-pro', usage: HIDDEN }],
    ['Anthropic, native', 'anthropic.messages', { usage: ANTHROPIC }],
    ['Anthropic, on Bedrock', 'bedrock.invoke', { usage: ANTHROPIC }],
    ['xAI, reasoning on top', 'openai.chat', { usage: { ...CHAT, completion_tokens: 30 } }],
  ])('case 16 · %s gives the same tokens, whole', (_name, flavour, body) => {
    expect(json(flavour, body).classes).toEqual(NORMALISED);
  });

  test.each<[string, Flavour, object[]]>([
    [
      'OpenAI Chat',
      'openai.chat',
      [
        { choices: [{}], usage: null },
        { choices: [], usage: CHAT },
      ],
    ],
    [
      'OpenAI Responses',
      'openai.responses',
      [{ type: 'response.completed', response: { status: 'completed', usage: RESPONSES } }],
    ],
    ['Gemini, native', 'gemini.generate', [{ candidates: [], usageMetadata: GEMINI }]],
    ['Gemini, as OpenAI', 'gemini.openai', [{ choices: [{}], usage: HIDDEN }]],
    [
      'Anthropic, native',
      'anthropic.messages',
      [
        { type: 'message_start', message: { usage: { input_tokens: 360, output_tokens: 1 } } },
        { type: 'message_delta', usage: ANTHROPIC },
      ],
    ],
  ])('case 16 · %s gives the same tokens, streamed', (_name, flavour, events) => {
    expect(sse(flavour, events).classes).toEqual(NORMALISED);
  });

  test('case 17 · thinking that shows only in the total is charged', () => {
    // 109 in total, 35 asked and 12 answered: 62 were thought.
    const usage = { prompt_tokens: 35, completion_tokens: 12, total_tokens: 109 };
    expect(json('gemini.openai', { usage }).classes).toEqual({
      input_uncached: '35',
      output_text: '12',
      output_reasoning: '62',
    });
  });

  test('case 17 · reasoning inside the output is not charged twice', () => {
    // 161 of 213 were thought: 213 - 161 = 52.
    const usage = {
      prompt_tokens: 1889,
      completion_tokens: 213,
      total_tokens: 2102,
      completion_tokens_details: { reasoning_tokens: 161 },
    };
    expect(json('openai.chat', { usage }).classes).toEqual({
      input_uncached: '1889',
      output_text: '52',
      output_reasoning: '161',
    });
  });

  test('case 18 · the names of Responses and those of Chat are both read', () => {
    const wanted = { input_uncached: '7', output_text: '3' };
    const names = { input_tokens: 7, output_tokens: 3, total_tokens: 10 };
    expect(json('openai.responses', { usage: names }).classes).toEqual(wanted);
    const chat = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
    expect(json('openai.chat', { usage: chat }).classes).toEqual(wanted);
  });

  test('case 18 · a shape that nobody knows is unknown with its structure kept, not zero', () => {
    const usage = { tokens: { in: 7, out: 3 }, note: 'a sentence with blanks' };
    for (const flavour of ['openai.chat', 'openai.responses', 'anthropic.messages'] as const) {
      const statement = json(flavour, { usage });
      expect(statement).toMatchObject({ completeness: 'unreadable', classes: {}, units: {} });
      expect(statement.rawUsage).toBe('{"tokens":{"in":7,"out":3},"note":"…"}');
      expect(closed(flavour, statement)).toMatchObject({ ending: 'unknown', classes: {} });
    }
  });
});
