import type { AllowanceCredit } from '../../../pricing/allowances.ts';
import { formatAmount, scaledAmount } from '../../../pricing/money.ts';
import type { Meter } from '../../../schemas/words.ts';
import type { NamedAmount } from './causes.ts';
import type { CellName, CellNaming } from './cell.ts';
import { cellKey } from './cell.ts';
import type { LedgerQuarter, ZoneDays } from './day-boundary.ts';
import { findDayShift } from './day-boundary.ts';
import type { StatementFile, StatementSum } from './effective-lines.ts';
import { roundingBound } from './effective-lines.ts';
import { ANY_MODEL } from './meter-groups.ts';
import type { LedgerSlice, ListPrice, ProvenCause } from './repricing.ts';
import { findMoves } from './repricing.ts';

/** The ledger as finely as sums go: by price, by quarter of an hour, with what other prices there are. */
export interface PricedLedger {
  slices: readonly LedgerSlice[];
  /** Of the month and of two days on either side. */
  quarters: readonly LedgerQuarter[];
  /** UTC first, then the zones a statement's days may be of. */
  zones: readonly ZoneDays[];
  prices: readonly ListPrice[];
  /** What free allowances of the books take off these charges. */
  credits: readonly AllowanceCredit[];
}

const SHIFT_TEXT = 'usage at the edge of the month that the statement counts in the month beside';

const ALLOWANCE_TEXT = 'free allowances of the price book, not billed';

interface Context {
  sums: readonly StatementSum[];
  files: ReadonlyMap<string, StatementFile>;
  cell: CellNaming;
}

type Sums = Map<string, { cell: CellName; amount: bigint }>;

const addTo = (sums: Sums, cell: CellName, amount: bigint): void => {
  const before = sums.get(cellKey(cell))?.amount ?? 0n;
  sums.set(cellKey(cell), { cell, amount: before + amount });
};

/** Lines that are lower by exactly what the allowances of the book are worth. A line that is lower by anything else proves none. */
const usedAllowances = (
  credits: readonly AllowanceCredit[],
  slices: readonly LedgerSlice[],
  { sums, files, cell }: Context,
): ProvenCause[] => {
  const free: Sums = new Map();
  const off: Sums = new Map();
  const bounds = new Map<string, bigint>();
  for (const { model, meter, credit_usd } of credits) {
    addTo(free, cell(model, meter as Meter), scaledAmount(credit_usd));
  }
  for (const { model, meter, amount_usd } of slices) {
    addTo(off, cell(model, meter), -scaledAmount(amount_usd));
  }
  for (const sum of sums) {
    if (sum.meter === null || sum.amount_usd.startsWith('-')) continue;
    const of = cell(sum.model ?? ANY_MODEL, sum.meter);
    addTo(off, of, scaledAmount(sum.amount_usd));
    const places = files.get(sum.statement_id)?.amount_places ?? 18;
    const bound = bounds.get(cellKey(of)) ?? 0n;
    bounds.set(cellKey(of), bound + roundingBound(sum.lines, places));
  }
  return [...free].flatMap(([key, { cell: of, amount }]): ProvenCause[] => {
    const bound = bounds.get(key) ?? 0n;
    const apart = (off.get(key)?.amount ?? 0n) + amount;
    if (amount <= bound || apart > bound || -apart > bound) return [];
    const evidence = `The line is lower by exactly what the free allowances of the book are worth here, ${formatAmount(amount)} USD.`;
    const about = { class: 'credit', explained: true, count: 0, text: ALLOWANCE_TEXT } as const;
    return [{ cell: of, named: { ...about, amount: -amount, evidence } }];
  });
};

/**
 * Causes that sums can prove, by cell: first the days' time zone, then tokens that stand on another line, compared with what the ledger
 * charges in the month by that zone.
 */
export const proveCauses = (ledger: PricedLedger, context: Context): Map<string, NamedAmount[]> => {
  const { slices, quarters, zones, prices, credits } = ledger;
  const shift = findDayShift(quarters, zones, context);
  const edges: Sums = new Map();
  for (const { model, meter, amount_usd } of shift?.moved ?? []) {
    addTo(edges, context.cell(model, meter), scaledAmount(amount_usd));
  }
  const evidence = `The statement's days are those of ${shift?.zone}: ${shift?.agreeing} daily figures inside the month agree so and not in UTC.`;
  const about = { class: 'time_zone', explained: true, count: 0, text: SHIFT_TEXT } as const;
  const shifts = [...edges.values()].map(
    ({ cell, amount }): ProvenCause => ({ cell, named: { ...about, amount, evidence } }),
  );
  const shifted = [...slices, ...(shift?.moved ?? [])];
  const free = usedAllowances(credits, shifted, context);
  const isFree = new Set(free.map(({ cell }) => cellKey(cell)));
  const moves = findMoves({ ...context, slices: shifted, prices });
  const byCell = new Map<string, NamedAmount[]>();
  // A line that an allowance explains to the last digit needs no second reading.
  for (const { cell, named } of [
    ...shifts,
    ...free,
    ...moves.filter((move) => !isFree.has(cellKey(move.cell))),
  ]) {
    byCell.set(cellKey(cell), [...(byCell.get(cellKey(cell)) ?? []), named]);
  }
  return byCell;
};
