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

const PIECES = 4;
const PIECE_LENGTH = 256;

/**
 * The same of a prompt, on every call's way: of a long text some pieces, evenly spread, are tokenised and the rest is taken to be as
 * dense. A prompt of 16 Ki characters would hold up every other call for milliseconds.
 */
export const estimateTextTokens = (text: string): number => {
  if (text.length <= PIECES * PIECE_LENGTH) return countTextTokens(text);
  const stride = (text.length - PIECE_LENGTH) / (PIECES - 1);
  let sample = 0;
  for (let piece = 0; piece < PIECES; piece += 1) {
    const from = Math.round(piece * stride);
    sample += countTokens(text.slice(from, from + PIECE_LENGTH), NO_SPECIAL);
  }
  return Math.ceil((sample * text.length) / (PIECES * PIECE_LENGTH));
};
