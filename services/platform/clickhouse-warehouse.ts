import type {
  ClickHouseClient,
  ClickHouseClientConfigOptions,
  ClickHouseSettings,
} from '@clickhouse/client';
import { createClient } from '@clickhouse/client';
import { openChdb } from './chdb-connection.ts';
import { openInsertFiles } from './insert-files.ts';
import type { ColumnType, EncodedBlock } from './insert-statement.ts';
import { encodeBlock } from './insert-statement.ts';
import { checkReadOnly } from './read-only-sql.ts';
import type { Warehouse } from './warehouse.ts';
import { sqlIdentifier, sqlString } from './warehouse.ts';
import { asWarehouseError, createLane } from './warehouse-lane.ts';

export type WarehouseOptions =
  | { kind: 'chdb'; directory: string; database?: string }
  | {
      kind: 'clickhouse';
      url: string;
      username: string;
      password?: string;
      /** A user that may only read; `queryReadOnly` runs as this one. Without it the writer is used in read-only mode. */
      readerUsername?: string;
      readerPassword?: string;
      database?: string;
    };

/** One connection to the engine. */
interface Session {
  execute(sql: string): Promise<void>;
  /** @returns the result as text of the format. */
  read(sql: string, format: 'JSONEachRow' | 'JSONCompact'): Promise<string>;
  close(): Promise<void>;
}

interface Engine {
  writer: Session;
  reader: Session;
  insert(block: EncodedBlock): Promise<void>;
  /** A session of its own, bounded and read-only; the caller closes it. */
  openBounded(bounds: { maxRows: number; timeoutMs: number }): Promise<Session>;
  close(): Promise<void>;
}

const MAX_WAITING = 1_000;
/** People's queries may take seconds each. */
const MAX_PEOPLE_WAITING = 32;
const READ_ONLY_MEMORY_BYTES = 1_000_000_000;

/** Decimals and 64-bit integers as strings, instants as `2026-11-21T20:15:00.123Z`, and such instants understood in comparisons. */
const SETTINGS = {
  async_insert: 0,
  output_format_json_quote_decimals: 1,
  output_format_json_quote_64bit_integers: 1,
  output_format_json_quote_denormals: 1,
  date_time_output_format: 'iso',
  date_time_input_format: 'best_effort',
  cast_string_to_date_time_mode: 'best_effort',
  session_timezone: 'UTC',
  max_query_size: 1_048_576,
} as const;

/** Smaller blocks are sent with their statement; from here on the engine reads them faster from a file. */
const MIN_FILE_CHARACTERS = 128 * 1024;

const setStatement = (settings: Record<string, string | number>): string =>
  `SET ${Object.entries(settings)
    .map(([name, value]) => `${name} = ${typeof value === 'number' ? value : sqlString(value)}`)
    .join(', ')}`;

const boundsSettings = (bounds: { maxRows: number; timeoutMs: number }) => ({
  max_result_rows: bounds.maxRows,
  result_overflow_mode: 'throw',
  max_execution_time: Math.max(0.001, bounds.timeoutMs / 1000),
  max_memory_usage: READ_ONLY_MEMORY_BYTES,
});

const clientSession = (client: ClickHouseClient): Session => ({
  execute: async (sql) => void (await client.command({ query: sql })),
  read: async (sql, format) => (await client.query({ query: sql, format })).text(),
  close: () => client.close(),
});

/**
 * A chDB session. Statements run one at a time: the engine keeps what a failed query had already written and puts it in front of
 * the next answer (measured on chDB 26.7), so after a failure a throw-away statement takes that away.
 */
const chdbSession = (client: ClickHouseClient): Session => {
  const lane = createLane(MAX_WAITING);
  const plain = clientSession(client);
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      await plain.read('SELECT 1', 'JSONEachRow');
      throw error;
    }
  };
  return {
    execute: (sql) => lane(() => guarded(() => plain.execute(sql))),
    read: (sql, format) => lane(() => guarded(() => plain.read(sql, format))),
    close: () => lane(() => plain.close()),
  };
};

/** chDB's types are compiled against a looser reading of the same interface. */
type Connection = NonNullable<ClickHouseClientConfigOptions['connection']>;

