import type { Instant } from '../../../schemas/instant.ts';
import { periodOf } from '../../../schemas/instant.ts';
import type { StatementLine } from '../../../schemas/statement-line.ts';
import { readPrintedDecimal } from './printed-decimal.ts';
import type { CsvLayout, CsvRow } from './read-csv.ts';
import { unreadable } from './read-csv.ts';

/** A line of a statement before its file has a name, with the digits its amount was printed with. */
export interface ParsedLine {
  line: Omit<StatementLine, 'statement_id'>;
  amountPlaces: number;
}

/** What a line is for; model and meter are null together where no table maps its text. */
export type LineMeaning = Pick<StatementLine, 'model' | 'meter' | 'tier'>;

export const NOT_MAPPED: LineMeaning = { model: null, meter: null, tier: null };

export interface LineParts {
  provider: string;
  day: Instant;
  meaning: LineMeaning;
  amount: string;
  description: string;
}

const DESCRIPTION_MAX = 500;

/**
 * Makes one line. Providers' exports carry no quantities beside amounts, so it is null: not stated.
 * @throws ReckonerError STATEMENT_UNREADABLE when the amount is missing or not a number: absent is not zero.
 */
export const parsedLine = (
  row: CsvRow,
  parts: LineParts,
  file: { layout: CsvLayout; name: string },
): ParsedLine => {
  const amount = readPrintedDecimal(parts.amount);
  if (amount === null) {
    const found = `line ${row.lineNumber} has no amount that is a number`;
    throw unreadable(file.layout, file.name, found);
  }
  return {
    line: {
      provider: parts.provider,
      line_number: row.lineNumber,
      period: periodOf(parts.day),
      day_start: parts.day,
      ...parts.meaning,
      quantity: null,
      amount_usd: amount.value,
      description: parts.description.slice(0, DESCRIPTION_MAX),
    },
    amountPlaces: amount.places,
  };
};

const DAY_MS = 86_400_000;

/** First instant of the UTC day of a time in milliseconds; null for what is not a time. */
export const utcDayOf = (epochMs: number): Instant | null =>
  Number.isFinite(epochMs) && epochMs >= 0 && epochMs < 253_402_300_800_000
    ? new Date(Math.floor(epochMs / DAY_MS) * DAY_MS).toISOString()
    : null;
