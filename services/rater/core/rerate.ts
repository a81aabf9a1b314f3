import { addAmounts, negateAmount } from '../../../pricing/money.ts';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import { entryId } from '../../../schemas/ids.ts';
import type { Instant, Period } from '../../../schemas/instant.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';

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
const substanceOf = (rated: RatedUsage): string =>
  JSON.stringify([
    rated.outcome,
    rated.unrated_reason ?? null,
    rated.total_usd ?? null,
    rated.charges.map(({ meter, model, quantity, unit_price, amount_usd, price_id }) => [
      meter,
      model,
      quantity,
      unit_price,
      amount_usd,
      price_id,
    ]),
  ]);

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
});

/** Adds up differences by tenant and cause. */
class Differences {
  readonly #sums = new Map<string, Omit<RerateDifference, 'difference_usd'>>();

  add(before: RatedUsage, after: RatedUsage): void {
    const { tenant } = after.dimensions;
    const cause = causeOf(before, after);
    const key = `${tenant} ${cause}`;
    const sum = this.#sums.get(key) ?? {
      tenant,
      cause,
      events: 0,
      before_usd: '0',
      after_usd: '0',
    };
    this.#sums.set(key, {
      ...sum,
      events: sum.events + 1,
      before_usd: addAmounts([sum.before_usd, before.total_usd ?? '0']),
      after_usd: addAmounts([sum.after_usd, after.total_usd ?? '0']),
    });
  }

  rows(): RerateDifference[] {
    return [...this.#sums]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([, sum]) => ({
        ...sum,
        difference_usd: addAmounts([sum.after_usd, negateAmount(sum.before_usd)]),
      }));
  }
}

/**
 * Rates events again with other books. Pure and idempotent: what is unchanged is left alone, and a run that broke off can be
 * repeated, since the same entries and books make the same reversals and charges again. A closed period is not touched:
 * `postingPeriodOf` names the open period that a change of an event's period is posted into.
 */
export const rerate = (
  rated: readonly RatedEvent[],
  books: PriceBooks,
  options: { knownAt: Instant; postingPeriodOf: (period: Period) => Period },
): RerateResult => {
  const entries: RatedUsage[] = [];
  const differences = new Differences();
  let unchanged = 0;
  for (const { event, entries: old } of rated) {
    const before = inForce(old);
    const fresh = rateUsage(event, books, { knownAt: options.knownAt });
    const after = { ...fresh, posting_period: options.postingPeriodOf(fresh.period) };
    if (before === undefined) {
      entries.push(after);
    } else if (substanceOf(before) === substanceOf(fresh)) {
      unchanged += 1;
    } else {
      const revision = before.revision + 1;
      entries.push(reversalOf(before, options.postingPeriodOf(before.period)), {
        ...after,
        entry_id: entryId(fresh.event_id, revision, 'charge'),
        revision,
      });
      differences.add(before, fresh);
    }
  }
  return { entries, differences: differences.rows(), unchanged };
};
