import type { RatedUsage } from '../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { toInstant } from '../platform/clock.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString, sqlStrings } from '../platform/warehouse.ts';
import type { RatedEvent } from './core/rerate.ts';
import type { StandingEntry } from './core/supersede.ts';
import { restoredCharge } from './core/supersede.ts';
import type { PagePlace } from './rerate-pages.ts';

interface Row
  extends Omit<
    StandingEntry,
    'ceiling_usd' | 'charges' | 'closed_at' | 'revision' | 'sequence' | 'total_usd'
  > {
  revision: number | string;
  sequence: number | string;
  closed_ms: number | string;
  meters: RatedUsage['charges'][number]['meter'][];
  models: string[];
  quantities: string[];
  unit_prices: string[];
  amounts: string[];
  price_ids: string[];
  total: string | null;
  ceiling: string | null;
}

const COLUMNS = `event_id, revision, kind, outcome, unrated_reason, unrated_detail, supersedes,
  toUnixTimestamp64Milli(closed_at) AS closed_ms, period, posting_period, boot_id, sequence, model, tier, geo, ending,
  provider_request_id, book, assumed, flags, charge_meters AS meters, charge_models AS models,
  arrayMap(x -> toString(x), charge_quantities) AS quantities, arrayMap(x -> toString(x), charge_unit_prices) AS unit_prices,
  arrayMap(x -> toString(x), charge_amounts) AS amounts, charge_price_ids AS price_ids, toString(total_usd) AS total, toString(ceiling_usd) AS ceiling`;

const entryOf = (row: Row): StandingEntry => {
  const { closed_ms, meters, models, quantities, unit_prices, amounts, price_ids, ...rest } = row;
  const { total, ceiling, ...entry } = rest;
  return {
    ...entry,
    revision: Number(row.revision),
    sequence: Number(row.sequence),
    closed_at: toInstant(Number(closed_ms)),
    charges: meters.map((meter, index) => ({
      meter,
      model: models[index] ?? '',
      quantity: quantities[index] ?? '',
      unit_price: unit_prices[index] ?? '',
      amount_usd: amounts[index] ?? '',
      price_id: price_ids[index] ?? '',
    })),
    total_usd: total,
    ceiling_usd: ceiling,
  };
};

/** The ledger's entries that `condition` selects (validated SQL), by event. */
export const readEntries = async (
  warehouse: Warehouse,
  condition: string,
): Promise<Map<string, StandingEntry[]>> => {
  const rows = await warehouse.query<Row>(
    `SELECT ${COLUMNS} FROM ledger_entries FINAL WHERE ${condition}`,
  );
  const found = new Map<string, StandingEntry[]>();
  for (const row of rows) {
    const entries = found.get(row.event_id) ?? [];
    entries.push(entryOf(row));
    found.set(row.event_id, entries);
  }
  return found;
};

/** A superseded event lies where the later one does: same tenant, same `event_ts`. So the table's own order finds it. */
const placeOf = (later: RatedUsage): string =>
  `(${sqlString(later.dimensions.tenant)}, toStartOfHour(toDateTime64(${sqlString(later.event_ts.slice(0, -1))}, 3, 'UTC')), ${sqlString(later.supersedes ?? '')})`;

/** The ledger's entries of the events that the given ones supersede, by event. */
export const readSuperseded = (
  warehouse: Warehouse,
  later: readonly RatedUsage[],
): Promise<Map<string, StandingEntry[]>> =>
  readEntries(
    warehouse,
    `(tenant, toStartOfHour(event_ts), event_id) IN (${later.map(placeOf).join(', ')})`,
  );

/** Bytes that were checked when they were taken in. */
const eventOf = (json: string): UsageEvent => (JSON.parse(json) as { data: UsageEvent }).data;

/** Some events of a page whole, each with its newest charge, in the order of their ids. */
export const readRatedEvents = async (
  warehouse: Warehouse,
  { hours }: PagePlace,
  ids: readonly string[],
): Promise<RatedEvent[]> => {
  const which = `${hours} AND event_id IN ${sqlStrings(ids)}`;
  const rows = await warehouse.query<{ event_id: string; event_json: string }>(
    `SELECT event_id, event_json FROM usage_archive FINAL WHERE ${which} ORDER BY event_id`,
  );
  const standing = await readEntries(warehouse, `${which} AND kind = 'charge'`);
  return rows.map(({ event_id, event_json }) => {
    const event = eventOf(event_json);
    const [newest] = (standing.get(event_id) ?? []).sort((a, b) => b.revision - a.revision);
    return { event, entries: newest ? [restoredCharge(newest, event)] : [] };
  });
};
