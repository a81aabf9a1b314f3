import type { Period } from '../../schemas/instant.ts';
import { toInstant } from '../platform/clock.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString } from '../platform/warehouse.ts';
import type { WindowSpend } from './core/plan-pushes.ts';

const SECOND_MS = 1000;

/** First instant of an accounting month and of the next, in epoch milliseconds. */
export const periodBounds = (period: Period): { startMs: number; endMs: number } => {
  const startMs = Date.parse(`${period}-01T00:00:00.000Z`);
  const next = new Date(startMs);
  next.setUTCMonth(next.getUTCMonth() + 1);
  return { startMs, endMs: next.getTime() };
};

/**
 * The ledger's USD per tenant and window of what posts into a period. A fact that belongs to an earlier, closed period
 * counts in the first window of this one. Calls with the tenant's own provider key are left out: the provider bills
 * those to the tenant already.
 */
export const readSpend = async (
  warehouse: Warehouse,
  period: Period,
  window: 'hour' | 'day',
): Promise<Map<string, WindowSpend[]>> => {
  const { startMs } = periodBounds(period);
  const start = window === 'hour' ? 'toStartOfHour(event_ts)' : 'toStartOfDay(event_ts)';
  const rows = await warehouse.query<{ tenant: string; at: number | string; usd: string }>(
    `SELECT tenant, greatest(toUInt32(toUnixTimestamp(${start})), toUInt32(${startMs / SECOND_MS})) AS at, toString(sum(amount_usd)) AS usd
     FROM charges WHERE posting_period = ${sqlString(period)} AND NOT byo_key GROUP BY tenant, at ORDER BY tenant, at`,
  );
  const spend = new Map<string, WindowSpend[]>();
  for (const row of rows) {
    const windows = spend.get(row.tenant) ?? [];
    windows.push({ windowStart: toInstant(Number(row.at) * SECOND_MS), amountUsd: row.usd });
    spend.set(row.tenant, windows);
  }
  return spend;
};
