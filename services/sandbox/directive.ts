import { type ListedModel, METERS, type Meter } from './price-list.ts';

/** What a caller told the provider to pretend. Absent fields leave the provider to itself. */
export interface Directive {
  /** Tokens the prompt counts as, cached part and cache writes included, in both dialects. */
  input?: number;
  cached?: number;
  write5m?: number;
  write1h?: number;
  /** Tokens the answer counts as, reasoning included. */
  output?: number;
  reasoning?: number;
  /** Answer `code` to the first `times` attempts that carry the same `id`. */
  status?: { code: number; times: number };
  /** Destroy the connection once that many output tokens were generated. */
  cutAfter?: number;
  delayMs?: number;
  chunkMs?: number;
  chunks?: number;
  /** Of a request in a batch: never begun. */
  ends?: 'expired' | 'canceled';
  /** Names the retries of one call; the whole text of the directive where absent. */
  id: string;
}

/** A directive nobody can follow. The message is safe to answer: it repeats only the directive's own words. */
export class DirectiveError extends Error {
  override readonly name = 'DirectiveError';
}

const MARK = /\[\[sandbox\s([^\]]{0,400})\]\]/g;
const MAX_TOKENS = 2_000_000;
const WHOLE: Readonly<Record<string, { field: keyof Directive; max: number }>> = {
  input: { field: 'input', max: MAX_TOKENS },
  cached: { field: 'cached', max: MAX_TOKENS },
  write5m: { field: 'write5m', max: MAX_TOKENS },
  write1h: { field: 'write1h', max: MAX_TOKENS },
  output: { field: 'output', max: MAX_TOKENS },
  reasoning: { field: 'reasoning', max: MAX_TOKENS },
  delay_ms: { field: 'delayMs', max: 60_000 },
  chunk_ms: { field: 'chunkMs', max: 10_000 },
  chunks: { field: 'chunks', max: 10_000 },
};

const wholeNumber = (word: string, text: string, max: number): number => {
  const value = /^\d{1,9}$/.test(text) ? Number.parseInt(text, 10) : Number.NaN;
  if (!(value <= max)) {
    throw new DirectiveError(
      `Sandbox directive: ${word}=${text} is not a whole number up to ${max}.`,
    );
  }
  return value;
};

const readStatus = (text: string): { code: number; times: number } => {
  const match = /^([45]\d\d)(?:x(\d{1,4}))?$/.exec(text);
  if (match?.[1] === undefined) {
    throw new DirectiveError(
      `Sandbox directive: status=${text} was found, CODE or CODExN is expected.`,
    );
  }
  return {
    code: Number.parseInt(match[1], 10),
    times: Number.parseInt(match[2] ?? '1', 10),
  };
};

/** Reads `input=1200 output=211 status=429x1 cut=after:50 …`. Throws DirectiveError. */
export const readDirective = (words: string): Directive => {
  const directive: Directive = { id: words.trim() };
  for (const word of words.trim().split(/\s+/)) {
    const at = word.indexOf('=');
    const name = word.slice(0, at);
    const value = word.slice(at + 1);
    const whole = WHOLE[name];
    if (whole !== undefined) {
      Object.assign(directive, { [whole.field]: wholeNumber(name, value, whole.max) });
    } else if (name === 'status') directive.status = readStatus(value);
    else if (name === 'id') directive.id = value;
    else if (name === 'ends' && (value === 'expired' || value === 'canceled')) {
      directive.ends = value;
    } else if (name === 'cut' && value.startsWith('after:')) {
      directive.cutAfter = wholeNumber('cut', value.slice('after:'.length), MAX_TOKENS);
    } else {
      throw new DirectiveError(`Sandbox directive: "${word}" is not understood.`);
    }
  }
  return directive;
};

/** The last directive in a text, or undefined where there is none. Throws DirectiveError. */
export const findDirective = (text: string): Directive | undefined => {
  if (!text.includes('[[sandbox')) return undefined;
  const words = [...text.matchAll(MARK)].at(-1)?.[1];
  return words === undefined ? undefined : readDirective(words);
};

/** Tokens by meter; the meters are disjoint. */
export type Counts = Readonly<Record<Meter, number>>;

export const NO_COUNTS: Counts = Object.freeze(
  Object.fromEntries(METERS.map((meter) => [meter, 0])) as Record<Meter, number>,
);

/** The size of one call before anything is generated. */
export interface Size {
  input: number;
  output: number;
  /** The caller's own ceiling (`max_tokens` and the like): a provider never generates beyond it. */
  maxOutput: number | undefined;
}

/** Splits a call into disjoint meters. Throws DirectiveError where the parts exceed the whole or the model has no such meter. */
export const splitCounts = (
  model: ListedModel,
  size: Size,
  directive: Directive | undefined,
): Counts => {
  const input = directive?.input ?? size.input;
  const told = directive?.output ?? size.output;
  const output = size.maxOutput === undefined ? told : Math.min(told, size.maxOutput);
  const reasoning = Math.min(directive?.reasoning ?? 0, output);
  const counts = {
    cache_read: directive?.cached ?? 0,
    cache_write_5m: directive?.write5m ?? 0,
    cache_write_1h: directive?.write1h ?? 0,
    output_text: output - reasoning,
    output_reasoning: reasoning,
  };
  const uncached = input - counts.cache_read - counts.cache_write_5m - counts.cache_write_1h;
  if (uncached < 0) {
    throw new DirectiveError(
      `Sandbox directive: cached and written tokens exceed input=${input}, which contains them.`,
    );
  }
  const all: Counts = { input_uncached: uncached, ...counts };
  const unsold = METERS.find((meter) => all[meter] > 0 && model.usdPerMillion[meter] === undefined);
  if (unsold !== undefined) {
    throw new DirectiveError(`Sandbox directive: ${model.model} is not sold by ${unsold}.`);
  }
  return all;
};
