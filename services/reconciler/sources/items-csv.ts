import type { StatementItem } from '../../../schemas/statement-line.ts';
import { StatementItemSchema } from '../../../schemas/statement-line.ts';
import { readPrintedDecimal } from './printed-decimal.ts';
import type { CsvLayout } from './read-csv.ts';
import { readCsv, unreadable } from './read-csv.ts';

const LAYOUT: CsvLayout = {
  what: "a provider's record per call",
  required: ['provider', 'provider_request_id', 'model', 'meter', 'quantity', 'amount_usd'],
  advice:
    'Give a CSV with these columns, a row for each call and meter; meters are the token classes and units of this system.',
};

/**
 * Reads a provider's own record of each call: one row per call and meter.
 * @throws ReckonerError STATEMENT_UNREADABLE naming line and column.
 */
export const readItemsCsv = (bytes: Uint8Array, fileName: string): StatementItem[] =>
  readCsv(bytes, LAYOUT, fileName).map((row) => {
    const parsed = StatementItemSchema.safeParse({
      provider: row.text('provider'),
      provider_request_id: row.text('provider_request_id'),
      model: row.text('model'),
      meter: row.text('meter'),
      quantity: readPrintedDecimal(row.text('quantity'))?.value,
      amount_usd: readPrintedDecimal(row.text('amount_usd'))?.value,
    });
    if (parsed.success) return parsed.data;
    const columns = [...new Set(parsed.error.issues.map((issue) => issue.path.join('.')))];
    const found = `line ${row.lineNumber} is wrong in ${columns.join(', ')}`;
    throw unreadable(LAYOUT, fileName, found);
  });