const openChdbEngine = async (directory: string, database: string): Promise<Engine> => {
  const connect = await openChdb(directory);
  const open = async (settings: Record<string, string | number>): Promise<Session> => {
    const session = chdbSession(createClient({ connection: connect() as unknown as Connection }));
    try {
      await session.execute(`USE ${database}`);
      // Settings stick to a chDB session. `readonly` comes last: after it nothing can be set any more.
      await session.execute(setStatement(settings));
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  };
  const first = chdbSession(createClient({ connection: connect() as unknown as Connection }));
  await first.execute(`CREATE DATABASE IF NOT EXISTS ${database}`);
  const writer = await open(SETTINGS);
  const reader = await open(SETTINGS);
  await first.close();
  // Only the holder of the directory comes this far: what lies there nobody reads any more.
  const files = openInsertFiles(directory);
  return {
    writer,
    reader,
    insert: (block) =>
      files === null || block.body.length < MIN_FILE_CHARACTERS
        ? writer.execute(block.inline())
        : files.lend(block.body, (path) => writer.execute(block.fromFile(path))),
    openBounded: (bounds) => open({ ...SETTINGS, ...boundsSettings(bounds), readonly: 1 }),
    close: async () => {
      await reader.close();
      await writer.close();
    },
  };
};

const openServerEngine = async (
  options: Extract<WarehouseOptions, { kind: 'clickhouse' }>,
  database: string,
): Promise<Engine> => {
  const connect = (rest: object) =>
    clientSession(
      createClient({
        url: options.url,
        username: options.username,
        ...(options.password === undefined ? {} : { password: options.password }),
        request_timeout: 120_000,
        max_open_connections: 8,
        clickhouse_settings: SETTINGS as object as ClickHouseSettings,
        ...rest,
      }),
    );
  const first = connect({});
  await first.execute(`CREATE DATABASE IF NOT EXISTS ${database}`);
  await first.close();
  const writer = connect({ database });
  const reader = connect({ database });
  const asReader =
    options.readerUsername === undefined
      ? {}
      : { username: options.readerUsername, password: options.readerPassword ?? '' };
  return {
    writer,
    reader,
    insert: (block) => writer.execute(block.inline()),
    openBounded: async (bounds) =>
      connect({
        database,
        ...asReader,
        clickhouse_settings: { ...SETTINGS, ...boundsSettings(bounds), readonly: '1' },
      }),
    close: async () => {
      await reader.close();
      await writer.close();
    },
  };
};

/** Remembers what tables look like, until a statement that may change one. */
const createDescriber = (engine: Engine) => {
  const tables = new Map<string, Promise<ReadonlyMap<string, ColumnType>>>();
  const describe = async (table: string): Promise<ReadonlyMap<string, ColumnType>> => {
    const text = await engine.writer.read(`DESCRIBE TABLE ${table}`, 'JSONEachRow');
    const rows = parseRows<{ name: string; type: string; default_type: string }>(text);
    return new Map(
      rows.map(({ name, type, default_type }) => [name, { type, hasDefault: default_type !== '' }]),
    );
  };
  return {
    columnsOf: (table: string): Promise<ReadonlyMap<string, ColumnType>> => {
      const name = sqlIdentifier(table);
      let known = tables.get(name);
      if (known === undefined) {
        known = describe(name);
        tables.set(name, known);
        known.catch(() => tables.delete(name));
      }
      return known;
    },
    noteCommand: (sql: string): void => {
      if (!/^\s*(INSERT|SET)\s/i.test(sql)) tables.clear();
    },
  };
};

const parseRows = <Row>(text: string): Row[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);

const readBounded = async (
  engine: Engine,
  sql: string,
  bounds: { maxRows: number; timeoutMs: number },
) => {
  const session = await engine.openBounded(bounds);
  try {
    const answer = JSON.parse(await session.read(checkReadOnly(sql), 'JSONCompact')) as {
      meta: { name: string; type: string }[];
      data: unknown[][];
    };
    return { columns: answer.meta, rows: answer.data };
  } finally {
    await session.close();
  }
};

/**
 * Opens the warehouse and makes sure its database exists.
 * Answers carry decimals and 64-bit integers as strings and instants as `2026-11-21T20:15:00.123Z`.
 * @throws ReckonerError WAREHOUSE_LOCKED, DATA_DIR_UNUSABLE or WAREHOUSE_FAILED.
 */
export const openWarehouse = async (options: WarehouseOptions): Promise<Warehouse> => {
  const database = sqlIdentifier(options.database ?? 'reckoner');
  const named = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw asWarehouseError(error, doing);
    }
  };
  const engine = await named('open', () =>
    options.kind === 'chdb'
      ? openChdbEngine(options.directory, database)
      : openServerEngine(options, database),
  );
  const describer = createDescriber(engine);
  const boundedLane = createLane(MAX_PEOPLE_WAITING);
  let closing: Promise<void> | undefined;
  return {
    kind: options.kind,
    command: (sql) =>
      named('run a command', async () => {
        try {
          await engine.writer.execute(sql);
        } finally {
          describer.noteCommand(sql);
        }
      }),
    insert: (block) =>
      named(`insert into ${block.table}`, async () =>
        engine.insert(encodeBlock(block, await describer.columnsOf(block.table))),
      ),
    query: <Row>(sql: string) =>
      named('answer a query', async () =>
        parseRows<Row>(await engine.reader.read(sql, 'JSONEachRow')),
      ),
    queryReadOnly: (sql, bounds) =>
      named('answer a read-only query', () => boundedLane(() => readBounded(engine, sql, bounds))),
    close: () => {
      closing ??= engine.close();
      return closing;
    },
  };
};
