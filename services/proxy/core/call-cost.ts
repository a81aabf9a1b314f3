import { formatAmount, scaledAmount } from '../../../pricing/money.ts';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';

/** Header, and trailer where the head had to go before. */
export const COST_HEADER = 'x-reckoner-cost-usd';

/** What the attempts of one call have cost so far. */
export interface CallCost {
  /** An attempt is under way: until it is closed nobody knows what the call costs. */
  opened(): void;
  /** @param totalUsd what it costs by the books; undefined: no price, no figure, or one that may yet be corrected. */
  closed(totalUsd: string | undefined): void;
  /** The exact sum; undefined unless every attempt is closed and rated. A call without attempts has none: absent is not zero. */
  usd(): string | undefined;
}

export const createCallCost = (): CallCost => {
  let attempts = 0;
  let open = 0;
  let scaled: bigint | null = 0n;
  return {
    opened: () => {
      attempts += 1;
      open += 1;
    },
    closed: (totalUsd) => {
      open -= 1;
      if (totalUsd === undefined) scaled = null;
      else if (scaled !== null) scaled += scaledAmount(totalUsd);
    },
    usd: () => (attempts === 0 || open > 0 || scaled === null ? undefined : formatAmount(scaled)),
  };
};

/** What one closed attempt costs, rated as the rater will rate it; undefined where it is left unrated. */
export const costOfAttempt = (
  fact: Omit<UsageEvent, 'sequence'>,
  books: PriceBooks,
): string | undefined =>
  // The place in the sequence, which the journal gives, has no price.
  rateUsage({ ...fact, sequence: 1 }, books, { knownAt: books.newestKnownFrom }).total_usd;

/** Whether a client takes trailers: it must say so, and its answer must come in chunks, which HTTP/1.0 does not know. */
export const takesTrailers = (httpVersion: string, te: string | undefined): boolean =>
  httpVersion === '1.1' && /(^|,)\s*trailers\s*(,|;|$)/i.test(te ?? '');
