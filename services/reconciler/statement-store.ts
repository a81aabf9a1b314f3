import type { Instant, Period } from '../../schemas/instant.ts';
import type { Meter } from '../../schemas/words.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString } from '../platform/warehouse.ts';
import type { StatementFile, StatementSum } from './core/effective-lines.ts';
import type { ParsedLine } from './sources/statement-source.ts';

const BLOCK_ROWS = 10_000;
const LINE_COLUMNS = [
  'provider',
  'statement_id',
  'line_number',
  'period',
  'day_start',
  'model',
  'meter',
  'tier',
  'quantity',
  'amount_usd',
  'amount_places',
  'description',
] as const;
const FILE_COLUMNS = [
  'statement_id',
  'provider',
  'file_name',
  'lines',
  'unmapped',
  'total_usd',
  'imported_at',
] as const;

/** What is kept of one imported file. */
export interface StoredStatement {
  statement_id: string;
  provider: string;
  file_name: string;
  lines: number;
  unmapped: number;
  total_usd: string;
  imported_at: Instant;
}

/** `2026-11-21 20:15:00.123`, as ClickHouse reads it whatever its settings for dates are. */
const sqlInstant = (instant: Instant): string => instant.replace('T', ' ').replace('Z', '');

const rowOf = (statementId: string, { line, amountPlaces }: ParsedLine): unknown[] => [
  line.provider,
  statementId,
  line.line_number,
  line.period,
  sqlInstant(line.day_start),
  line.model,
  line.meter,
  line.tier,
  line.quantity,
  line.amount_usd,
  amountPlaces,
  line.description,
];

export const isImported = async (
  warehouse: Warehouse,
  provider: string,
  statementId: string,
): Promise<boolean> => {
  const rows = await warehouse.query(
    `SELECT 1 AS found FROM statement_files WHERE provider = ${sqlString(provider)} AND statement_id = ${sqlString(statementId)} LIMIT 1`,
  );
  return rows.length > 0;
};

/** Writes lines, then the file's own row: until that is there the lines do not count, and a repeat replaces them. */
export const storeStatement = async (
  warehouse: Warehouse,
  statement: StoredStatement,
  lines: readonly ParsedLine[],
): Promise<void> => {
  for (let start = 0; start < lines.length; start += BLOCK_ROWS) {
    await warehouse.insert({
      table: 'statement_line_rows',
      columns: LINE_COLUMNS,
      rows: lines
        .slice(start, start + BLOCK_ROWS)
        .map((line) => rowOf(statement.statement_id, line)),
      token: `statement/${statement.provider}/${statement.statement_id}/${start}`,
    });
  }
  await warehouse.insert({
    table: 'statement_files',
    columns: FILE_COLUMNS,
    rows: [
      [
        statement.statement_id,
        statement.provider,
        statement.file_name,
        statement.lines,
        statement.unmapped,
        statement.total_usd,
        sqlInstant(statement.imported_at),
      ],
    ],
    token: `statement/${statement.provider}/${statement.statement_id}/file`,
  });
};

interface FileRow {
  statement_id: string;
  file_name: string;
  lines: string;
  imported_at: Instant;
  amount_places: number;
}

interface SumRow {
  statement_id: string;
  day_start: Instant;
  model: string | null;
  meter: Meter | null;
  tier: string | null;
  quantity: string | null;
  amount_usd: string;
  lines: string;
  text: string;
}

/** The statements that have lines in a period, and those lines by day, model, meter, tier and sign. */
export const readStatements = async (
  warehouse: Warehouse,
  provider: string,
  period: Period,
): Promise<{ files: StatementFile[]; sums: StatementSum[] }> => {
  const where = `provider = ${sqlString(provider)} AND period = ${sqlString(period)}`;
  const files = await warehouse.query<FileRow>(
    `SELECT f.statement_id AS statement_id, any(f.file_name) AS file_name, any(f.lines) AS lines,
       any(f.imported_at) AS imported_at, max(l.amount_places) AS amount_places
     FROM statement_line_rows AS l INNER JOIN (SELECT * FROM statement_files FINAL WHERE provider = ${sqlString(provider)}) AS f
       ON l.statement_id = f.statement_id
     WHERE l.provider = ${sqlString(provider)} AND l.period = ${sqlString(period)}
     GROUP BY f.statement_id ORDER BY imported_at, statement_id`,
  );
  const sums = await warehouse.query<SumRow>(
    `SELECT statement_id, day_start, model, meter, tier, if(meter IS NULL, description, '') AS text,
       if(count(s.quantity) = count(), sum(s.quantity), NULL) AS quantity, sum(s.amount_usd) AS amount_usd, count() AS lines
     FROM statement_lines AS s WHERE ${where} GROUP BY statement_id, day_start, model, meter, tier, text, s.amount_usd < 0
     ORDER BY statement_id, day_start, model, meter, tier, text, amount_usd`,
  );
  return {
    files: files.map((file) => ({ ...file, lines: Number(file.lines) })),
    sums: sums.map(({ text, lines, ...sum }) => ({
      ...sum,
      lines: Number(lines),
      description: text,
    })),
  };
};
