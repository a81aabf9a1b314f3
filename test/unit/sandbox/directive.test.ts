import { describe, expect, it } from 'vitest';
import {
  DirectiveError,
  findDirective,
  readDirective,
  splitCounts,
} from '../../../services/sandbox/directive.ts';
import { findModel, type ListedModel } from '../../../services/sandbox/price-list.ts';

const listed = (name: string): ListedModel => {
  const model = findModel(name.startsWith('claude') ? 'anthropic' : 'openai', name);
  if (model === undefined) throw new Error(`${name} is not on the list`);
  return model;
};
const size = { input: 7, output: 24, maxOutput: undefined };

describe('a sandbox directive', () => {
  it('is read out of ordinary text, the last one winning', () => {
    const text = 'Old [[sandbox output=1]] and new [[sandbox input=1200 output=211 cut=after:50]].';
    expect(findDirective(text)).toMatchObject({ input: 1200, output: 211, cutAfter: 50 });
    expect(findDirective('no directive, only [brackets]')).toBeUndefined();
  });

  it('knows every word of its README', () => {
    const words =
      'id=a input=9 cached=1 write5m=2 write1h=3 output=8 reasoning=4 status=429x2 cut=after:5 delay_ms=6 chunk_ms=7 chunks=10';
    expect(readDirective(words)).toEqual({
      id: 'a',
      input: 9,
      cached: 1,
      write5m: 2,
      write1h: 3,
      output: 8,
      reasoning: 4,
      status: { code: 429, times: 2 },
      cutAfter: 5,
      delayMs: 6,
      chunkMs: 7,
      chunks: 10,
    });
  });

  it.each(['colour=red', 'input=-1', 'input=1.5', 'status=200', 'cut=50', 'delay_ms=999999', ''])(
    'refuses "%s" instead of guessing',
    (words) => {
      expect(() => readDirective(words)).toThrow(DirectiveError);
    },
  );

  it('splits the prompt into disjoint meters', () => {
    // 1200 in all = 870 uncached + 300 read + 10 and 20 written
    const directive = readDirective(
      'input=1200 cached=300 write5m=10 write1h=20 output=30 reasoning=8',
    );
    expect(splitCounts(listed('claude-haiku-4-5'), size, directive)).toEqual({
      input_uncached: 870,
      cache_read: 300,
      cache_write_5m: 10,
      cache_write_1h: 20,
      output_text: 22,
      output_reasoning: 8,
    });
  });

  it('never generates beyond the ceiling of the caller', () => {
    const directive = readDirective('output=500 reasoning=200');
    const counts = splitCounts(listed('o4-mini'), { ...size, maxOutput: 120 }, directive);
    expect([counts.output_reasoning, counts.output_text]).toEqual([120, 0]);
  });

  it('refuses parts that exceed their whole, and meters the model is not sold by', () => {
    const tooMuch = readDirective('input=10 cached=11');
    expect(() => splitCounts(listed('gpt-4o'), size, tooMuch)).toThrow(DirectiveError);
    const unsold = readDirective('input=10 write5m=1');
    expect(() => splitCounts(listed('gpt-4o'), size, unsold)).toThrow(DirectiveError);
  });
});
