import { addAmounts, canonicalAmount, negateAmount } from '../../../pricing/money.ts';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import { entryId } from '../../../schemas/ids.ts';
import type { Instant, Period } from '../../../schemas/instant.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
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
const substanceOf = (rated: RatedUsage, spell: (amount: string) => string): string =>
  JSON.stringify([
    rated.outcome,
    rated.unrated_reason ?? null,
    rated.total_usd === undefined ? null : spell(rated.total_usd),
    rated.charges.map(({ meter, model, quantity, unit_price, amount_usd, price_id }) => [
      meter,
      model,
      spell(quantity),
      spell(unit_price),
      spell(amount_usd),
      price_id,
    ]),
  ]);

/** What comes back from a warehouse may spell a number otherwise than the book did: 0.50 there, 0.5 here. That is no change. */
const isSameSubstance = (left: RatedUsage, right: RatedUsage): boolean => {
  const asWritten = (amount: string): string => amount;
  return (
    substanceOf(left, asWritten) === substanceOf(right, asWritten) ||
    substanceOf(left, canonicalAmount) === substanceOf(right, canonicalAmount)
  );
};

/** The charge in force: the newest revision. A reversal that was written without its charge does not end it. */
const inForce = (entries: readonly RatedUsage[]): RatedUsage | undefined =>
  entries
    .filter(({ kind }) => kind === 'charge')
    .reduce<RatedUsage | undefined>(
      (newest, entry) => (newest && newest.revision >= entry.revision ? newest : entry),
      undefined,
    );

const causeOf = (before: RatedUsage, after: RatedUsage): RerateCause => {
  if (before.outcome !== after.outcome) {
    return after.outcome === 'rated' ? 'newly_rated' : 'newly_unrated';
  }
  return (before.total_usd ?? '') === (after.total_usd ?? '') ? 'detail' : 'price';
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

const totalOf = (rated: RatedUsage): string => rated.total_usd ?? '0';

const differenceOf = (before: RatedUsage, after: RatedUsage): RerateDifference => ({
  tenant: after.dimensions.tenant,
  cause: causeOf(before, after),
  events: 1,
  before_usd: totalOf(before),
  after_usd: totalOf(after),
  difference_usd: addAmounts([totalOf(after), negateAmount(totalOf(before))]),
});

/** Adds differences up by tenant and cause, sorted by both; exact, so that pages add up to the whole. */
export const addDifferences = (rows: Iterable<RerateDifference>): RerateDifference[] => {
  const sums = new Map<string, RerateDifference>();
  for (const row of rows) {
    const key = `${row.tenant} ${row.cause}`;
    const sum = sums.get(key);
    sums.set(
      key,
      sum === undefined
        ? row
        : {
            ...row,
            events: sum.events + row.events,
            before_usd: addAmounts([sum.before_usd, row.before_usd]),
            after_usd: addAmounts([sum.after_usd, row.after_usd]),
            difference_usd: addAmounts([sum.difference_usd, row.difference_usd]),
          },
    );
  }
  return [...sums].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, sum]) => sum);
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
      differences.push(differenceOf(before, fresh));
    }
  }
  return { entries, differences: addDifferences(differences), unchanged };
};
