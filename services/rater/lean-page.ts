import type { PricedFacts } from '../../pricing/rate-usage.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { UsageSlice } from '../../schemas/usage-slice.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString } from '../platform/warehouse.ts';
import type { LeanEvent, StandingPrice } from './core/price-again.ts';
import type { PagePlace } from './rerate-pages.ts';
import { sliceCondition } from './rerate-pages.ts';

/** The events of one page with what stands of each. */
export interface LeanPage {
  events: LeanEvent[];
  /** Left out: a later fact has taken their place. */
  superseded: number;
}

export interface LeanReading {
  slice: UsageSlice;
  /** Providers whose own statement may be the price. */
  stating: readonly string[];
}

/**
 * Only the event's own bytes tell these apart from what the columns say: parts have no column, and an empty tier is not an absent one.
 * Inside a text quotes are escaped, so a text never matches; a tag may, and then costs a moment.
 */
const TOLD_BY_BYTES = `['"parts":[', '"tier":""']`;

/** Events that agree in all of this, as columns; most of it is said once for thousands. */
interface EventGroup {
  tenant: string;
  provider: string;
  flavour: PricedFacts['flavour'];
  requested_model: string;
  model: string;
  requested_tier: string;
  tier: string;
  geo: string;
  ending: PricedFacts['ending'];
  account: string;
  class_names: string[];
  unit_names: string[];
  superseded: number | boolean;
  ids: string[];
  instants: string[];
  class_quantities: string[][];
  unit_quantities: string[][];
  statements: string[];
  whole: string[];
}

/** Entries that agree in all of this, as columns. Decimals as strings; a total that is not there is empty. */
interface EntryGroup {
  outcome: RatedUsage['outcome'];
  reason: NonNullable<RatedUsage['unrated_reason']> | '';
  period: string;
  posting_period: string;
  meters: RatedUsage['charges'][number]['meter'][];
  models: string[];
  unit_prices: string[];
  price_ids: string[];
  ids: string[];
  revisions: number[];
  totals: string[];
  quantities: string[][];
  amounts: string[][];
}

/** A later fact is of the same attempt, so it lies in the same hour. The ledger may know of it before the archive does. */
const supersededIn = (hours: string): string =>
  `(event_id IN (SELECT supersedes FROM usage_archive WHERE ${hours} AND supersedes != '')
    OR event_id IN (SELECT supersedes FROM ledger_entries WHERE ${hours} AND supersedes != ''))`;

const eventsQuery = ({ hours, events }: PagePlace, { slice, stating }: LeanReading): string => {
  const statement =
    stating.length === 0
      ? "''"
      : `if(provider IN (${stating.map(sqlString).join(', ')}), raw_usage, '')`;
  return `SELECT tenant, provider, flavour, requested_model, model, requested_tier, tier, geo, ending, credential_pool_id AS account,
      mapKeys(classes) AS class_names, mapKeys(units) AS unit_names, ${supersededIn(hours)} AS superseded,
      groupArray(event_id) AS ids, groupArray(coalesce(provider_completed_at, event_ts)) AS instants,
      groupArray(mapValues(classes)) AS class_quantities, groupArray(mapValues(units)) AS unit_quantities,
      groupArray(${statement}) AS statements,
      groupArray(if(multiSearchAny(event_json, ${TOLD_BY_BYTES}), event_json, '')) AS whole
    FROM usage_archive FINAL WHERE ${hours} AND ${events} AND ${sliceCondition(slice)} GROUP BY ALL`;
};

const entriesQuery = ({ hours, events }: PagePlace, { slice }: LeanReading): string => {
  const isNarrow = slice.provider !== undefined || slice.model !== undefined;
  const ofSlice = isNarrow
    ? `AND event_id IN (SELECT event_id FROM usage_archive WHERE ${hours} AND ${events} AND ${sliceCondition(slice)})`
    : '';
  return `SELECT outcome, unrated_reason AS reason, period, posting_period, charge_meters AS meters, charge_models AS models,
      charge_unit_prices AS unit_prices, charge_price_ids AS price_ids,
      groupArray(event_id) AS ids, groupArray(revision) AS revisions, groupArray(ifNull(toString(total_usd), '')) AS totals,
      groupArray(charge_quantities) AS quantities, groupArray(charge_amounts) AS amounts
    FROM ledger_entries FINAL WHERE ${hours} AND ${events} AND kind = 'charge' ${ofSlice} GROUP BY ALL`;
};

