import { describe, expect, it } from 'vitest';
import { priceUsage } from '../../../pricing/price-usage.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import { loadPriceBooks } from '../../../services/platform/price-books.ts';
import { usageEvent } from './pricing-fixtures.ts';

/** Cases of the graveyard that are about what the shipped books say. */
const books = loadPriceBooks();

const total = (
  provider: string,
  model: string,
  rest: {
    tier?: string;
    geo?: string;
    at?: string;
    classes?: Record<string, string>;
    units?: Record<string, string>;
  } = {},
): string => {
  const {
    tier,
    geo,
    at = '2026-11-20T12:00:00.000Z',
    classes = { input_uncached: '1000000' },
    units = {},
  } = rest;
  const priced = priceUsage(
    { provider, tier, geo, at, knownAt: books.newestKnownFrom, parts: [{ model, classes, units }] },
    books,
  );
  return priced.ok ? priced.total : priced.detail;
};

describe('the shipped books', () => {
  it('case 87 · each Bedrock profile has its own price, global and regional apart', () => {
    const sonnet = (profile: string) =>
      total('bedrock', `${profile}anthropic.claude-sonnet-4-5-20250929-v1:0`, {
        classes: { input_uncached: '100000' },
      });
    expect(sonnet('global.')).toBe('0.3'); // 100000 x 3 / 1e6
    expect(sonnet('us.')).toBe('0.33'); // 100000 x 3.3 / 1e6
    expect(sonnet('eu.')).toBe('0.33');
    expect(sonnet('')).toBe('0.33');
    expect(total('bedrock', 'apac.amazon.nova-lite-v1:0')).toBe('0.06');
    expect(total('bedrock', 'mars.amazon.nova-lite-v1:0')).toContain('names the model');
  });

  it('case 87 · InvokeModel is priced by the profile in its path, whatever name the vendor puts into the reply', () => {
    const event = usageEvent({
      provider: 'bedrock',
      flavour: 'bedrock.invoke',
      requested_model: 'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
      model: 'claude-sonnet-4-5-20250929',
      tier: 'standard',
      classes: { input_uncached: '100000' },
    });
    expect(rateUsage(event, books, { knownAt: books.newestKnownFrom }).total_usd).toBe('0.33'); // 100000 x 3.3 / 1e6
  });

  it('leave priority calls of gpt-5.5 beyond its cliff unrated: the list of that tier does not say what they cost', () => {
    const classes = { input_uncached: '300000' };
    expect(total('openai', 'gpt-5.5', { tier: 'priority', classes })).toContain('no price');
  });

  it('case 91 · Gemini batches on Vertex are priced, at half; of Claude batches there no price is known', () => {
    expect(total('vertex', 'gemini-2.5-flash')).toBe('0.3');
    expect(total('vertex', 'gemini-2.5-flash', { tier: 'batch' })).toBe('0.15');
    expect(total('vertex', 'claude-haiku-4-5-20251001', { tier: 'batch' })).toContain('no price');
    expect(total('vertex', 'claude-haiku-4-5-20251001', { geo: 'us-east5' })).toBe('1.1');
  });

  it.each([
    ['a Friday in the peak', '2026-11-20T01:00:00.000Z', '1.32'],
    ['the last moment of the peak', '2026-11-20T03:59:59.999Z', '1.32'],
    ['the first after it', '2026-11-20T04:00:00.000Z', '0.66'],
    ['the second peak', '2026-11-20T06:00:00.000Z', '1.32'],
    ['its end', '2026-11-20T10:00:00.000Z', '0.66'],
    ['a Saturday', '2026-11-21T02:00:00.000Z', '0.66'],
    ['a Chinese public holiday', '2026-10-01T02:00:00.000Z', '0.66'],
    ['the day after the holidays', '2026-10-08T02:00:00.000Z', '1.32'],
    ['before the change', '2026-08-16T15:59:59.999Z', '0.435'],
    ['from the change on', '2026-08-16T16:00:00.000Z', '0.66'],
    ['the first peak after it', '2026-08-17T01:00:00.000Z', '1.32'],
  ])('DeepSeek costs by the hour: %s', (_, at, expected) => {
    expect(total('deepseek', 'deepseek-v4-pro', { at })).toBe(expected);
  });

  it('leave usage unrated where sources contradict each other, and only there', () => {
    const sol = (at: string) =>
      total('openai', 'gpt-5.6-sol', { at, classes: { input_uncached: '1000' } });
    expect(sol('2026-08-20T23:59:59.999Z')).toBe('0.005'); // 1000 x 5 / 1e6
    expect(sol('2026-08-21T00:00:00.000Z')).toBe('0.004'); // settled in openai@3: 1000 x 4 / 1e6
    const saturday = (at: string) => total('deepseek', 'deepseek-v4-pro', { at });
    expect(saturday('2026-08-22T02:00:00.000Z')).toContain('disputed');
    expect(saturday('2026-08-22T05:00:00.000Z')).toBe('0.66');
    const vertex = (count: string) =>
      total('vertex', 'claude-opus-4-6', { classes: { input_uncached: count } });
    expect(vertex('200000')).toBe('1'); // 200000 x 5 / 1e6
    expect(vertex('200001')).toContain('disputed');
  });

  it('let an announced rise wait: Gemini 3.8 Flash stays at its price of 2026 until a version is approved', () => {
    expect(total('google', 'gemini-3.8-flash', { at: '2027-02-01T00:00:00.000Z' })).toBe('0.75');
  });

  it('count xAI cliffs from 200,000 tokens on, Gemini beyond them', () => {
    const at = (provider: string, model: string, count: string) =>
      total(provider, model, { classes: { input_uncached: count } });
    expect(at('xai', 'grok-4.3', '199999')).toBe('0.24999875'); // x 1.25 / 1e6
    expect(at('xai', 'grok-4.3', '200000')).toBe('0.5'); // x 2.5 / 1e6
    expect(at('google', 'gemini-2.5-pro', '200000')).toBe('0.25'); // x 1.25 / 1e6
    expect(at('google', 'gemini-2.5-pro', '200001')).toBe('0.5000025'); // x 2.5 / 1e6
  });

  it('leave unrated what no source they have read states: Cohere searches, Mistral batches, pictures to most Gemini models', () => {
    const rerank = { classes: {}, units: { search_units: '3' } };
    expect(total('cohere', 'rerank-v3.5', rerank)).toContain('names the model');
    expect(total('mistral', 'codestral-2508')).toBe('0.3');
    expect(total('mistral', 'codestral-2508', { tier: 'batch' })).toContain('no price');
    expect(total('groq', 'llama-3.3-70b-versatile', { tier: 'batch' })).toContain('no price');
    const picture = { classes: { 'input_uncached.image': '1000000' } };
    expect(total('google', 'gemini-2.5-flash', picture)).toContain('no price');
    expect(total('google', 'gemini-3.5-flash-lite', picture)).toBe(
      total('google', 'gemini-3.5-flash-lite'),
    );
  });
});
