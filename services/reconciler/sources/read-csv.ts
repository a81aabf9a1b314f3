import { parse } from 'csv-parse/sync';
import { ReckonerError } from '../../platform/errors.ts';

/** Read in memory at once; a month of daily lines is far below. */
const BYTES_MAX = 128 * 1024 * 1024;
const LINES_MAX = 1_000_000;
const COLUMNS_SHOWN = 30;

/** What a file is expected to be. */
export interface CsvLayout {
  /** `an OpenAI costs export`. */
  what: string;
  required: readonly string[];
  /** Where to get the right file. */
  advice: string;
}

export interface CsvRow {
  /** The header is line 1. */
  lineNumber: number;
  /** The text of a column, trimmed; empty where the file has no such column. */
  text(column: string): string;
}

/** STATEMENT_UNREADABLE in the words of the layout. Never quotes cells: a statement names projects, keys and people. */
export const unreadable = (
  layout: CsvLayout,
  fileName: string,
  found: string,
  cause?: unknown,
): ReckonerError =>
  new ReckonerError(
    'STATEMENT_UNREADABLE',
    `${fileName} cannot be read as ${layout.what}: ${found}. ${layout.advice}`,
    { cause },
  );

const decode = (bytes: Uint8Array, layout: CsvLayout, fileName: string): string => {
  if (bytes.byteLength > BYTES_MAX) {
    throw unreadable(
      layout,
      fileName,
      `it has ${bytes.byteLength} bytes and at most ${BYTES_MAX} are read; export fewer days at once`,
    );
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw unreadable(layout, fileName, 'it is not UTF-8 text', error);
  }
  if (text.trim() === '') throw unreadable(layout, fileName, 'it is empty');
  return text;
};

interface Parsed {
  record: string[];
  info: { lines: number };
}

const parseRecords = (text: string, layout: CsvLayout, fileName: string): Parsed[] => {
  const header = text.slice(0, text.search(/[\r\n]|$/));
  const options = {
    delimiter: header.includes('\t') ? '\t' : ',',
    skip_empty_lines: true,
    trim: true,
    info: true,
    max_record_size: 1024 * 1024,
    to: LINES_MAX + 2,
  } as const;
  try {
    return parse(text, options) as unknown as Parsed[];
  } catch (error) {
    const code = (error as { code?: string }).code ?? 'not CSV';
    throw unreadable(layout, fileName, `it is not comma or tab separated text (${code})`, error);
  }
};

/**
 * Reads comma or tab separated text with a header line, found by its names in any order. Further columns are left alone.
 * @throws ReckonerError STATEMENT_UNREADABLE naming what was found, what was expected and what to do.
 */
export const readCsv = (bytes: Uint8Array, layout: CsvLayout, fileName: string): CsvRow[] => {
  const records = parseRecords(decode(bytes, layout, fileName), layout, fileName);
  const columns = records[0]?.record ?? [];
  const missing = layout.required.filter((name) => !columns.includes(name));
  if (missing.length > 0) {
    const found = columns.slice(0, COLUMNS_SHOWN).map((name) => name.slice(0, 40));
    throw unreadable(
      layout,
      fileName,
      `expected columns ${layout.required.join(', ')}; found ${found.join(', ')}; missing ${missing.join(', ')}`,
    );
  }
  const rows = records.slice(1);
  if (rows.length > LINES_MAX) {
    throw unreadable(layout, fileName, `it has more than ${LINES_MAX} lines; export fewer days`);
  }
  if (rows.length === 0) throw unreadable(layout, fileName, 'it has a header but no lines');
  const positions = new Map(columns.map((name, position) => [name, position]));
  return rows.map(({ record, info }) => ({
    lineNumber: info.lines,
    text: (column) => record[positions.get(column) ?? -1] ?? '',
  }));
};
