/** A row as it goes in: one value per column, in order. Decimals, 64-bit integers and instants as strings. */
export type RowValues = readonly unknown[];

export interface InsertBlock {
  /** Without database; validated as an identifier. */
  table: string;
  columns: readonly string[];
  rows: readonly RowValues[];
  /**
   * Makes a repeat of the same block a no-op. Same token with other rows loses rows silently in ClickHouse, so a token
   * is derived from what it covers and a retry sends the same block.
   */
  token: string;
}

/**
 * The one door to ClickHouse, embedded (chDB) or a server. Decimals and 64-bit integers come back as strings.
 * Contract: test/contract/warehouse.contract.ts.
 */
export interface Warehouse {
  readonly kind: 'chdb' | 'clickhouse';
  /** Runs one statement that returns nothing. */
  command(sql: string): Promise<void>;
  /**
   * Adds the rows as one block; durable when it resolves. The caller keeps a block within one partition (month) and 10,000 rows.
   */
  insert(block: InsertBlock): Promise<void>;
  /** Reads rows as objects. SQL carries validated literals only (`sqlString` and friends), never raw input. */
  query<Row = Record<string, unknown>>(sql: string): Promise<Row[]>;
  /** For people and analysts: read-only, bounded in rows, memory and time; any statement that would write is refused. */
  queryReadOnly(
    sql: string,
    bounds: { maxRows: number; timeoutMs: number },
  ): Promise<{ columns: { name: string; type: string }[]; rows: unknown[][] }>;
  close(): Promise<void>;
}

const IDENTIFIER = /^[a-z][a-z0-9_]{0,63}$/;

/** A table or column name, or an error: names are never taken from input. */
export const sqlIdentifier = (name: string): string => {
  if (!IDENTIFIER.test(name)) throw new TypeError(`not an identifier: ${JSON.stringify(name)}`);
  return name;
};

/** A ClickHouse string literal. */
export const sqlString = (value: string): string =>
  `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\0', '\\0')}'`;

/** A list of string literals for `IN (…)`; empty lists match nothing. */
export const sqlStrings = (values: readonly string[]): string =>
  values.length === 0 ? "('')" : `(${values.map(sqlString).join(',')})`;
