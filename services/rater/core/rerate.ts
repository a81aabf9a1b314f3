import {
  canonicalAmount,
  formatAmount,
  negateAmount,
  scaledAmount,
} from '../../../pricing/money.ts';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import { entryId } from '../../../schemas/ids.ts';
import type { Instant, Period } from '../../../schemas/instant.ts';
import type { Charge, RatedUsage } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { rateEvent } from './rate-event.ts';

/** An event with the entries the ledger holds of it, in any order; none where it was never rated. */
export interface RatedEvent {
  event: UsageEvent;
  entries: readonly RatedUsage[];
}

/** Why an amount changes: what could not be priced can be now, the reverse, another price, or the same price with other names. */
export type RerateCause = 'newly_rated' | 'newly_unrated' | 'price' | 'detail';

/** Exact difference of one tenant and one cause. */
export interface RerateDifference {
  tenant: string;
  cause: RerateCause;
  events: number;
  before_usd: string;
  after_usd: string;
  difference_usd: string;
}

export interface RerateResult {
  /** What to append, in the order of the events: a reversal and the charge that takes its place. */
  entries: RatedUsage[];
  differences: RerateDifference[];
  unchanged: number;
}

/** Everything that decides an amount or how it came about; identities and revisions do not. */
export type Substance = Pick<RatedUsage, 'outcome' | 'unrated_reason' | 'total_usd' | 'charges'>;

/** What comes back from a warehouse may spell a number otherwise than the book did: 0.50 there, 0.5 here. That is no change. */
const isSameAmount = (left: string | undefined, right: string | undefined): boolean =>
  left === right ||
  (left !== undefined && right !== undefined && canonicalAmount(left) === canonicalAmount(right));

const isSameCharge = (left: Charge | undefined, right: Charge | undefined): boolean =>
  left !== undefined &&
  right !== undefined &&
  left.price_id === right.price_id &&
  left.meter === right.meter &&
  left.model === right.model &&
  isSameAmount(left.quantity, right.quantity) &&
  isSameAmount(left.unit_price, right.unit_price) &&
  isSameAmount(left.amount_usd, right.amount_usd);

/** Whether two ratings of an event say the same, to the last digit and line. */
export const isSameSubstance = (left: Substance, right: Substance): boolean =>
  left.outcome === right.outcome &&
  left.unrated_reason === right.unrated_reason &&
  left.charges.length === right.charges.length &&
  isSameAmount(left.total_usd, right.total_usd) &&
  left.charges.every((charge, index) => isSameCharge(charge, right.charges[index]));

/** The charge in force: the newest revision. A reversal that was written without its charge does not end it. */
const inForce = (entries: readonly RatedUsage[]): RatedUsage | undefined =>
  entries
    .filter(({ kind }) => kind === 'charge')
    .reduce<RatedUsage | undefined>(
      (newest, entry) => (newest && newest.revision >= entry.revision ? newest : entry),
      undefined,
    );

const causeOf = (before: Substance, after: Substance): RerateCause => {
  if (before.outcome !== after.outcome) {
    return after.outcome === 'rated' ? 'newly_rated' : 'newly_unrated';
  }
  return isSameAmount(before.total_usd, after.total_usd) ? 'detail' : 'price';
};

/** The reversal of an entry: the same with every quantity and amount negated. */
export const reversalOf = (charge: RatedUsage, postingPeriod: Period): RatedUsage => ({
  ...charge,
  entry_id: entryId(charge.event_id, charge.revision, 'reversal'),
  kind: 'reversal',
  posting_period: postingPeriod,
  charges: charge.charges.map((line) => ({
    ...line,
    quantity: negateAmount(line.quantity),
    amount_usd: negateAmount(line.amount_usd),
  })),
  ...(charge.total_usd === undefined ? {} : { total_usd: negateAmount(charge.total_usd) }),
  ...(charge.ceiling_usd === undefined ? {} : { ceiling_usd: negateAmount(charge.ceiling_usd) }),
});

/** What a change of one event is, for the tenant that pays for it. */
export const differenceOf = (
  tenant: string,
  before: Substance,
  after: Substance,
): RerateDifference => {
  const [from, to] = [scaledAmount(before.total_usd ?? '0'), scaledAmount(after.total_usd ?? '0')];
  return {
    tenant,
    cause: causeOf(before, after),
    events: 1,
    before_usd: formatAmount(from),
    after_usd: formatAmount(to),
    difference_usd: formatAmount(to - from),
  };
};

/** Adds differences up by tenant and cause, sorted by both; exact, so that pages add up to the whole. Refuses what an amount cannot hold. */
export const addDifferences = (rows: Iterable<RerateDifference>): RerateDifference[] => {
  const sums = new Map<string, { row: RerateDifference; before: bigint; after: bigint }>();
  for (const row of rows) {
    const key = `${row.tenant} ${row.cause}`;
    let sum = sums.get(key);
    if (!sum) {
      sum = { row: { ...row, events: 0 }, before: 0n, after: 0n };
      sums.set(key, sum);
    }
    sum.row.events += row.events;
    sum.before += scaledAmount(row.before_usd);
    sum.after += scaledAmount(row.after_usd);
  }
  return [...sums]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, { row, before, after }]) => ({
      ...row,
      before_usd: canonicalAmount(formatAmount(before)),
      after_usd: canonicalAmount(formatAmount(after)),
      difference_usd: canonicalAmount(formatAmount(after - before)),
    }));
};

/**
 * Rates events again with other books. Pure and idempotent: what is unchanged is left alone, and a run that broke off can be
 * repeated, since the same entries and books make the same reversals and charges again. A closed period is not touched:
 * `postingPeriodOf` names the open period that is posted into instead. A reversal is posted where its charge stands, if it can be.
 */
export const rerate = (
  rated: readonly RatedEvent[],
  books: PriceBooks,
  options: { knownAt: Instant; postingPeriodOf: (period: Period) => Period },
): RerateResult => {
  const entries: RatedUsage[] = [];
  const differences: RerateDifference[] = [];
  let unchanged = 0;
  for (const { event, entries: old } of rated) {
    const before = inForce(old);
    const { rated: fresh } = rateEvent(event, books, { knownAt: options.knownAt });
    const after = { ...fresh, posting_period: options.postingPeriodOf(fresh.period) };
    if (before === undefined) {
      entries.push(after);
    } else if (isSameSubstance(before, fresh)) {
      unchanged += 1;
    } else {
      const revision = before.revision + 1;
      entries.push(reversalOf(before, options.postingPeriodOf(before.posting_period)), {
        ...after,
        entry_id: entryId(fresh.event_id, revision, 'charge'),
        revision,
      });
      differences.push(differenceOf(fresh.dimensions.tenant, before, fresh));
    }
  }
  return { entries, differences: addDifferences(differences), unchanged };
};
