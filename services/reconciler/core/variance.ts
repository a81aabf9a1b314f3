import { formatAmount } from '../../../pricing/money.ts';
import type { Cause, NamedAmount } from './causes.ts';
import type { CellName } from './cell.ts';
import type { AttemptDifference, CallKind, CellContribution } from './match-attempts.ts';
import { callKindOf } from './match-attempts.ts';
import { ANY_MODEL } from './meter-groups.ts';

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
  /** What lines of the statement, or both records together, prove to be a share of the delta. */
  readonly named: readonly NamedAmount[];
}

/** How differences of single calls are called. */
const OF_CALLS: Record<CallKind, Pick<Cause, 'class' | 'explained' | 'text'>> = {
  missing_event: {
    class: 'missing_calls',
    explained: false,
    text: 'calls the provider bills and we have no event of',
  },
  extra_event: {
    class: 'missing_calls',
    explained: false,
    text: 'calls we charge and the provider does not bill',
  },
  charged_twice: {
    class: 'missing_calls',
    explained: false,
    text: 'calls of the provider that we charge twice',
  },
  other_month: {
    class: 'time_zone',
    explained: true,
    text: 'calls that we charge in the month beside, with the same figures',
  },
  wrong_cache: {
    class: 'cache',
    explained: false,
    text: 'calls whose input is split over cached and uncached otherwise',
  },
  wrong_class: {
    class: 'unexplained',
    explained: false,
    text: 'calls whose tokens are split over the meters otherwise',
  },
  quantity: { class: 'unexplained', explained: false, text: 'calls with other quantities' },
  price: {
    class: 'price',
    explained: false,
    text: 'calls with the same quantities at another price',
  },
};
const FLAGGED: Pick<Cause, 'class' | 'explained' | 'text'> = {
  class: 'volume',
  explained: true,
  text: 'attempts whose usage the provider did not state to us',
};

/** What a difference of one call is called. */
export const nameOfCall = (call: { kind: CallKind; flagged: boolean }) =>
  call.flagged ? FLAGGED : OF_CALLS[call.kind];

export const nameOfDifference = (difference: AttemptDifference) =>
  nameOfCall({ kind: callKindOf(difference), flagged: difference.flagged });

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
    const { text } = nameOfCall(part);
    const before = sums.get(text) ?? { of: part, amount: 0n, count: 0 };
    sums.set(text, { of: part, amount: before.amount + part.amount, count: before.count + 1 });
  }
  for (const { of, amount, count } of sums.values()) {
    const evidence = `${count} ${count === 1 ? 'call' : 'calls'} of the provider's own record, each with its id.`;
    split.name({ ...nameOfCall(of), count, evidence }, amount);
  }
};

const nameRounding = (split: CauseSplit, facts: CellFacts): void => {
  if (magnitude(split.rest) > facts.roundingBound) return;
  const text = 'within half of the last unit printed';
  const evidence = `${facts.statementLines} printed ${facts.statementLines === 1 ? 'line' : 'lines'} can be off by ${formatAmount(facts.roundingBound)} USD at most.`;
  const count = facts.statementLines;
  split.name({ class: 'rounding', explained: true, count, text, evidence }, split.rest);
};

/** Money for a model that never passed here is named and accepted; a line that nobody can read is named, and somebody must look. */
const nameScope = (split: CauseSplit, facts: CellFacts): void => {
  if (facts.ledgerKnowsModel || facts.statementLines === 0) return;
  const isMapped = facts.cell.model !== '';
  const text = isMapped
    ? 'lines for what did not pass the proxy'
    : 'lines whose text no table maps';
  const evidence = isMapped
    ? `The ledger has no event of ${facts.cell.model}${facts.cell.model === ANY_MODEL ? ` ${facts.cell.meter}` : ''}.`
    : 'No table knows what these lines are for; they are listed below.';
  const count = facts.statementLines;
  split.name({ class: 'scope', explained: isMapped, count, text, evidence }, split.rest);
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
  const evidence = `${events} ${events === 1 ? 'attempt' : 'attempts'}, each at most like the dearest one that was stated (${formatAmount(dearest)} USD).`;
  split.name({ class: 'volume', explained: true, count: events, text, evidence }, amount);
};

const nameRest = (split: CauseSplit, facts: CellFacts, itemised: boolean): void => {
  if (!itemised && facts.statementQuantity === facts.ledgerQuantity) {
    const text = 'the same quantity at another price';
    const evidence = `Both sides state a quantity of ${formatAmount(facts.ledgerQuantity)}.`;
    split.name({ class: 'price', explained: false, count: 0, text, evidence }, split.rest);
  }
  const text = itemised
    ? 'the statement and the provider record per call differ'
    : 'no cause found';
  const evidence = 'Nothing in the two records proves a cause.';
  split.name({ class: 'unexplained', explained: false, count: 0, text, evidence }, split.rest);
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
  for (const { amount, ...cause } of facts.named) split.name(cause, amount);
  if (contributions !== null) nameAttempts(split, contributions);
  if (contributions === null || contributions.length === 0) nameScope(split, facts);
  nameRounding(split, facts);
  if (contributions === null) nameBoundedVolume(split, facts);
  nameRest(split, facts, contributions !== null);
  return split.causes;
};
