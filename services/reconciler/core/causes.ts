/**
 * Everything a difference can be called. Closed: the published guide (`discrepancies.md`) has a chapter for each, and each has a month
 * of its own in the tests. Accepted causes need no decision; the others are named, and one of the two sides is wrong.
 */
export const CAUSES = [
  'scope', // they bill what did not pass the proxy; or a line nobody can read
  'time_zone', // the same usage, counted in the other month
  'volume', // attempts whose usage they never stated to us
  'credit', // what they give back
  'tax', // what is billed on top of usage: taxes and fees
  'rounding', // within half of the last unit printed
  'tier', // the same tokens at another service tier's price
  'cache', // the same tokens in another class of cached and uncached input
  'missing_calls', // calls that only one of the two sides has
  'price', // the same quantity at another price
  'unexplained', // no cause could be proven
] as const;
export type CauseName = (typeof CAUSES)[number];

export interface Cause {
  class: CauseName;
  /** Accepted: nobody has to decide anything. What is named and not accepted counts as unexplained money. */
  explained: boolean;
  /** Share of the delta in USD; all causes of a cell add up to its delta. */
  amount_usd: string;
  /** Lines (scope, rounding, credit, tax) or attempts (the others, where known; else 0). */
  count: number;
  /** What it is. The same words mean the same wherever they stand. */
  text: string;
  /** One sentence: what in the two records proves it. */
  evidence: string;
}

/** A cause with its amount as a count of 10^-18 USD. */
export interface NamedAmount extends Omit<Cause, 'amount_usd'> {
  readonly amount: bigint;
}
