import { describe, expect, it } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { AttemptRecord } from '../../../schemas/usage-event.ts';
import type { Flavour } from '../../../schemas/words.ts';
import { closeAttempt } from '../../../services/proxy/core/close-attempt.ts';
import { createReplyMeter } from '../../../services/proxy/reply-meter.ts';
import { attemptOf } from '../proxy/attempt-fixtures.ts';
import { book, KNOWN, plainPrices, price } from './pricing-fixtures.ts';

/**
 * Prices gone wrong in the field between a provider's reply and the charge: the whole way, from the bytes of a reply to the money.
 * 2 USD in, 0.2 cached, 10 out per million tokens unless a test says otherwise.
 */
const books = createPriceBooks([
  book([
    ...plainPrices(),
    price('cache_write_5m', '0.0000025'),
    price('cache_write_1h', '0.000004'),
    price('input_uncached.audio', '0.00004'),
    price('input_uncached.image', '0.000005'),
    price('output_text.audio', '0.00008'),
    price('input_uncached', '0.000001', { when: { tier: ['flex'] } }),
    price('output_text', '0.000005', { when: { tier: ['flex'] } }),
    price('input_uncached', '0.000004', { when: { tier: ['priority'] } }),
    price('output_text', '0.00002', { when: { tier: ['priority'] } }),
    price('input_uncached', '0.0000001', { model: 'model-a-mini' }),
    price('output_text', '0.0000004', { model: 'model-a-mini' }),
  ]),
]);

interface Reply {
  flavour: Flavour;
  /** A JSON body, or the data of server-sent events. */
  body: object | readonly object[];
  asked?: Partial<AttemptRecord>;
}

const charge = ({ flavour, body, asked = {} }: Reply): RatedUsage => {
  const events: readonly object[] | null = Array.isArray(body) ? body : null;
  const meter = createReplyMeter(flavour, events ? 'text/event-stream' : 'application/json');
  const text = events
    ? events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')
    : JSON.stringify(body);
  meter.feed(Buffer.from(text));
  meter.end();
  const attempt = attemptOf({ flavour, provider: 'acme-ai', requested_model: 'model-a', ...asked });
  const closed = closeAttempt(attempt, meter.statement(), {
    kind: 'complete',
    clientLeft: false,
    httpStatus: 200,
    closedAt: '2026-11-21T12:00:01.000Z',
    durationMs: 1000,
    outputTokensSeen: 0,
    streamSeen: events !== null,
  });
  return rateUsage({ ...closed, sequence: 1 }, books, { knownAt: KNOWN });
};

const anthropic = (usage: object, rest: object = {}): Reply => ({
  flavour: 'anthropic.messages',
  body: { type: 'message', model: 'model-a', content: [], usage, ...rest },
});
const chat = (usage: object, rest: object = {}): Reply => ({
  flavour: 'openai.chat',
  body: { object: 'chat.completion', model: 'model-a', choices: [], usage, ...rest },
});

