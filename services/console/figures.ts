import { z } from 'zod';
import { NameSchema } from '../../schemas/ids.ts';
import { PeriodSchema } from '../../schemas/instant.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString } from '../platform/warehouse.ts';

const ROWS_MAX = 10_000;

/** What spend can be grouped by, and the expression that gives it as text. */
const GROUPS = {
  tenant: 'tenant',
  feature: 'feature',
  model: 'model',
  day: 'toString(day)',
  meter: 'meter',
} as const;
type Group = keyof typeof GROUPS;

const GroupsSchema = z
  .string()
  .default('')
  .transform((text) => text.split(',').filter((part) => part !== ''))
  .pipe(z.array(z.enum(Object.keys(GROUPS) as [Group, ...Group[]])).max(5));

export const SpendQuerySchema = z.strictObject({
  by: GroupsSchema,
  period: PeriodSchema.optional(),
  tenant: NameSchema.optional(),
  feature: NameSchema.optional(),
  model: z.string().min(1).max(200).optional(),
});
export type SpendQuery = z.infer<typeof SpendQuerySchema>;

export interface SpendRow {
  tenant?: string;
  feature?: string;
  model?: string;
  day?: string;
  meter?: string;
  amount_usd: string;
}

export interface Spend {
  rows: SpendRow[];
  /** True when more groups exist than rows are given; the total counts all. */
  truncated: boolean;
  total_usd: string;
}

const whereOf = (query: Omit<SpendQuery, 'by'>): string => {
  const conditions = (['period', 'tenant', 'feature', 'model'] as const).flatMap((column) => {
    const value = query[column];
    return value === undefined ? [] : [`${column} = ${sqlString(value)}`];
  });
  return conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
};

const readSum = async (warehouse: Warehouse, from: string): Promise<string> => {
  const rows = await warehouse.query<{ usd: string }>(
    `SELECT toString(sum(amount_usd)) AS usd FROM ${from}`,
  );
  return rows[0]?.usd ?? '0';
};

/** Spend grouped as asked, greatest first (days in order), with the exact total beside it. Read from the daily rollup. */
export const readSpend = async (warehouse: Warehouse, query: SpendQuery): Promise<Spend> => {
  const where = whereOf(query);
  const total = await readSum(warehouse, `spend_daily${where}`);
  const groups = [...new Set(query.by)];
  if (groups.length === 0) return { rows: [], truncated: false, total_usd: total };
  const columns = groups.map((group) => `${GROUPS[group]} AS group_${group}`).join(', ');
  const names = groups.map((group) => `group_${group}`).join(', ');
  const order = groups.includes('day') ? 'group_day, amount DESC' : 'amount DESC';
  const found = await warehouse.query<Record<string, string>>(
    `SELECT ${columns}, sum(amount_usd) AS amount, toString(amount) AS amount_text FROM spend_daily${where}
     GROUP BY ${names} ORDER BY ${order}, ${names} LIMIT ${ROWS_MAX + 1}`,
  );
  const rows = found.slice(0, ROWS_MAX).map((row) => ({
    ...Object.fromEntries(groups.map((group) => [group, row[`group_${group}`] ?? ''])),
    amount_usd: row['amount_text'] ?? '0',
  }));
  return { rows, truncated: found.length > ROWS_MAX, total_usd: total };
};

export interface Totals {
  /** Effective usage events. */
  events: number;
  /** Events without a price yet; their cost is not in any sum. */
  unrated: number;
  /** Events in force that the provider's own total or cost contradicts. */
  flagged: number;
  /** Sum of the ledger's lines. */
  ledger_usd: string;
  /** Sum of the hourly rollup. */
  rollup_usd: string;
}

const readCount = async (warehouse: Warehouse, from: string): Promise<number> => {
  const rows = await warehouse.query<{ n: string }>(`SELECT count() AS n FROM ${from}`);
  return Number(rows[0]?.n ?? 0);
};

/** Each figure from its own place, so that they can disagree. */
export const readTotals = async (
  warehouse: Warehouse,
  period: string | undefined,
): Promise<Totals> => {
  const where = whereOf({ period });
  const month =
    period === undefined ? '' : ` WHERE formatDateTime(event_ts, '%Y-%m') = ${sqlString(period)}`;
  return {
    events: await readCount(warehouse, `usage${month}`),
    unrated: await readCount(warehouse, `unrated${where}`),
    flagged: await readCount(warehouse, `(SELECT DISTINCT event_id FROM flagged${where})`),
    ledger_usd: await readSum(warehouse, `charges${where}`),
    rollup_usd: await readSum(warehouse, `spend_hourly${where}`),
  };
};

/** Accounting months with spend, newest first. */
export const readPeriods = async (warehouse: Warehouse): Promise<string[]> => {
  const rows = await warehouse.query<{ period: string }>(
    'SELECT DISTINCT period FROM spend_daily ORDER BY period DESC LIMIT 120',
  );
  return rows.map((row) => row.period);
};
