import type { Period } from '../../schemas/instant.ts';
import { toInstant } from '../platform/clock.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString, sqlStrings } from '../platform/warehouse.ts';
import type { LedgerCharge, LedgerEvent } from './core/call.ts';
import type { LedgerSum, UnratedEvents } from './core/cell-facts.ts';
import type { LedgerQuarter } from './core/day-boundary.ts';
import type { LedgerSlice } from './core/repricing.ts';

/** Endings whose usage the provider did not state, or not in full. */
const NOT_STATED = ['partial', 'estimated', 'unknown', 'pending'] as const;
const STATED = ['reported', 'drained'] as const;
/** Charges of single events held in memory for a comparison call by call. */
const CHARGES_MAX = 2_000_000;

const scope = (provider: string, period: Period): string =>
  `provider = ${sqlString(provider)} AND period = ${sqlString(period)}`;

/** Charges per event, model and meter, reversals taken off. Customers' own keys are not on our statement. */
const perEvent = (condition: string): string =>
  `SELECT event_id, any(attempt_id) AS attempt, any(provider_request_id) AS request, any(ending) AS event_ending,
     model, meter, sum(quantity) AS event_quantity, sum(amount_usd) AS event_amount
   FROM charges WHERE ${condition} AND NOT byo_key
   GROUP BY event_id, model, meter
   HAVING event_quantity != 0 OR event_amount != 0`;

interface SumRow extends Omit<LedgerSum, 'flagged_events'> {
  flagged_events: string;
}

/** The ledger by model and meter. */
export const readLedgerSums = async (
  warehouse: Warehouse,
  provider: string,
  period: Period,
): Promise<LedgerSum[]> => {
  const flagged = `event_ending IN ${sqlStrings(NOT_STATED)}`;
  const rows = await warehouse.query<SumRow>(
    `SELECT model, meter, sum(event_quantity) AS quantity, sum(event_amount) AS amount_usd,
       sumIf(event_amount, ${flagged}) AS flagged_usd, countIf(${flagged}) AS flagged_events,
       maxIf(event_amount, NOT (${flagged})) AS largest_stated_usd
     FROM (${perEvent(scope(provider, period))}) GROUP BY model, meter ORDER BY model, meter`,
  );
  return rows.map((row) => ({ ...row, flagged_events: Number(row.flagged_events) }));
};

/** Events without a price, by model. Customers' own keys are not on our statement and explain nothing of it. */
export const readUnrated = async (
  warehouse: Warehouse,
  provider: string,
  period: Period,
): Promise<UnratedEvents[]> => {
  const rows = await warehouse.query<{ model: string; events: string }>(
    `SELECT model, count() AS events FROM unrated WHERE ${scope(provider, period)}
       AND event_id NOT IN (SELECT event_id FROM ledger_entries WHERE ${scope(provider, period)} AND byo_key)
     GROUP BY model ORDER BY model`,
  );
  return rows.map((row) => ({ model: row.model, events: Number(row.events) }));
};

interface ChargeRow extends Omit<LedgerCharge, 'attempt_id' | 'provider_request_id'> {
  attempt: string;
  request: string;
}

const DAY_MS = 86_400_000;
/** Days on either side of a month in which a call at its edge may have been counted. */
const EDGE_DAYS = 2;

/** First instants of a month and of the next, so many days before and after, as SQL literals. */
const monthBounds = (period: Period, edgeDays = 0): [string, string] => {
  const start = new Date(`${period}-01T00:00:00.000Z`);
  const end = Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 1);
  const edgeMs = edgeDays * DAY_MS;
  return [
    sqlString(new Date(start.getTime() - edgeMs).toISOString()),
    sqlString(new Date(end + edgeMs).toISOString()),
  ];
};

const readCharges = async (
  warehouse: Warehouse,
  condition: string,
  what: string,
): Promise<LedgerCharge[]> => {
  const rows = await warehouse.query<ChargeRow>(
    `SELECT event_id, attempt, request, model, meter, event_quantity AS quantity, event_amount AS amount_usd
     FROM (${perEvent(condition)}) LIMIT ${CHARGES_MAX + 1}`,
  );
  if (rows.length > CHARGES_MAX) {
    throw new ReckonerError(
      'REQUEST_INVALID',
      `The ledger has more than ${CHARGES_MAX} charges of ${what}, too many to compare call by call. Reconcile without the record per call.`,
    );
  }
  return rows.map(({ attempt, request, ...charge }) => ({
    ...charge,
    attempt_id: attempt,
    provider_request_id: request,
  }));
};

