import { ReckonerError } from './errors.ts';
import type { InsertBlock } from './warehouse.ts';
import { sqlIdentifier, sqlString } from './warehouse.ts';

/** A column as the engine describes it. */
export interface ColumnType {
  type: string;
  /** Whether a row that leaves it out gets something else than the empty value of its type. */
  hasDefault: boolean;
}

/** A block ready to be sent: its values as text, a line a row, and what they are. */
export interface EncodedBlock {
  body: string;
  /** The statement with the body behind it, for an engine at the other end of a wire. */
  inline(): string;
  /** The statement that reads the body from a file. */
  fromFile(path: string): string;
}

const MAX_BLOCK_ROWS = 10_000;
/** The engine cuts a block at 256 MB and then numbers the pieces: a repeat with other cuts would lose rows. Stay far below. */
const MAX_BLOCK_BYTES = 64 * 1024 * 1024;

/** Written into each insert, so that neither a server's defaults nor an earlier statement of the session decides. */
const INSERT_SETTINGS =
  'async_insert=0, insert_deduplicate=1, input_format_parallel_parsing=0, max_insert_block_size=1048576, ' +
  'min_insert_block_size_rows=1048576, min_insert_block_size_bytes=268435456';

/** Reading a file: one thread and one block, and a token that cannot be honoured is an error, not a hint. */
const FILE_SETTINGS = `${INSERT_SETTINGS}, deduplicate_insert_select='force_enable', max_threads=1, max_insert_threads=1, max_block_size=1048576`;

const WRAPPED = 'LowCardinality(';

/**
 * The type without its dictionaries. The engine reads text into a dictionary column value by value, each through a column made
 * for it; read as plain text and turned over as a whole, the same block costs half (measured with 55 columns on chDB 26.7).
 */
export const plainType = (type: string): string => {
  const at = type.indexOf(WRAPPED);
  if (at < 0) return type;
  let depth = 1;
  let end = at + WRAPPED.length;
  while (depth > 0 && end < type.length) {
    if (type[end] === '(') depth += 1;
    if (type[end] === ')') depth -= 1;
    end += 1;
  }
  const inner = type.slice(at + WRAPPED.length, end - 1);
  return plainType(`${type.slice(0, at)}${inner}${type.slice(end)}`);
};

const isEmptyOf = (value: unknown, type: string): boolean => {
  if (value === '') return type === 'String';
  if (value === null) return type.startsWith('Nullable(');
  return Array.isArray(value) && value.length === 0 && type.startsWith('Array(');
};

/** What `JSON.stringify` makes of half a surrogate pair; whole ones it leaves as they are. */
const LONE_SURROGATE = /\\ud[89a-f]/;

/** A row as the engine can read it. It refuses half a surrogate pair, and with it the whole block, at every repeat. */
const encodeRow = (row: readonly unknown[]): string => {
  const text = JSON.stringify(row);
  if (!LONE_SURROGATE.test(text)) return text;
  return JSON.stringify(row, (_name, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed() : value,
  );
};

interface Kept {
  name: string;
  type: string;
  /** Where its value stands in a row. */
  at: number;
}

const unknownColumn = (table: string, name: string): ReckonerError =>
  new ReckonerError(
    'WAREHOUSE_FAILED',
    `An insert into ${table} names the column ${name}, which the table does not have. Run the migrations of this version.`,
  );

/** The columns that some row of the block says something in. What is left out the engine fills with the same empty value. */
const keptColumns = (
  block: InsertBlock,
  described: ReadonlyMap<string, ColumnType>,
): readonly Kept[] => {
  const all = block.columns.map((name, at): Kept & { isSaid: boolean } => {
    const column = described.get(name);
    if (column === undefined) throw unknownColumn(block.table, name);
    const type = plainType(column.type);
    const isSaid = column.hasDefault || !block.rows.every((row) => isEmptyOf(row[at], type));
    return { name, at, type, isSaid };
  });
  const kept = all.filter(({ isSaid }) => isSaid);
  return kept.length > 0 ? kept : all;
};

const refuse = (block: InsertBlock, found: string): ReckonerError =>
  new ReckonerError(
    'WAREHOUSE_FAILED',
    `An insert into ${block.table} carried ${found} Split it, each part with its own token.`,
  );

/**
 * Encodes a block. Values never become part of the SQL text.
 * @param described the columns of the block's table by name.
 * @throws ReckonerError WAREHOUSE_FAILED for a block of no or too many rows, too many bytes, or with an unknown column.
 */
export const encodeBlock = (
  block: InsertBlock,
  described: ReadonlyMap<string, ColumnType>,
): EncodedBlock => {
  const { rows } = block;
  if (rows.length === 0 || rows.length > MAX_BLOCK_ROWS) {
    throw refuse(block, `${rows.length} rows; a block has 1 to ${MAX_BLOCK_ROWS}.`);
  }
  const kept = keptColumns(block, described);
  const positions = kept.map(({ at }) => at);
  const isWhole = positions.length === block.columns.length;
  const lines = rows.map((row) => encodeRow(isWhole ? row : positions.map((at) => row[at])));
  const body = lines.join('\n');
  if (Buffer.byteLength(body) > MAX_BLOCK_BYTES) {
    throw refuse(block, `more than ${MAX_BLOCK_BYTES} bytes; the engine would cut it in two.`);
  }
  const names = kept.map(({ name }) => sqlIdentifier(name)).join(', ');
  const into = `INSERT INTO ${sqlIdentifier(block.table)} (${names}) SETTINGS`;
  const token = `insert_deduplication_token=${sqlString(block.token)}`;
  const structure = kept.map(({ name, type }) => `${name} ${type}`).join(', ');
  return {
    body,
    inline: () => `${into} ${INSERT_SETTINGS}, ${token} FORMAT JSONCompactEachRow\n${body}`,
    fromFile: (path) =>
      `${into} ${FILE_SETTINGS}, ${token} SELECT ${names} FROM file(${sqlString(path)}, 'JSONCompactEachRow', ${sqlString(structure)}, 'none')`,
  };
};
