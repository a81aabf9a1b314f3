import { formatAmount, scaledAmount } from '../../../pricing/money.ts';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import { formatScaled, parseScaled, widen } from '../../../pricing/scaled-decimal.ts';
import type { Instant } from '../../../schemas/instant.ts';
import { periodOf } from '../../../schemas/instant.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { ReportGrouping, ReportRow, ReportSums } from '../../../schemas/report.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';

const QUANTITY_PLACES = 6;

/** Sums under way: amounts as counts of 10^-18 USD, quantities as counts of 10^-6. */
interface Sums {
  events: number;
  amount: bigint;
  meters: Map<string, { quantity: bigint; amount: bigint }>;
  endings: Map<string, { events: number; amount: bigint }>;
  unrated: Map<string, number>;
  unpriced: Map<string, bigint>;
}

const noSums = (): Sums => ({
  events: 0,
  amount: 0n,
  meters: new Map(),
  endings: new Map(),
  unrated: new Map(),
  unpriced: new Map(),
});

const scaledQuantity = (text: string): bigint =>
  widen(parseScaled(text) ?? { value: 0n, places: 0 }, QUANTITY_PLACES);

const addEvent = (sums: Sums, rated: RatedUsage): void => {
  sums.events += 1;
  const ending = sums.endings.get(rated.ending) ?? { events: 0, amount: 0n };
  sums.endings.set(rated.ending, ending);
  ending.events += 1;
  if (rated.unrated_reason === undefined) return;
  sums.unrated.set(rated.unrated_reason, (sums.unrated.get(rated.unrated_reason) ?? 0) + 1);
};

const addCharge = (sums: Sums, rated: RatedUsage, charge: RatedUsage['charges'][number]): void => {
  const amount = scaledAmount(charge.amount_usd);
  const meter = sums.meters.get(charge.meter) ?? { quantity: 0n, amount: 0n };
  sums.meters.set(charge.meter, meter);
  meter.quantity += scaledQuantity(charge.quantity);
  meter.amount += amount;
  const ending = sums.endings.get(rated.ending) ?? { events: 0, amount: 0n };
  sums.endings.set(rated.ending, ending);
  ending.amount += amount;
  sums.amount += amount;
};

/** The order of code units: the same on every machine, whatever its language. */
const byName = <Value>([left]: [string, Value], [right]: [string, Value]): number =>
  left < right ? -1 : 1;

const sorted = <Value, Shown>(
  map: ReadonlyMap<string, Value>,
  show: (value: Value) => Shown,
): Record<string, Shown> =>
  Object.fromEntries([...map].sort(byName).map(([name, value]) => [name, show(value)]));

const shown = (sums: Sums): ReportSums => ({
  events: sums.events,
  amount_usd: formatAmount(sums.amount),
  meters: sorted(sums.meters, ({ quantity, amount }) => ({
    quantity: formatScaled(quantity, QUANTITY_PLACES),
    amount_usd: formatAmount(amount),
  })),
  endings: sorted(sums.endings, ({ events, amount }) => ({
    events,
    amount_usd: formatAmount(amount),
  })),
  unrated: sorted(sums.unrated, (events) => events),
  unpriced: sorted(sums.unpriced, (quantity) => formatScaled(quantity, QUANTITY_PLACES)),
});

const groupValue = (
  grouping: ReportGrouping,
  event: UsageEvent,
  rated: RatedUsage,
): string | null => {
  switch (grouping) {
    case 'provider':
    case 'upstream':
    case 'ending':
    case 'key_id':
    case 'credential_pool_id':
    case 'model':
      return rated[grouping];
    case 'tier':
    case 'geo':
    case 'book':
      return rated[grouping] ?? null;
    case 'byo_key':
      return String(rated.byo_key);
    case 'day':
      return (event.provider_completed_at ?? event.event_ts).slice(0, 10);
    case 'period':
      return periodOf(event.provider_completed_at ?? event.event_ts);
    default:
      return rated.dimensions[grouping] ?? null;
  }
};

/** What an unrated event states, model by model. */
const statedOf = (event: UsageEvent, rated: RatedUsage) =>
  event.parts === undefined || event.parts.length === 0
    ? [{ model: rated.model, classes: event.classes, units: event.units }]
    : event.parts;

/** Sums by group, in the order of the groups' values. */
export interface ReportFold {
  /** Rates the event and adds it up. */
  add(event: UsageEvent): void;
  readonly groups: number;
  rows(): ReportRow[];
  totals(): ReportSums;
}

const compareValues = (
  left: readonly (string | null)[],
  right: readonly (string | null)[],
): number => {
  for (const [index, value] of left.entries()) {
    const other = right[index] ?? null;
    if (value === other) continue;
    // What names no value comes first.
    if (value === null) return -1;
    if (other === null) return 1;
    return value < other ? -1 : 1;
  }
  return 0;
};

/**
 * Rates events with the books as known at an instant and adds them up by group. Depends on the set of events and on the books alone:
 * neither the order of the events nor how they are paged shows in the sums. Money and quantities go to the model they were priced as,
 * the event to the model that answered; so every grouping adds up to the totals.
 */
export const foldReport = (
  by: readonly ReportGrouping[],
  books: PriceBooks,
  knownAt: Instant,
): ReportFold => {
  const groups = new Map<string, { values: (string | null)[]; sums: Sums }>();
  const total = noSums();
  const modelAt = by.indexOf('model');
  const sumsOf = (values: readonly (string | null)[], model: string): Sums => {
    const named =
      modelAt < 0 || values[modelAt] === model ? [...values] : values.with(modelAt, model);
    const key = JSON.stringify(named);
    const group = groups.get(key) ?? { values: named, sums: noSums() };
    groups.set(key, group);
    return group.sums;
  };
  return {
    get groups() {
      return groups.size;
    },
    add: (event) => {
      const rated = rateUsage(event, books, { knownAt });
      const values = by.map((grouping) => groupValue(grouping, event, rated));
      const own = sumsOf(values, rated.model);
      for (const sums of [own, total]) addEvent(sums, rated);
      for (const charge of rated.charges) {
        const sums = charge.model === rated.model ? own : sumsOf(values, charge.model);
        for (const into of [sums, total]) addCharge(into, rated, charge);
      }
      if (rated.outcome === 'rated') return;
      for (const { model, classes, units } of statedOf(event, rated)) {
        const sums = model === rated.model ? own : sumsOf(values, model);
        for (const [meter, text] of [...Object.entries(classes), ...Object.entries(units)]) {
          const quantity = scaledQuantity(text);
          if (quantity === 0n) continue;
          for (const into of [sums, total]) {
            into.unpriced.set(meter, (into.unpriced.get(meter) ?? 0n) + quantity);
          }
        }
      }
    },
    rows: () =>
      [...groups.values()]
        .sort((left, right) => compareValues(left.values, right.values))
        .map(({ values, sums }) => ({
          group: Object.fromEntries(by.map((name, index) => [name, values[index] ?? null])),
          ...shown(sums),
        })),
    totals: () => shown(total),
  };
};
