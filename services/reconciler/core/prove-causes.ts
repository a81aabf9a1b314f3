import { scaledAmount } from '../../../pricing/money.ts';
import type { NamedAmount } from './causes.ts';
import type { CellName, CellNaming } from './cell.ts';
import { cellKey } from './cell.ts';
import type { LedgerQuarter, ZoneDays } from './day-boundary.ts';
import { findDayShift } from './day-boundary.ts';
import type { StatementFile, StatementSum } from './effective-lines.ts';
import type { LedgerSlice, ListPrice } from './repricing.ts';
import { findMoves } from './repricing.ts';

/** The ledger as finely as sums go: by price, by quarter of an hour, with what other prices there are. */
export interface PricedLedger {
  slices: readonly LedgerSlice[];
  /** Of the month and of two days on either side. */
  quarters: readonly LedgerQuarter[];
  /** UTC first, then the zones a statement's days may be of. */
  zones: readonly ZoneDays[];
  prices: readonly ListPrice[];
}

const SHIFT_TEXT = 'usage at the edge of the month that the statement counts in the month beside';

/**
 * Causes that sums can prove, by cell: first the days' time zone, then tokens that stand on another line, compared with what the ledger
 * charges in the month by that zone.
 */
export const proveCauses = (
  { slices, quarters, zones, prices }: PricedLedger,
  context: {
    sums: readonly StatementSum[];
    files: ReadonlyMap<string, StatementFile>;
    cell: CellNaming;
  },
): Map<string, NamedAmount[]> => {
  const byCell = new Map<string, NamedAmount[]>();
  const add = (cell: CellName, named: NamedAmount): void => {
    byCell.set(cellKey(cell), [...(byCell.get(cellKey(cell)) ?? []), named]);
  };
  const shift = findDayShift(quarters, zones, context);
  const edges = new Map<string, { cell: CellName; amount: bigint }>();
  for (const { model, meter, amount_usd } of shift?.moved ?? []) {
    const cell = context.cell(model, meter);
    const amount = edges.get(cellKey(cell))?.amount ?? 0n;
    edges.set(cellKey(cell), { cell, amount: amount + scaledAmount(amount_usd) });
  }
  for (const { cell, amount } of edges.values()) {
    const evidence = `The statement's days are those of ${shift?.zone}: ${shift?.agreeing} daily figures inside the month agree so and not in UTC.`;
    const about = { class: 'time_zone', explained: true, count: 0, text: SHIFT_TEXT } as const;
    add(cell, { ...about, amount, evidence });
  }
  const shifted = [...slices, ...(shift?.moved ?? [])];
  for (const { cell, named } of findMoves({ ...context, slices: shifted, prices })) {
    add(cell, named);
  }
  return byCell;
};
