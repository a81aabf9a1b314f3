import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';

/** Text that is really tokenised; what is longer is taken to be as dense as its beginning, so that a huge prompt cannot stall the loop. */
const SAMPLE_MAX = 16_384;
const NO_SPECIAL = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };

/** Tokens in a text by OpenAI's o200k vocabulary. An estimate for every other vendor: newer Claude models count about 30 % more. */
export const countTextTokens = (text: string): number => {
  if (text.length <= SAMPLE_MAX) return countTokens(text, NO_SPECIAL);
  const sample = countTokens(text.slice(0, SAMPLE_MAX), NO_SPECIAL);
  return Math.ceil((sample * text.length) / SAMPLE_MAX);
};
