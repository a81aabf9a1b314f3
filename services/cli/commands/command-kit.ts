import { type Command, InvalidArgumentError } from 'commander';
import { stringify } from 'csv-stringify/sync';
import { getBorderCharacters, table } from 'table';
import {
  houseSecret,
  type LoadedConfig,
  loadConfig,
  processEnvironment,
} from '../../platform/config.ts';
import { type AdminClient, createAdminClient } from '../admin-client.ts';

/** Runs a command's work and keeps its exit code. */
export type Run = (work: () => Promise<number>) => () => Promise<void>;

/** Adds verbs to the program. */
export type AddCommands = (program: Command, run: Run) => void;

/** Whole number option within bounds. */
export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const value = /^\d{1,9}$/.test(text) ? Number.parseInt(text, 10) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    }
    return value;
  };

export const configOption = ['-c, --config <file>', 'reckoner.yaml to use'] as const;

/** Configuration of a verb: the file given, or the defaults with the environment over them. */
export const configOf = (options: { config?: string }): LoadedConfig =>
  loadConfig(options.config ?? null, processEnvironment());

/** The admin API of the running back office: from --url/RECKONER_URL and RECKONER_TOKEN, or from the configuration. */
export const adminOf = (options: { config?: string; url?: string }): AdminClient => {
  const env = processEnvironment();
  const loaded = configOf(options);
  const { host, port, bootstrap_token: reference } = loaded.config.process.back_office;
  const token =
    env['RECKONER_TOKEN'] ??
    (reference ? loaded.resolveSecret(reference) : houseSecret(loaded.dataDir, 'bootstrap-token'));
  return createAdminClient(options.url ?? env['RECKONER_URL'] ?? `http://${host}:${port}`, token);
};

export interface OutputOptions {
  json?: boolean;
  csv?: boolean;
}

/** A map or a list of the warehouse is its JSON. */
const cellText = (value: unknown): string => {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
};

/** Escapes what a terminal would obey instead of show. Names come from providers, which may answer any. */
const printable = (text: string): string =>
  text.replace(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Rows as text: a table for people, `--json` one object a line, `--csv` with a header. Empty where a table has no rows. */
export const formatRows = (
  columns: readonly string[],
  rows: readonly (readonly unknown[])[],
  options: OutputOptions,
): string => {
  if (options.json) {
    return rows
      .map((row) => {
        const record = Object.fromEntries(columns.map((name, index) => [name, row[index] ?? null]));
        return `${JSON.stringify(record)}\n`;
      })
      .join('');
  }
  const cells = rows.map((row) => row.map(cellText));
  if (options.csv) return stringify([[...columns], ...cells]);
  if (rows.length === 0) return '';
  return table([[...columns], ...cells.map((row) => row.map(printable))], {
    border: getBorderCharacters('void'),
    columnDefault: { paddingLeft: 0, paddingRight: 2 },
    drawHorizontalLine: () => false,
  });
};

/** Rows to stdout, as `formatRows` has them. */
export const printRows = (
  columns: readonly string[],
  rows: readonly (readonly unknown[])[],
  options: OutputOptions,
): void => {
  const text = formatRows(columns, rows, options);
  if (text === '' && !options.json) process.stderr.write('nothing found\n');
  else process.stdout.write(text);
};
