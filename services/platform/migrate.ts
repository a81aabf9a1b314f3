import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ReckonerError } from './errors.ts';
import type { Warehouse } from './warehouse.ts';

interface Migration {
  number: number;
  name: string;
  sql: string;
  checksum: string;
}

interface Applied {
  number: number;
  name: string;
  checksum: string;
}

const DIRECTORY = fileURLToPath(new URL('../../migrations', import.meta.url));
const FILE = /^(\d{3})_[a-z0-9_]+\.sql$/;

const CREATE_TABLE = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    number UInt16 COMMENT 'Number of the file',
    name String COMMENT 'Name of the file',
    checksum String COMMENT 'SHA-256 of its bytes',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When every statement of it had run'
)
ENGINE = ReplacingMergeTree
ORDER BY number
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Migrations that have run'`;

const PIECE =
  /'(?:[^'\\]|\\[\s\S]|'')*'|"(?:[^"\\]|\\[\s\S])*"|`(?:[^`\\]|\\[\s\S])*`|--[^\n]*|\/\*[\s\S]*?\*\/|;|[\s\S]/g;

/** Cuts a file at the semicolons that end a statement: not those in quotes or comments. Empty statements are left out. */
export const splitStatements = (sql: string): string[] => {
  const statements: string[] = [];
  let current = '';
  for (const [piece] of sql.matchAll(PIECE)) {
    if (piece === ';') {
      statements.push(current.trim());
      current = '';
    } else if (!piece.startsWith('--') && !piece.startsWith('/*')) {
      current += piece;
    }
  }
  statements.push(current.trim());
  return statements.filter((statement) => statement !== '');
};

const load = async (directory: string): Promise<Migration[]> => {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  const migrations: Migration[] = [];
  for (const name of names) {
    const number = Number(FILE.exec(name)?.[1]);
    if (!Number.isInteger(number) || migrations.some((other) => other.number === number)) {
      throw new ReckonerError(
        'MIGRATION_CHANGED',
        `The migration ${name} has no number of its own; files are named 001_what.sql, each number once. Rename it.`,
      );
    }
    const sql = await readFile(join(directory, name), 'utf8');
    migrations.push({
      number,
      name,
      sql,
      checksum: createHash('sha256').update(sql).digest('hex'),
    });
  }
  return migrations;
};

const checkApplied = (applied: readonly Applied[], files: readonly Migration[]): void => {
  const newest = files.at(-1)?.number ?? 0;
  for (const done of applied) {
    const file = files.find((candidate) => candidate.number === done.number);
    if (!file && done.number > newest) {
      throw new ReckonerError(
        'MIGRATION_NEWER',
        `The warehouse has migration ${done.name}, but this program knows only up to ${newest}. A newer Reckoner has used it; start that version or a later one.`,
      );
    }
    if (file?.checksum !== done.checksum) {
      throw new ReckonerError(
        'MIGRATION_CHANGED',
        `The migration ${done.name} was applied with other contents than the file has now. An applied file is never edited: put it back and add a new number.`,
      );
    }
  }
};

/**
 * Brings the schema up to the files: each file once, in order; a second run does nothing. A run that was interrupted is picked up
 * at the file it was in: files hold statements that may run twice (`IF NOT EXISTS`).
 * @returns names of the files applied now.
 * @throws ReckonerError MIGRATION_CHANGED, MIGRATION_NEWER, WAREHOUSE_FAILED.
 */
export const migrate = async (
  warehouse: Warehouse,
  directory: string = DIRECTORY,
): Promise<{ applied: string[] }> => {
  const files = await load(directory);
  await warehouse.command(CREATE_TABLE);
  const done = await warehouse.query<Applied>(
    'SELECT number, name, checksum FROM schema_migrations FINAL ORDER BY number',
  );
  checkApplied(done, files);
  const applied: string[] = [];
  for (const file of files) {
    if (done.some((other) => other.number === file.number)) continue;
    for (const statement of splitStatements(file.sql)) await warehouse.command(statement);
    await warehouse.insert({
      table: 'schema_migrations',
      columns: ['number', 'name', 'checksum'],
      rows: [[file.number, file.name, file.checksum]],
      token: `migration:${file.number}:${file.checksum}`,
    });
    applied.push(file.name);
  }
  return { applied };
};