/** Charges of the months beside, near this one. */
const besideCondition = (provider: string, period: Period): string => {
  const [start, end] = monthBounds(period, EDGE_DAYS);
  return `provider = ${sqlString(provider)} AND period != ${sqlString(period)} AND event_ts >= ${start} AND event_ts < ${end}`;
};

/** Events that are not plainly stated and charged: their own record says why a difference is to be expected, or that there is none. */
const readUnstatedEvents = async (
  warehouse: Warehouse,
  provider: string,
  period: Period,
): Promise<LedgerEvent[]> => {
  const [start, end] = monthBounds(period);
  const unrated = `event_id IN (SELECT event_id FROM unrated WHERE ${scope(provider, period)})`;
  const crashed = `error_kind = 'crash'`;
  const rows = await warehouse.query<Omit<LedgerEvent, 'flagged'> & { is_flagged: number }>(
    `SELECT event_id, attempt_id, provider_request_id, if(model = '', requested_model, model) AS model,
       toUInt8(ending IN ${sqlStrings(NOT_STATED)} OR ${crashed} OR ${unrated}) AS is_flagged
     FROM usage
     WHERE provider = ${sqlString(provider)} AND event_ts >= ${start} AND event_ts < ${end} AND NOT byo_key
       AND (ending NOT IN ${sqlStrings(STATED)} OR ${crashed} OR ${unrated})
     LIMIT ${CHARGES_MAX}`,
  );
  return rows.map(({ is_flagged, ...event }) => ({ ...event, flagged: Number(is_flagged) === 1 }));
};

/** Our side of a comparison call by call. */
export const readCalls = async (
  warehouse: Warehouse,
  provider: string,
  period: Period,
): Promise<{ charges: LedgerCharge[]; events: LedgerEvent[]; beside: LedgerCharge[] }> => ({
  charges: await readCharges(warehouse, scope(provider, period), `${provider} in ${period}`),
  events: await readUnstatedEvents(warehouse, provider, period),
  beside: await readCharges(
    warehouse,
    besideCondition(provider, period),
    `${provider} in the days before and after ${period}`,
  ),
});

const SLICE = `SELECT model, meter, tier, unit_price, sum(c.quantity) AS quantity, sum(c.amount_usd) AS amount_usd`;
const NOT_ZERO = 'HAVING quantity != 0 OR amount_usd != 0';
/** Quarters of an hour held in memory for finding the zone of a statement's days. */
const QUARTERS_MAX = 300_000;

/** The ledger of a month by model, meter, tier and price. */
export const readSlices = (
  warehouse: Warehouse,
  provider: string,
  period: Period,
): Promise<LedgerSlice[]> =>
  warehouse.query<LedgerSlice & Record<string, unknown>>(
    `${SLICE} FROM charges AS c WHERE ${scope(provider, period)} AND NOT byo_key
     GROUP BY model, meter, tier, unit_price ${NOT_ZERO} ORDER BY model, meter, tier, unit_price`,
  );

/**
 * The same by quarter of an hour, with two days of the months beside. Calls completed in another month than begun stay out: the hour they
 * began says nothing of their day. Null where there are more than can be held.
 */
export const readQuarters = async (
  warehouse: Warehouse,
  provider: string,
  period: Period,
): Promise<LedgerQuarter[] | null> => {
  const [start, end] = monthBounds(period, EDGE_DAYS);
  const rows = await warehouse.query<LedgerSlice & { quarter: number | string }>(
    `${SLICE}, toUnixTimestamp(toStartOfInterval(c.event_ts, INTERVAL 15 MINUTE)) AS quarter
     FROM charges AS c WHERE provider = ${sqlString(provider)} AND event_ts >= ${start} AND event_ts < ${end}
       AND formatDateTime(c.event_ts, '%Y-%m') = period AND NOT byo_key
     GROUP BY model, meter, tier, unit_price, quarter ${NOT_ZERO}
     ORDER BY model, meter, tier, unit_price, quarter LIMIT ${QUARTERS_MAX + 1}`,
  );
  if (rows.length > QUARTERS_MAX) return null;
  return rows.map(({ quarter, ...slice }) => ({
    ...slice,
    quarter_start: toInstant(Number(quarter) * 1_000),
  }));
};
