import { once } from 'node:events';
import type { OutputOptions } from './command-kit.ts';
import { formatRows } from './command-kit.ts';
import type { RateLine } from './rate.ts';

const COLUMNS = ['index', 'total_usd', 'book', 'unrated', 'detail', 'error_line', 'charges'];

const csvCells = (line: RateLine): unknown[] => {
  if ('total_usd' in line) {
    return [line.index, line.total_usd, line.book, '', '', '', line.charges];
  }
  if ('unrated' in line) return [line.index, '', '', line.unrated, line.detail, '', []];
  return [line.index, '', '', '', line.error.message, line.error.line, []];
};

const csvRow = (line: RateLine): string => {
  const text = formatRows(COLUMNS, [csvCells(line)], { csv: true });
  return text.slice(text.indexOf('\n') + 1);
};

const forPeople = (line: RateLine): string => {
  if ('total_usd' in line) {
    const charges = line.charges.map(
      (charge) =>
        `     ${charge.class}  ${charge.quantity} x ${charge.unit_price} = ${charge.amount_usd}\n`,
    );
    return `${line.index}  ${line.total_usd} USD  ${line.book}\n${charges.join('')}`;
  }
  return 'unrated' in line ? `${line.index}  unrated: ${line.unrated} (${line.detail})\n` : '';
};

const textOf = (line: RateLine, options: OutputOptions): string => {
  if (options.json) return `${JSON.stringify(line)}\n`;
  return options.csv ? csvRow(line) : forPeople(line);
};

/** What is put together before it is written: one write a line is slow. */
const CHUNK_CHARS = 65_536;

/**
 * Writes answers as they come, no faster than they are read, so that a file of any length stays out of memory. Lines that could not be
 * read are told on stderr, and with `--json` and `--csv` in their place too.
 * @returns whether every line could be read.
 */
export const writeRateLines = async (
  lines: AsyncIterable<RateLine>,
  options: OutputOptions,
): Promise<boolean> => {
  let readable = true;
  let chunk = options.csv ? `${COLUMNS.join(',')}\n` : '';
  const flush = async (): Promise<void> => {
    const text = chunk;
    chunk = '';
    if (!process.stdout.write(text)) await once(process.stdout, 'drain');
  };
  for await (const line of lines) {
    if ('error' in line) {
      readable = false;
      process.stderr.write(`line ${line.error.line}: ${line.error.message}\n`);
    }
    chunk += textOf(line, options);
    if (chunk.length > CHUNK_CHARS) await flush();
  }
  if (chunk !== '') await flush();
  return readable;
};
