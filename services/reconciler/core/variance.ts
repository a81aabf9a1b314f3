import { formatAmount } from '../../../pricing/money.ts';
import type { CellName } from './cell.ts';
import type { CellContribution, DifferenceKind } from './match-attempts.ts';

/**
 * Why the two sides differ. `scope`: they bill what did not pass the proxy. `volume`: attempts whose usage they never stated to us.
 * `price`: the same quantities at another price. `rounding`: within half of the last unit printed. `unexplained`: the rest.
 */
export type VarianceClass = 'scope' | 'volume' | 'price' | 'rounding' | 'unexplained';

export interface Cause {
  class: VarianceClass;
  /** Scope (but for lines no table maps), volume and rounding need no decision; a price difference is named but not accepted. */
  explained: boolean;
  /** Share of the delta in USD; all causes of a cell add up to its delta. */
  amount_usd: string;
  /** Lines (scope, rounding) or attempts (the others, where known; else 0). */
  count: number;
  text: string;
}

/** Both sides of one cell. Amounts and quantities as counts of 10^-18. */
export interface CellFacts {
  readonly cell: CellName;
  readonly ledgerAmount: bigint;
  readonly ledgerQuantity: bigint;
  /** What we charge here for attempts whose usage the provider did not state, and how many they are. */
  readonly flaggedAmount: bigint;
  readonly flaggedEvents: number;
  /** Events of this model that no book prices. */
  readonly unratedEvents: number;
  /** The dearest single attempt here that the provider did state. */
  readonly largestStated: bigint;
  /** The dearest such share in any meter of the model. */
  readonly modelLargestStated: bigint;
  readonly statementAmount: bigint;
  /** Null where the statement states no quantities. */
  readonly statementQuantity: bigint | null;
  readonly statementLines: number;
  readonly roundingBound: bigint;
  /** Whether the ledger has any charge of this model. */
  readonly ledgerKnowsModel: boolean;
}

/** Texts of causes that are single calls. */
export const CALL_TEXTS: Record<DifferenceKind, string> = {
  missing_event: 'calls the provider bills and we have no event of',
  extra_event: 'calls we charge and the provider does not bill',
  charged_twice: 'calls of the provider that we charge twice',
  wrong_class: 'calls whose tokens are split over the meters otherwise',
  quantity: 'calls with other quantities',
  price: 'calls with the same quantities at another price',
};
export const FLAGGED_TEXT = 'attempts whose usage the provider did not state to us';

const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);

/** Collects causes; whatever is not named ends up unexplained, so that the sum is the delta by construction. */
class CauseSplit {
  readonly causes: Cause[] = [];
  rest: bigint;

  constructor(delta: bigint) {
    this.rest = delta;
  }

  name(cause: Omit<Cause, 'amount_usd'>, amount: bigint): void {
    if (amount === 0n) return;
    this.rest -= amount;
    this.causes.push({ ...cause, amount_usd: formatAmount(amount) });
  }
}

const nameAttempts = (split: CauseSplit, contributions: readonly CellContribution[]): void => {
  const sums = new Map<string, { of: CellContribution; amount: bigint; count: number }>();
  for (const part of contributions) {
    const key = part.flagged ? 'flagged' : part.kind;
    const before = sums.get(key) ?? { of: part, amount: 0n, count: 0 };
    sums.set(key, { of: part, amount: before.amount + part.amount, count: before.count + 1 });
  }
  for (const { of, amount, count } of sums.values()) {
    if (of.flagged) {
      const text = FLAGGED_TEXT;
      split.name({ class: 'volume', explained: true, count, text }, amount);
    } else {
      const variance = of.kind === 'price' ? 'price' : 'unexplained';
      split.name({ class: variance, explained: false, count, text: CALL_TEXTS[of.kind] }, amount);
    }
  }
};

const nameRounding = (split: CauseSplit, facts: CellFacts): void => {
  if (magnitude(split.rest) > facts.roundingBound) return;
  const text = 'within half of the last unit printed';
  split.name({ class: 'rounding', explained: true, count: facts.statementLines, text }, split.rest);
};

/** Money for a model that never passed here is named and accepted; a line that nobody can read is named, and somebody must look. */
const nameScope = (split: CauseSplit, facts: CellFacts): void => {
  if (facts.ledgerKnowsModel || facts.statementLines === 0) return;
  const isMapped = facts.cell.model !== '';
  const text = isMapped
    ? 'lines for what did not pass the proxy'
    : 'lines whose text no table maps';
  split.name(
    { class: 'scope', explained: isMapped, count: facts.statementLines, text },
    split.rest,
  );
};

/**
 * Without the provider's record per call, attempts it never stated can explain only so much: at least nothing of what we
 * charge for them is billed, at most each is billed like the dearest one it did state here; in a meter that has no charge, like the
 * dearest in any meter of the model. Where no attempt of the model has a price there is nothing to measure by, and the whole
 * amount is theirs.
 */
const nameBoundedVolume = (split: CauseSplit, facts: CellFacts): void => {
  const events = facts.flaggedEvents + facts.unratedEvents;
  if (events === 0) return;
  const isEmpty = facts.unratedEvents > 0 && facts.ledgerAmount === 0n;
  const dearest = isEmpty ? facts.modelLargestStated : facts.largestStated;
  const most = dearest * BigInt(events);
  const least = -magnitude(facts.flaggedAmount);
  const unpriced = isEmpty && dearest === 0n;
  let amount = split.rest;
  if (!unpriced && amount > most) amount = most;
  else if (amount < least) amount = least;
  const text = 'attempts whose usage the provider did not state to us, or no book prices (at most)';
  split.name({ class: 'volume', explained: true, count: events, text }, amount);
};

const nameRest = (split: CauseSplit, facts: CellFacts, itemised: boolean): void => {
  if (!itemised && facts.statementQuantity === facts.ledgerQuantity) {
    const text = 'the same quantity at another price';
    split.name({ class: 'price', explained: false, count: 0, text }, split.rest);
  }
  const text = itemised
    ? 'the statement and the provider record per call differ'
    : 'no cause found';
  split.name({ class: 'unexplained', explained: false, count: 0, text }, split.rest);
};

/**
 * Splits the delta of one cell (statement minus ledger) into causes that add up to it exactly.
 * @param contributions what single attempts add to it; null when the provider gave no record per call.
 */
export const explainCell = (
  facts: CellFacts,
  contributions: readonly CellContribution[] | null,
): Cause[] => {
  const split = new CauseSplit(facts.statementAmount - facts.ledgerAmount);
  if (contributions !== null) nameAttempts(split, contributions);
  if (contributions === null || contributions.length === 0) nameScope(split, facts);
  nameRounding(split, facts);
  if (contributions === null) nameBoundedVolume(split, facts);
  nameRest(split, facts, contributions !== null);
  return split.causes;
};
