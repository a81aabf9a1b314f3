import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { BudgetStatusRow } from './core/budget-controller.ts';

const TABLE = 'budget_windows';
const COLUMNS = [
  'budget_id',
  'tenant',
  'window_key',
  'window_start',
  'resets_at',
  'limit_usd',
  'spent_usd',
  'state',
  'version',
  'settled_events',
  'as_of',
  'row_version',
] as const;
/** Rows of one insert, as the warehouse asks for. */
const BLOCK_ROWS = 10_000;

/** `2026-11-21 20:15:00.123`, as ClickHouse reads it whatever its settings for dates are. */
const sqlInstant = (instant: string | null): string | null =>
  instant === null ? null : instant.replace('T', ' ').replace('Z', '');

const rowOf = (row: BudgetStatusRow, rowVersion: number): unknown[] => [
  row.budget_id,
  row.tenant,
  row.window,
  sqlInstant(row.window_start),
  sqlInstant(row.resets_at),
  row.limit_usd,
  row.spent_usd,
  row.state,
  row.version,
  row.settled_events,
  sqlInstant(row.as_of),
  rowVersion,
];

const contentOf = (row: BudgetStatusRow): string => JSON.stringify(rowOf(row, 0));

/** Copies status rows into the warehouse, aside from the signals: a warehouse that is slow or down delays nothing. */
export interface StatusWriter {
  /** Writes rows that differ from what was last written; while a write is under way the call does nothing. */
  write(rows: readonly BudgetStatusRow[]): Promise<void>;
}

const newestRowVersion = async (warehouse: Warehouse): Promise<number> => {
  const rows = await warehouse.query<{ newest: string }>(
    `SELECT toString(max(row_version)) AS newest FROM ${TABLE}`,
  );
  return Number(rows[0]?.newest ?? 0);
};

/**
 * A writer whose rows replace older ones by `row_version`: milliseconds of the clock, but always more than any version in the
 * table, so that a clock set back or a restart never leaves an old row on top.
 */
export const createStatusWriter = (deps: {
  warehouse: Warehouse;
  clock: Clock;
  logger: Logger;
  onFailure: () => void;
}): StatusWriter => {
  const { warehouse, clock, logger } = deps;
  const written = new Map<string, string>();
  let rowVersion: number | undefined;
  let busy = false;

  const writeChanged = async (rows: readonly BudgetStatusRow[]): Promise<void> => {
    const changed = rows
      .filter((row) => written.get(row.budget_id) !== contentOf(row))
      .slice(0, BLOCK_ROWS);
    if (changed.length === 0) return;
    rowVersion = Math.max(clock.nowMs(), (rowVersion ?? (await newestRowVersion(warehouse))) + 1);
    const version = rowVersion;
    await warehouse.insert({
      table: TABLE,
      columns: COLUMNS,
      rows: changed.map((row) => rowOf(row, version)),
      token: `budget-status/${version}`,
    });
    for (const row of changed) written.set(row.budget_id, contentOf(row));
  };

  return {
    write: async (rows) => {
      if (busy) return;
      busy = true;
      try {
        await writeChanged(rows);
      } catch (error) {
        deps.onFailure();
        logger.warn(
          { err: error, at: toInstant(clock.nowMs()) },
          'The state of budgets could not be written to the warehouse; it is written again at the next turn.',
        );
      } finally {
        busy = false;
      }
    },
  };
};
