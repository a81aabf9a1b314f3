import { scaledAmount } from '../../../pricing/money.ts';
import type { Instant } from '../../../schemas/instant.ts';
import type { CellNaming } from './cell.ts';
import { cellKey } from './cell.ts';
import type { StatementFile, StatementSum } from './effective-lines.ts';
import { roundingBound } from './effective-lines.ts';
import { ANY_MODEL } from './meter-groups.ts';
import type { LedgerSlice } from './repricing.ts';

/** What the ledger charges in one quarter of an hour, the month's neighbours included. Calls completed in another month than begun are left out. */
export interface LedgerQuarter extends LedgerSlice {
  quarter_start: Instant;
}

/** The days of the month in one time zone: where each begins, and where the month after begins. */
export interface ZoneDays {
  zone: string;
  day_starts: readonly Instant[];
}

/** Proof that a statement's days are those of a zone, and what lies in the other month by them. */
export interface DayShift {
  zone: string;
  /** Daily figures inside the month that agree in this zone and not in UTC. */
  agreeing: number;
  /** What the statement's month has more (or, negative, less) than ours. */
  moved: readonly LedgerSlice[];
}

interface Timed {
  at: number;
  amount: bigint;
}

interface DaySum {
  amount: bigint;
  bound: bigint;
}

/** The last day that begins at or before a time; -1 before the first, the number of days after the last. */
const dayOf = (starts: readonly number[], at: number): number => {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
};

const ledgerByDay = (charges: readonly Timed[], starts: readonly number[]): bigint[] => {
  const days = Array.from({ length: starts.length - 1 }, () => 0n);
  for (const { at, amount } of charges) {
    const day = dayOf(starts, at);
    if (day >= 0 && day < days.length) days[day] = (days[day] ?? 0n) + amount;
  }
  return days;
};

const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);

interface Sides {
  ledger: Map<string, Timed[]>;
  /** By cell, then by day from 0. */
  statement: Map<string, DaySum[]>;
  utc: readonly number[];
}

const collectSides = (
  quarters: readonly LedgerQuarter[],
  statements: { sums: readonly StatementSum[]; files: ReadonlyMap<string, StatementFile> },
  context: { cell: CellNaming; utc: readonly number[] },
): Sides => {
  const { cell, utc } = context;
  const ledger = new Map<string, Timed[]>();
  for (const quarter of quarters) {
    const key = cellKey(cell(quarter.model, quarter.meter));
    const timed = {
      at: Date.parse(quarter.quarter_start),
      amount: scaledAmount(quarter.amount_usd),
    };
    const held = ledger.get(key);
    if (held) held.push(timed);
    else ledger.set(key, [timed]);
  }
  const statement = new Map<string, DaySum[]>();
  for (const sum of statements.sums) {
    const amount = scaledAmount(sum.amount_usd);
    if (sum.meter === null || amount < 0n) continue;
    const key = cellKey(cell(sum.model ?? ANY_MODEL, sum.meter));
    const days = statement.get(key) ?? [];
    statement.set(key, days);
    const day = dayOf(utc, Date.parse(sum.day_start));
    const before = days[day] ?? { amount: 0n, bound: 0n };
    const places = statements.files.get(sum.statement_id)?.amount_places ?? 18;
    days[day] = {
      amount: before.amount + amount,
      bound: before.bound + roundingBound(sum.lines, places),
    };
  }
  return { ledger, statement, utc };
};

/** How many daily figures speak for a zone; null when one speaks for UTC. Days at the month's ends prove nothing: usage may be missing there. */
const countAgreeing = (sides: Sides, starts: readonly number[]): number | null => {
  let agreeing = 0;
  for (const [key, charges] of sides.ledger) {
    const inUtc = ledgerByDay(charges, sides.utc);
    const inZone = ledgerByDay(charges, starts);
    const stated = sides.statement.get(key) ?? [];
    for (const [day, utcAmount] of inUtc.entries()) {
      const zoneAmount = inZone[day] ?? 0n;
      const { amount, bound } = stated[day] ?? { amount: 0n, bound: 0n };
      if (magnitude(zoneAmount - utcAmount) <= 2n * bound) continue;
      if (magnitude(amount - utcAmount) <= bound) return null;
      const isInside = day > 0 && day < inUtc.length - 1;
      if (isInside && amount !== 0n && magnitude(amount - zoneAmount) <= bound) agreeing += 1;
    }
  }
  return agreeing;
};

const negated = (amount: string): string => {
  if (amount.startsWith('-')) return amount.slice(1);
  return amount === '0' ? amount : `-${amount}`;
};

const movedBy = (
  quarters: readonly LedgerQuarter[],
  utc: readonly number[],
  starts: readonly number[],
): LedgerSlice[] => {
  const isIn = (days: readonly number[], at: number): boolean =>
    at >= (days[0] ?? 0) && at < (days.at(-1) ?? 0);
  return quarters.flatMap(({ quarter_start, ...slice }) => {
    const at = Date.parse(quarter_start);
    const [ours, theirs] = [isIn(utc, at), isIn(starts, at)];
    if (ours === theirs) return [];
    if (theirs) return [slice];
    const { quantity, amount_usd } = slice;
    return [{ ...slice, quantity: negated(quantity), amount_usd: negated(amount_usd) }];
  });
};

const AGREEING_MIN = 2;

const sameMoves = (left: readonly LedgerSlice[], right: readonly LedgerSlice[]): boolean =>
  JSON.stringify(left) === JSON.stringify(right);

/**
 * Finds the time zone of a statement's days. Proven by days inside the month: their figures, and not those of UTC, are what the ledger
 * charges between the zone's midnights, at least twice, and no figure is that of a UTC day where it makes a difference. What the statement's month then
 * has more or less at its two ends is exact, to the quarter of an hour. Zones that prove alike but move other money prove nothing.
 * @param zones UTC first.
 */
export const findDayShift = (
  quarters: readonly LedgerQuarter[],
  zones: readonly ZoneDays[],
  context: {
    sums: readonly StatementSum[];
    files: ReadonlyMap<string, StatementFile>;
    cell: CellNaming;
  },
): DayShift | null => {
  const [utcDays, ...others] = zones;
  if (!utcDays || quarters.length === 0) return null;
  const utc = utcDays.day_starts.map((start) => Date.parse(start));
  const sides = collectSides(quarters, context, { cell: context.cell, utc });
  let best: DayShift | null = null;
  let isAmbiguous = false;
  for (const { zone, day_starts } of others) {
    const starts = day_starts.map((start) => Date.parse(start));
    const agreeing = countAgreeing(sides, starts);
    if (agreeing === null || agreeing < Math.max(AGREEING_MIN, best?.agreeing ?? 0)) continue;
    const moved = movedBy(quarters, utc, starts);
    if (best === null || agreeing > best.agreeing) {
      best = { zone, agreeing, moved };
      isAmbiguous = false;
    } else if (!sameMoves(best.moved, moved)) isAmbiguous = true;
  }
  return isAmbiguous ? null : best;
};
