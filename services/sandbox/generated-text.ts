import type { Provider } from './price-list.ts';

/** Each piece is one token of OpenAI's o200k vocabulary, so a tokenizer that counts the text seen arrives at our count. */
const OPENAI_PIECES =
  ' the| river| carries| small| boats| past| the| old| mill|,| and| every| morning| the| baker| counts| them|.| Most| come| back| before| evening| with| bread|,| salt| and| news| from| the| town|.'.split(
    '|',
  );
/** Claude's vocabulary is not public: some words are two tokens here, so that a foreign tokenizer is off by a few percent, as in life. */
const ANTHROPIC_PIECES =
  ' the| river| carr|ies| small| boats| past| the| old| mill|,| and| every| morning| the| mill|er| counts| them|.| Most| come| back| before| evening| with| bread|,| salt| and| news| from| the| town|.'.split(
    '|',
  );
const PRECOMPUTED_TOKENS = 8192;

interface Reel {
  readonly text: string;
  /** Where token i begins; one more entry than tokens. */
  readonly starts: Uint32Array;
}

const windReel = (pieces: readonly string[]): Reel => {
  const starts = new Uint32Array(PRECOMPUTED_TOKENS + 1);
  let text = '';
  for (let token = 0; token < PRECOMPUTED_TOKENS; token += 1) {
    starts[token] = text.length;
    text += pieces[token % pieces.length];
  }
  starts[PRECOMPUTED_TOKENS] = text.length;
  return { text, starts };
};

const OPENAI_REEL = windReel(OPENAI_PIECES);
const CLAUDE_REEL = windReel(ANTHROPIC_PIECES);
/** Providers that serve Claude; all others' words are as many tokens as OpenAI's vocabulary makes of them. */
const CLAUDE_PROVIDERS: ReadonlySet<Provider> = new Set(['anthropic', 'bedrock']);

/** The words of tokens `from` (inclusive) to `to` (exclusive). The same tokens are always the same words. */
export const wordsOfTokens = (provider: Provider, from: number, to: number): string => {
  const reel = CLAUDE_PROVIDERS.has(provider) ? CLAUDE_REEL : OPENAI_REEL;
  let text = '';
  let at = from;
  while (at < to) {
    const start = at % PRECOMPUTED_TOKENS;
    const end = Math.min(PRECOMPUTED_TOKENS, start + to - at);
    text += reel.text.slice(reel.starts[start], reel.starts[end]);
    at += end - start;
  }
  return from === 0 ? text.trimStart() : text;
};
