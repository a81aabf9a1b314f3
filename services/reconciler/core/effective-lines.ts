import { powerOfTen } from '../../../pricing/scaled-decimal.ts';
import type { Instant } from '../../../schemas/instant.ts';
import type { Meter } from '../../../schemas/words.ts';

/** Lines of one statement, day, model, meter, tier and sign, summed. Amounts in USD. */
export interface StatementSum {
  statement_id: string;
  day_start: Instant;
  model: string | null;
  meter: Meter | null;
  /** As the line states it; null or absent for the standard one. */
  tier?: string | null;
  /** Null unless every line states one. */
  quantity: string | null;
  amount_usd: string;
  lines: number;
  /** The line's text where it is not mapped; else empty. */
  description: string;
}

export interface StatementFile {
  statement_id: string;
  file_name: string;
  lines: number;
  imported_at: Instant;
  /** Most digits after the point that the file prints of an amount. */
  amount_places: number;
}

const isNewer = (a: StatementFile, b: StatementFile): boolean =>
  a.imported_at === b.imported_at ? a.statement_id > b.statement_id : a.imported_at > b.imported_at;

/**
 * Providers export the same month again when it has grown. Of several statements that name the same day the one imported last
 * counts, whole day by whole day; otherwise the month would be added up twice.
 */
export const effectiveSums = (
  sums: readonly StatementSum[],
  files: ReadonlyMap<string, StatementFile>,
): StatementSum[] => {
  const ofDay = new Map<Instant, StatementFile>();
  for (const sum of sums) {
    const file = files.get(sum.statement_id);
    const held = ofDay.get(sum.day_start);
    if (file && (held === undefined || isNewer(file, held))) ofDay.set(sum.day_start, file);
  }
  return sums.filter((sum) => ofDay.get(sum.day_start)?.statement_id === sum.statement_id);
};

/**
 * The most that rounding can make out on so many lines, as a count of 10^-18 USD: half of the last unit printed, each. The unit is
 * that of the whole file, since files drop trailing zeros, and never coarser than a cent.
 */
export const roundingBound = (lines: number, amountPlaces: number): bigint =>
  (BigInt(lines) * powerOfTen(18 - Math.min(18, Math.max(2, amountPlaces)))) / 2n;
