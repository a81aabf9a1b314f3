import fc from 'fast-check';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { describe, expect, it } from 'vitest';
import { NO_COUNTS } from '../../../services/sandbox/directive.ts';
import { wordsOfTokens } from '../../../services/sandbox/generated-text.ts';
import { Generation, stepsOf } from '../../../services/sandbox/generation.ts';
import { findModel } from '../../../services/sandbox/price-list.ts';
import { ProviderIds } from '../../../services/sandbox/provider-ids.ts';

const o4Mini = findModel('openai', 'o4-mini');
const generationOf = (reasoning: number, text: number): Generation => {
  if (o4Mini === undefined) throw new Error('o4-mini is not on the list');
  return new Generation(o4Mini, {
    ...NO_COUNTS,
    input_uncached: 5,
    output_reasoning: reasoning,
    output_text: text,
  });
};

describe('generated text', () => {
  it('has as many tokens as the provider says, by OpenAI’s own vocabulary', () => {
    for (const tokens of [0, 1, 7, 32, 211, 5_000]) {
      expect(countTokens(wordsOfTokens('openai', 0, tokens))).toBe(tokens);
    }
  });

  it('is counted a few percent short by OpenAI’s vocabulary when Claude wrote it', () => {
    const counted = countTokens(wordsOfTokens('anthropic', 0, 1_000));
    expect(counted).toBeGreaterThan(900);
    expect(counted).toBeLessThan(1_000);
  });

  it('is the same in one piece and in many', () => {
    fc.assert(
      fc.property(fc.nat(400), fc.nat(20_000), fc.integer({ min: 1, max: 50 }), (r, t, chunks) => {
        const whole = generationOf(r, t).upTo(r + t);
        const pieces = generationOf(r, t);
        const parts = stepsOf(r + t, chunks).map((step) => pieces.upTo(step));
        expect(parts.map(({ text }) => text).join('')).toBe(whole.text);
        expect(parts.map(({ thinking }) => thinking).join('')).toBe(whole.thinking);
      }),
      { numRuns: 50 },
    );
  });
});

describe('a generation', () => {
  it('counts what exists so far, reasoning first', () => {
    const generation = generationOf(40, 171);
    generation.upTo(50);
    // 50 tokens = all 40 of reasoning + 10 of text
    expect(generation.counts()).toMatchObject({ output_reasoning: 40, output_text: 10 });
    generation.upTo(1_000);
    expect(generation.counts()).toMatchObject({ output_reasoning: 40, output_text: 171 });
  });
});

describe('provider ids', () => {
  it('never repeat within a sandbox', () => {
    const ids = new ProviderIds(7);
    const seen = new Set(Array.from({ length: 50_000 }, () => ids.hex('req_')));
    expect(seen.size).toBe(50_000);
    expect([...seen][0]).toMatch(/^req_[0-9a-f]{32}$/);
  });

  it('are decided by the seed', () => {
    expect(new ProviderIds(1).letters('msg_')).toBe(new ProviderIds(1).letters('msg_'));
    expect(new ProviderIds(1).letters('msg_')).not.toBe(new ProviderIds(2).letters('msg_'));
  });
});