const standingAt = (group: EntryGroup, index: number): StandingPrice => {
  const total = group.totals[index] ?? '';
  const quantities = group.quantities[index] ?? [];
  const amounts = group.amounts[index] ?? [];
  return {
    revision: group.revisions[index] ?? 0,
    outcome: group.outcome,
    ...(group.reason === '' ? {} : { unrated_reason: group.reason }),
    ...(total === '' ? {} : { total_usd: total }),
    charges: group.meters.map((meter, line) => ({
      meter,
      model: group.models[line] ?? '',
      quantity: quantities[line] ?? '',
      unit_price: group.unit_prices[line] ?? '',
      amount_usd: amounts[line] ?? '',
      price_id: group.price_ids[line] ?? '',
    })),
    period: group.period,
    posting_period: group.posting_period,
  };
};

/** The newest charge of each event: what is in force. */
const standingOf = (groups: readonly EntryGroup[]): Map<string, StandingPrice> => {
  const standing = new Map<string, StandingPrice>();
  for (const group of groups) {
    for (const [index, id] of group.ids.entries()) {
      const held = standing.get(id);
      if (held === undefined || held.revision < (group.revisions[index] ?? 0))
        standing.set(id, standingAt(group, index));
    }
  }
  return standing;
};

const quantitiesAt = (
  names: readonly string[],
  values: readonly string[] | undefined,
): Record<string, string> => {
  const quantities: Record<string, string> = {};
  for (const [index, name] of names.entries()) quantities[name] = values?.[index] ?? '';
  return quantities;
};

const orAbsent = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

/** Every field is named, so that one which pricing comes to read is not forgotten here. */
type EveryFact = { [Name in keyof Required<PricedFacts>]: PricedFacts[Name] | undefined };

const factsAt = (group: EventGroup, index: number): PricedFacts => {
  const whole = group.whole[index] ?? '';
  if (whole !== '') return (JSON.parse(whole) as { data: UsageEvent }).data;
  const facts: EveryFact = {
    event_ts: group.instants[index] ?? '',
    provider_completed_at: undefined,
    provider: group.provider,
    credential_pool_id: group.account,
    flavour: group.flavour,
    requested_model: orAbsent(group.requested_model),
    model: orAbsent(group.model),
    requested_tier: orAbsent(group.requested_tier),
    tier: orAbsent(group.tier),
    geo: orAbsent(group.geo),
    ending: group.ending,
    classes: quantitiesAt(group.class_names, group.class_quantities[index]),
    units: quantitiesAt(group.unit_names, group.unit_quantities[index]),
    parts: undefined,
    raw_usage: orAbsent(group.statements[index]),
  };
  return facts as PricedFacts;
};

/**
 * Reads what decides the prices of one page and what stands in the ledger, as columns: a tenth of what events and entries are.
 * The archive first: an entry that comes in between makes an event rated, never the reverse.
 */
export const readLeanPage = async (
  warehouse: Warehouse,
  place: PagePlace,
  reading: LeanReading,
): Promise<LeanPage> => {
  const groups = await warehouse.query<EventGroup>(eventsQuery(place, reading));
  const standing = standingOf(await warehouse.query<EntryGroup>(entriesQuery(place, reading)));
  const page: LeanPage = { events: [], superseded: 0 };
  for (const group of groups) {
    if (Number(group.superseded) !== 0) {
      page.superseded += group.ids.length;
      continue;
    }
    const { tenant } = group;
    for (const [index, id] of group.ids.entries()) {
      const before = standing.get(id);
      page.events.push({ event_id: id, tenant, facts: factsAt(group, index), before });
    }
  }
  return page;
};
