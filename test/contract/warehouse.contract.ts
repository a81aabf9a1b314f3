import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Warehouse } from '../../services/platform/warehouse.ts';

/** Waits between nothing: every table is named after its test, since all tests of a process share one database. */
const tableName = (what: string): string => `${what}_${randomUUID().replaceAll('-', '_')}`;

const createTable = async (warehouse: Warehouse, what: string): Promise<string> => {
  const table = tableName(what);
  await warehouse.command(`CREATE TABLE ${table}
    (id String, amount Decimal(38, 18), big UInt64, at DateTime64(3, 'UTC'), parts Map(String, Decimal(38, 6)))
    ENGINE = MergeTree ORDER BY id
    SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1`);
  return table;
};

const COLUMNS = ['id', 'amount', 'big', 'at', 'parts'];
const row = (id: string): unknown[] => [
  id,
  '0.000000000000000001',
  '18446744073709551615',
  '2026-11-21T20:15:00.123Z',
  { input: '2.5' },
];
const BOUNDS = { maxRows: 100, timeoutMs: 5_000 };

/** What every adapter of the port must do. */
export const describeWarehouse = (name: string, open: () => Promise<Warehouse>): void => {
  describe(`warehouse: ${name}`, () => {
    let warehouse: Warehouse;
    beforeAll(async () => {
      warehouse = await open();
      return () => warehouse.close();
    });
    const count = async (table: string): Promise<unknown> =>
      (await warehouse.query<{ n: string }>(`SELECT count() AS n FROM ${table}`))[0]?.n;

    test('gives back decimals, 64-bit integers and instants as the strings that went in', async () => {
      const table = await createTable(warehouse, 'exact');
      await warehouse.insert({ table, columns: COLUMNS, rows: [row('a')], token: 'a' });
      expect(await warehouse.query(`SELECT * FROM ${table}`)).toEqual([
        {
          id: 'a',
          amount: '0.000000000000000001',
          big: '18446744073709551615',
          at: '2026-11-21T20:15:00.123Z',
          parts: { input: '2.5' },
        },
      ]);
    });

    test('keeps text byte for byte: quotes, line ends, other scripts, escapes, SQL', async () => {
      const table = await createTable(warehouse, 'text');
      const text = '\'); DROP TABLE x; -- "\\u0000\n\t\r é 🧮 \u0001 {"a":"\\n"}';
      await warehouse.insert({ table, columns: ['id'], rows: [[text]], token: 'a' });
      expect(await warehouse.query(`SELECT id FROM ${table}`)).toEqual([{ id: text }]);
    });

    test('half a surrogate pair is replaced, not refused with its whole block for ever', async () => {
      const table = await createTable(warehouse, 'surrogates');
      const rows = [row('gpt-\ud800'), row('\udc00'), row('\u{1f9ee} \\ud800')];
      await warehouse.insert({ table, columns: COLUMNS, rows, token: 'a' });
      expect(await warehouse.query(`SELECT id FROM ${table} ORDER BY length(id)`)).toEqual([
        { id: '\ufffd' },
        { id: 'gpt-\ufffd' },
        { id: '\u{1f9ee} \\ud800' },
      ]);
    });

    test('takes a repeated block once, and another block with another token', async () => {
      const table = await createTable(warehouse, 'repeat');
      const block = { table, columns: COLUMNS, rows: [row('a'), row('b')], token: 'first' };
      await warehouse.insert(block);
      await warehouse.insert(block);
      expect(await count(table)).toBe('2');
      await warehouse.insert({ ...block, token: 'second' });
      expect(await count(table)).toBe('4');
    });

    test('a token belongs to its insert: a later command of the same session is not taken for a repeat', async () => {
      const table = await createTable(warehouse, 'token');
      await warehouse.insert({ table, columns: COLUMNS, rows: [row('a')], token: 'first' });
      await warehouse.command(`INSERT INTO ${table} (id) SELECT 'b'`);
      await warehouse.command(`INSERT INTO ${table} (id) SELECT 'c'`);
      expect(await count(table)).toBe('3');
    });

    test('one bad row refuses the whole block, and the message names a code but no value', async () => {
      const table = await createTable(warehouse, 'bad');
      const rows = [row('a'), ['b', 'canary-secret-4711', '1', '2026-11-21T20:15:00.123Z', {}]];
      const error = await warehouse
        .insert({ table, columns: COLUMNS, rows, token: 'a' })
        .catch((reason: Error) => reason);
      expect(error).toMatchObject({ code: 'WAREHOUSE_FAILED', retryable: false });
      expect(String(error)).toMatch(/ClickHouse code \d+/);
      expect(JSON.stringify({ ...(error as Error), text: String(error) })).not.toContain('canary');
      expect(await count(table)).toBe('0');
    });

    test('refuses a block of more than 10,000 rows or of none', async () => {
      const table = await createTable(warehouse, 'many');
      const rows = Array.from({ length: 10_001 }, (_, index) => [String(index)]);
      const block = { table, columns: ['id'], token: 'a' };
      await expect(warehouse.insert({ ...block, rows })).rejects.toMatchObject({
        code: 'WAREHOUSE_FAILED',
      });
      await expect(warehouse.insert({ ...block, rows: [] })).rejects.toMatchObject({
        code: 'WAREHOUSE_FAILED',
      });
      await warehouse.insert({ ...block, rows: rows.slice(1) });
      expect(await count(table)).toBe('10000');
    });

    test('10,000 wide rows are one part: one block', async () => {
      const table = await createTable(warehouse, 'wide');
      const rows = Array.from({ length: 10_000 }, (_, index) => [`${index} ${'x'.repeat(3_000)}`]);
      await warehouse.insert({ table, columns: ['id'], rows, token: 'a' });
      expect(
        await warehouse.query(
          `SELECT toString(count()) AS parts FROM system.parts WHERE table = '${table}' AND active`,
        ),
      ).toEqual([{ parts: '1' }]);
    });

    describe('a block of many bytes goes in like a small one', () => {
      const DICTIONARIES = `id String, name LowCardinality(String), maybe LowCardinality(Nullable(String)),
        names Array(LowCardinality(String)), tags Map(LowCardinality(String), Decimal(38, 6)), amount Nullable(Decimal(38, 18)),
        said String DEFAULT 'unsaid', at DateTime64(3, 'UTC')`;
      const COLUMNS_HERE = ['id', 'name', 'maybe', 'names', 'tags', 'amount', 'said', 'at'];
      const AT = '2026-11-21T20:15:00.123Z';
      const text = '\'); DROP TABLE x; -- "\\u0000\n\t\r é 🧮 \u0001 {"a":"\\n"} $ {} * ?';
      const makeTable = async (): Promise<string> => {
        const table = tableName('large');
        await warehouse.command(`CREATE TABLE ${table} (${DICTIONARIES}) ENGINE = MergeTree ORDER BY id
          SETTINGS non_replicated_deduplication_window = 1000`);
        return table;
      };
      const fullRow = (index: number): unknown[] => {
        const amount = `-${index}.000000000000000001`;
        return [`${index} ${text}`, text, null, [text, ''], { [text]: '2.5' }, amount, '', AT];
      };
      const emptyRow = (index: number): unknown[] => [
        `${index} ${'x'.repeat(100)}`,
        '',
        null,
        [],
        {},
        null,
        '',
        AT,
      ];
      const blockOf = (table: string, rowOf: (index: number) => unknown[]) => ({
        table,
        columns: COLUMNS_HERE,
        rows: Array.from({ length: 3_000 }, (_, index) => rowOf(index)),
        token: 'first',
      });
      const summary = async (table: string): Promise<unknown> =>
        (
          await warehouse.query(
            `SELECT count() AS n, uniqExact(t.name) AS names, any(t.name) AS name, any(t.names) AS list, any(t.tags) AS tags,
              countIf(t.maybe IS NULL) AS nulls, sum(t.amount) AS total, any(t.said) AS said, min(t.at) AS at FROM ${table} AS t`,
          )
        )[0];

      test('text, dictionaries, decimals and absent values come back as they went in', async () => {
        const table = await makeTable();
        await warehouse.insert(blockOf(table, fullRow));
        expect(await summary(table)).toEqual({
          n: '3000',
          names: '1',
          name: text,
          list: [text, ''],
          tags: { [text]: '2.5' },
          nulls: '3000',
          // 0 + 1 + … + 2999 = 4498500, and 3000 x 0.000000000000000001.
          total: '-4498500.000000000000003',
          said: '',
          at: AT,
        });
      });

      test('what no row says anything in comes back empty; an empty value is not the default of its column', async () => {
        const table = await makeTable();
        await warehouse.insert(blockOf(table, emptyRow));
        expect(await summary(table)).toMatchObject({
          n: '3000',
          name: '',
          list: [],
          tags: {},
          nulls: '3000',
          total: null,
          said: '',
        });
      });

      test('is taken once when it is repeated, and is one part', async () => {
        const table = await makeTable();
        const block = blockOf(table, fullRow);
        await warehouse.insert(block);
        await warehouse.insert(block);
        expect(await summary(table)).toMatchObject({ n: '3000' });
        expect(
          await warehouse.query(
            `SELECT toString(count()) AS parts FROM system.parts WHERE table = '${table}' AND active`,
          ),
        ).toEqual([{ parts: '1' }]);
        await warehouse.insert({ ...block, token: 'second' });
        expect(await summary(table)).toMatchObject({ n: '6000' });
      });

      test('is refused whole for one bad row, and the message names no value', async () => {
        const table = await makeTable();
        const block = blockOf(table, fullRow);
        const bad = [...fullRow(0).slice(0, 5), 'canary-secret-4711', '', AT];
        const error = await warehouse
          .insert({ ...block, rows: [...block.rows, bad] })
          .catch((reason: Error) => reason);
        expect(error).toMatchObject({ code: 'WAREHOUSE_FAILED', retryable: false });
        expect(String(error)).not.toContain('canary');
        expect(await count(table)).toBe('0');
        await warehouse.insert(block);
        expect(await count(table)).toBe('3000');
      });

      test('a column added in between is known', async () => {
        const table = await makeTable();
        await warehouse.insert(blockOf(table, fullRow));
        await warehouse.command(`ALTER TABLE ${table} ADD COLUMN later LowCardinality(String)`);
        const block = blockOf(table, (index) => [...fullRow(index), 'here']);
        const columns = [...COLUMNS_HERE, 'later'];
        await warehouse.insert({ ...block, columns, token: 'second' });
        expect(
          await warehouse.query(`SELECT count() AS n FROM ${table} WHERE later = 'here'`),
        ).toEqual([{ n: '3000' }]);
      });
    });

    test('what a failed query had already read is not in the next answer', async () => {
      const failed = `SELECT number, throwIf(number = 3) FROM numbers(10) SETTINGS max_block_size = 1`;
      await expect(warehouse.query(failed)).rejects.toMatchObject({ code: 'WAREHOUSE_FAILED' });
      expect(await warehouse.query('SELECT 2 AS b')).toEqual([{ b: 2 }]);
    });

    test('answers statements asked for at once, each with its own rows', async () => {
      const asked = Array.from({ length: 20 }, (_, index) =>
        warehouse.query<{ n: number }>(`SELECT toUInt8(${index}) AS n`),
      );
      expect((await Promise.all(asked)).map((rows) => rows[0]?.n)).toEqual(
        Array.from({ length: 20 }, (_, index) => index),
      );
    });

    test('inserts are synchronous whatever the default', async () => {
      const table = await createTable(warehouse, 'sync');
      await warehouse.command('SET async_insert = 1');
      await warehouse.insert({ table, columns: COLUMNS, rows: [row('a')], token: 'a' });
      expect(await count(table)).toBe('1');
      await warehouse.command('SET async_insert = 0');
    });

    test('the read-only door reads', async () => {
      const table = await createTable(warehouse, 'read');
      await warehouse.insert({ table, columns: COLUMNS, rows: [row('a')], token: 'a' });
      expect(await warehouse.queryReadOnly(`SELECT id, amount FROM ${table};`, BOUNDS)).toEqual({
        columns: [
          { name: 'id', type: 'String' },
          { name: 'amount', type: 'Decimal(38, 18)' },
        ],
        rows: [['a', '0.000000000000000001']],
      });
      const described = await warehouse.queryReadOnly(`DESCRIBE TABLE ${table}`, BOUNDS);
      expect(described.rows.map((cells) => cells[0])).toEqual(COLUMNS);
    });

    test.each([
      "INSERT INTO t (id) VALUES ('x')",
      'DROP TABLE t',
      'SET readonly = 0',
      'SELECT 1 SETTINGS readonly = 0',
      'SELECT 1; SELECT 2',
      "SELECT file('/etc/hostname')",
      "SELECT * FROM file('/etc/hostname', 'LineAsString')",
      "SELECT * FROM `file`('/etc/hostname', 'LineAsString')",
      'SELECT * FROM `/etc/hostname`',
      "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
      "SELECT * FROM remote('127.0.0.1:1', system.one)",
      "SELECT * FROM numbers(3) INTO OUTFILE '/tmp/x'",
      'SELECT * FROM system.settings',
      'EXPLAIN SELECT 1 SETTINGS max_threads = 1',
      "SELECT /* a */ file /* b */ ('/etc/hostname')",
      'OPTIMIZE TABLE t',
      'SYSTEM FLUSH LOGS',
    ])('the read-only door refuses: %s', async (sql) => {
      await expect(warehouse.queryReadOnly(sql, BOUNDS)).rejects.toMatchObject({
        code: expect.stringMatching(/^(REQUEST_INVALID|WAREHOUSE_FAILED)$/),
      });
    });

    test('the read-only door is bounded in rows and in time, and works again afterwards', async () => {
      await expect(
        warehouse.queryReadOnly('SELECT number FROM numbers(1000)', {
          maxRows: 10,
          timeoutMs: 5_000,
        }),
      ).rejects.toThrow('code 396');
      await expect(
        warehouse.queryReadOnly('SELECT max(sipHash64(number)) FROM numbers(100000000000)', {
          maxRows: 10,
          timeoutMs: 300,
        }),
      ).rejects.toThrow('code 159');
      const answer = await warehouse.queryReadOnly('SELECT 1 AS one', BOUNDS);
      expect(answer.rows).toEqual([[1]]);
      await warehouse.command(`CREATE TABLE ${tableName('after')} (id String) ENGINE = Memory`);
    });
  });
};
