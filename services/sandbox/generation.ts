import type { Counts } from './directive.ts';
import { wordsOfTokens } from './generated-text.ts';
import type { ListedModel } from './price-list.ts';

/** What one step of generation brought forth. */
export interface Piece {
  /** Words of the reasoning tokens; some dialects hide them. */
  readonly thinking: string;
  readonly text: string;
}

/**
 * The model at work, and the only place where output tokens are counted: the bill is read off here, never off a usage object.
 * Reasoning comes before the answer.
 */
export class Generation {
  readonly model: ListedModel;
  readonly planned: Counts;
  #produced = 0;

  constructor(model: ListedModel, planned: Counts) {
    this.model = model;
    this.planned = planned;
  }

  get total(): number {
    return this.planned.output_reasoning + this.planned.output_text;
  }

  /** Generates until that many output tokens exist and returns what is new. */
  upTo(tokens: number): Piece {
    const provider = this.model.provider;
    const from = this.#produced;
    const to = Math.min(tokens, this.total);
    const border = this.planned.output_reasoning;
    this.#produced = Math.max(from, to);
    return {
      thinking: wordsOfTokens(provider, Math.min(from, border), Math.min(to, border)),
      text: wordsOfTokens(provider, Math.max(from - border, 0), Math.max(to - border, 0)),
    };
  }

  /** Tokens read and generated so far. */
  counts(): Counts {
    const reasoning = Math.min(this.#produced, this.planned.output_reasoning);
    return {
      ...this.planned,
      output_reasoning: reasoning,
      output_text: this.#produced - reasoning,
    };
  }
}

/** How many tokens exist after each of `chunks` equal steps; the last one is `total`. */
export const stepsOf = (total: number, chunks: number): number[] => {
  const steps = Math.max(1, Math.min(chunks, total));
  return Array.from({ length: steps }, (_, step) => Math.floor((total * (step + 1)) / steps));
};
