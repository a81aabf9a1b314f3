import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Money } from '../../../pricing/money.ts';
import { priceUsage } from '../../../pricing/price-usage.ts';
import type { ClassQuantities } from '../../../schemas/usage-event.ts';
import { loadPriceBooks } from '../../../services/platform/price-books.ts';

const RECORDED = '../shared/recordings/usage-bodies.json';

type Counts = { [key: string]: number | Counts | undefined | null };
interface Recorded {
  body: { model: string; usage?: Counts };
  extracted: {
    extractors: {
      provider_id: string;
      api_flavor: string;
      input_price?: string;
      output_price?: string;
    }[];
  }[];
}

const count = (usage: Counts, ...path: string[]): number => {
  let value: Counts[string] = usage;
  for (const key of path)
    value = typeof value === 'object' && value !== null ? value[key] : undefined;
  return typeof value === 'number' ? value : 0;
};
const asClasses = (counts: Record<string, number>): ClassQuantities =>
  Object.fromEntries(Object.entries(counts).map(([key, value]) => [key, String(value)]));

/** Cache reads and writes are beside input_tokens. */
const anthropicClasses = (usage: Counts): ClassQuantities => {
  const oneHour = count(usage, 'cache_creation', 'ephemeral_1h_input_tokens');
  const reasoning = count(usage, 'output_tokens_details', 'thinking_tokens');
  return asClasses({
    input_uncached: count(usage, 'input_tokens'),
    cache_read: count(usage, 'cache_read_input_tokens'),
    cache_write_5m: count(usage, 'cache_creation_input_tokens') - oneHour,
    cache_write_1h: oneHour,
    output_text: count(usage, 'output_tokens') - reasoning,
    output_reasoning: reasoning,
  });
};

/** Cached, written and audio tokens are inside the input count, reasoning inside the output count. */
const openaiClasses = (usage: Counts): ClassQuantities => {
  const [input, output] = 'prompt_tokens' in usage ? ['prompt', 'completion'] : ['input', 'output'];
  const read = count(usage, `${input}_tokens_details`, 'cached_tokens');
  const written = count(usage, `${input}_tokens_details`, 'cache_write_tokens');
  const audio = count(usage, `${input}_tokens_details`, 'audio_tokens');
  const reasoning = count(usage, `${output}_tokens_details`, 'reasoning_tokens');
  return asClasses({
    input_uncached: count(usage, `${input}_tokens`) - read - written - audio,
    'input_uncached.audio': audio,
    cache_read: read,
    cache_write_30m: written,
    output_text: count(usage, `${output}_tokens`) - reasoning,
    output_reasoning: reasoning,
  });
};

/** The recorded prices are decimals with an exponent at times. */
const plain = (price: string | undefined) => new Money(price ?? '0');

const books = loadPriceBooks();

/** Our price and the recorded expectation of a second reader, which priced with decimals. */
const compare = ({ body, extracted }: Recorded) => {
  const usage = body.usage ?? {};
  const embeds = !('completion_tokens' in usage) && !('output_tokens' in usage);
  const readers = embeds
    ? ['openai embeddings']
    : ['openai chat', 'openai responses', 'anthropic default'];
  const expectation = extracted
    .flatMap(({ extractors }) => extractors)
    .find(
      (e) => readers.includes(`${e.provider_id} ${e.api_flavor}`) && e.input_price !== undefined,
    );
  if (!expectation) return null;
  const provider = expectation.provider_id;
  const classes = provider === 'anthropic' ? anthropicClasses(usage) : openaiClasses(usage);
  const parts = [{ model: body.model, classes, units: {} }];
  // The expectations were written before the price of gpt-5.6-sol fell on 2026-08-21.
  const at = '2026-08-20T00:00:00.000Z';
  const priced = priceUsage({ provider, parts, at, knownAt: books.newestKnownFrom }, books);
  const theirs = plain(expectation.input_price).plus(plain(expectation.output_price)).toFixed();
  const ours = priced.ok ? priced.total : priced.reason;
  return { model: body.model, ours, theirs };
};

/** Each with its reason; anything else that differs fails. */
const EXPLAINED: Record<string, string> = {
  'gpt-oss-120b': 'not sold by the vendor; the second reader takes the price of a reseller',
  'gpt-4o-audio-preview-2024-12-17':
    'audio was sold dearer than text; the second reader knows no audio price and takes that of text',
};

describe('recorded replies', () => {
  it.skipIf(!existsSync(RECORDED))(
    `cost to the last digit what a second reader says, but for explained differences (needs ${RECORDED})`,
    () => {
      const recorded = JSON.parse(readFileSync(RECORDED, 'utf8')) as Recorded[];
      const results = recorded.map(compare).filter((result) => result !== null);
      expect(results.length).toBeGreaterThan(100);
      const differences = results.filter(
        ({ model, ours, theirs }) => ours !== theirs && !(model in EXPLAINED),
      );
      expect(differences).toEqual([]);
    },
  );
});