describe('from reply to charge', () => {
  // 100 x 2 + 4000 x 0.2 + 10 x 10 = 200 + 800 + 100 micro-dollars, whoever states the prompt with the cached part in it or beside it.
  it.each([
    [
      'Anthropic states it beside the input',
      anthropic({ input_tokens: 100, cache_read_input_tokens: 4000, output_tokens: 10 }),
    ],
    [
      'OpenAI states it inside the prompt',
      chat({
        prompt_tokens: 4100,
        completion_tokens: 10,
        total_tokens: 4110,
        prompt_tokens_details: { cached_tokens: 4000 },
      }),
    ],
    [
      'Gemini states it inside the prompt',
      {
        flavour: 'gemini.generate',
        body: {
          modelVersion: 'model-a',
          usageMetadata: {
            promptTokenCount: 4100,
            cachedContentTokenCount: 4000,
            candidatesTokenCount: 10,
            totalTokenCount: 4110,
          },
        },
      } satisfies Reply,
    ],
    [
      'Bedrock states it beside the input',
      {
        flavour: 'bedrock.converse',
        body: {
          usage: {
            inputTokens: 100,
            cacheReadInputTokens: 4000,
            outputTokens: 10,
            totalTokens: 4110,
          },
        },
      } satisfies Reply,
    ],
  ])('case 73 · cached input is charged once: %s', (_name, reply) => {
    expect(charge(reply).total_usd).toBe('0.0011');
  });

  it('case 74 · a call costs the same by the native route and by the OpenAI-shaped one', () => {
    // 1000 prompt, 40 text, 60 thoughts: 1000 x 2 + 100 x 10 = 3000 micro-dollars
    const native = charge({
      flavour: 'gemini.generate',
      body: {
        modelVersion: 'model-a',
        usageMetadata: {
          promptTokenCount: 1000,
          candidatesTokenCount: 40,
          thoughtsTokenCount: 60,
          totalTokenCount: 1100,
        },
      },
    });
    const shaped = charge({
      flavour: 'gemini.openai',
      body: {
        model: 'model-a',
        choices: [],
        usage: { prompt_tokens: 1000, completion_tokens: 40, total_tokens: 1100 },
      },
    });
    expect(native.total_usd).toBe('0.003');
    expect(shaped.charges).toEqual(native.charges);
  });

  it('case 75 · writes for five minutes and for an hour are priced apart', () => {
    const usage = {
      input_tokens: 0,
      cache_creation_input_tokens: 4000,
      cache_creation: { ephemeral_5m_input_tokens: 1000, ephemeral_1h_input_tokens: 3000 },
      output_tokens: 0,
    };
    // 1000 x 2.5 + 3000 x 4 = 14500 micro-dollars; all of it for five minutes would be 10000
    expect(charge(anthropic(usage)).total_usd).toBe('0.0145');
  });

  it('case 75 · in a stream whose last statement drops the split, the split of the first is kept', () => {
    const start = {
      input_tokens: 0,
      cache_creation_input_tokens: 4000,
      cache_creation: { ephemeral_5m_input_tokens: 1000, ephemeral_1h_input_tokens: 3000 },
      output_tokens: 0,
    };
    const streamed = charge({
      flavour: 'anthropic.messages',
      asked: { streamed: true },
      body: [
        { type: 'message_start', message: { model: 'model-a', usage: start } },
        {
          type: 'message_delta',
          delta: {},
          usage: { cache_creation_input_tokens: 4000, output_tokens: 0 },
        },
        { type: 'message_stop' },
      ],
    });
    expect(streamed.total_usd).toBe('0.0145');
  });

  it('case 76 · cached tokens are charged at the price of cached tokens', () => {
    const usage = {
      prompt_tokens: 10_000,
      completion_tokens: 0,
      prompt_tokens_details: { cached_tokens: 10_000 },
    };
    // 10000 x 0.2 micro-dollars; at the full price it would be 0.02
    expect(charge(chat(usage)).total_usd).toBe('0.002');
  });

  it('case 77 · reasoning is a part of the output and is charged once', () => {
    const usage = {
      prompt_tokens: 0,
      completion_tokens: 1000,
      completion_tokens_details: { reasoning_tokens: 900 },
    };
    const rated = charge(chat(usage));
    expect(rated.total_usd).toBe('0.01'); // 1000 x 10 micro-dollars
    expect(rated.charges.map(({ meter, quantity }) => [meter, quantity])).toEqual([
      ['output_text', '100'],
      ['output_reasoning', '900'],
    ]);
  });

  it.each([
    ['flex', 'priority', '0.0015'], // 1000 x 1 + 100 x 5
    ['priority', 'flex', '0.006'], // 1000 x 4 + 100 x 20
    ['standard', 'priority', '0.003'], // 1000 x 2 + 100 x 10
  ])('case 78 · served at %s, asked for at %s: the reply decides', (served, requested, total) => {
    const rated = charge({
      ...chat({ prompt_tokens: 1000, completion_tokens: 100 }, { service_tier: served }),
      asked: { requested_tier: requested },
    });
    expect(rated.total_usd).toBe(total);
    expect(rated.assumed).toBeUndefined();
  });

  it('case 78 · where the reply is silent the tier asked for is used, and flagged', () => {
    const rated = charge({
      ...chat({ prompt_tokens: 1000, completion_tokens: 100 }),
      asked: { requested_tier: 'flex' },
    });
    expect(rated).toMatchObject({ total_usd: '0.0015', assumed: ['tier'] }); // 1000 x 1 + 100 x 5
  });

  it('case 83 · the model the reply names is charged, not the alias that was asked for', () => {
    const rated = charge(
      chat({ prompt_tokens: 1000, completion_tokens: 100 }, { model: 'model-a-mini' }),
    );
    expect(rated.total_usd).toBe('0.00014'); // 1000 x 0.1 + 100 x 0.4 micro-dollars
    expect(rated.assumed).toBeUndefined();
  });

  it('case 83 · where the reply names none, the model asked for is charged, and flagged', () => {
    const { flavour } = chat({});
    const rated = charge({
      flavour,
      body: { usage: { prompt_tokens: 1000, completion_tokens: 100 } },
    });
    expect(rated).toMatchObject({ model: 'model-a', total_usd: '0.003', assumed: ['model'] });
  });

  it('case 88 · audio and pictures are charged at their own prices', () => {
    const usage = {
      prompt_tokens: 60,
      completion_tokens: 40,
      prompt_tokens_details: { audio_tokens: 20, image_tokens: 30 },
      completion_tokens_details: { audio_tokens: 40 },
    };
    // 10 x 2 + 20 x 40 + 30 x 5 + 40 x 80 = 20 + 800 + 150 + 3200 micro-dollars
    expect(charge(chat(usage)).total_usd).toBe('0.00417');
  });
});
