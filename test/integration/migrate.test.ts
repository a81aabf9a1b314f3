import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import { migrate } from '../../services/platform/migrate.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));
const directory = await mkdtemp(join(tmpdir(), 'reckoner-migrate-'));
const opened: Warehouse[] = [];
afterAll(async () => {
  await Promise.all(opened.map((warehouse) => warehouse.close()));
  await rm(directory, { recursive: true, force: true });
});

/** A database of its own in the one directory this process may open. */
const fresh = async (database: string): Promise<Warehouse> => {
  const warehouse = await openWarehouse({ kind: 'chdb', directory, database });
  opened.push(warehouse);
  return warehouse;
};

const copyOfMigrations = async (): Promise<string> => {
  const copy = await mkdtemp(join(tmpdir(), 'reckoner-migrations-'));
  onTestFinished(() => rm(copy, { recursive: true, force: true }));
  await cp(MIGRATIONS, copy, { recursive: true });
  return copy;
};

test('the first run applies every file in order, the second does nothing', async () => {
  const warehouse = await fresh('first_run');
  const { applied } = await migrate(warehouse);
  expect(applied).toEqual([...applied].sort());
  expect(applied[0]).toBe('001_usage_archive.sql');
  expect(await migrate(warehouse)).toEqual({ applied: [] });
});

test('a changed file is refused by name', async () => {
  const warehouse = await fresh('changed');
  const copy = await copyOfMigrations();
  await migrate(warehouse, copy);
  await writeFile(join(copy, '003_quarantine.sql'), 'SELECT 1');
  await expect(migrate(warehouse, copy)).rejects.toMatchObject({
    code: 'MIGRATION_CHANGED',
    message: expect.stringContaining('003_quarantine.sql'),
  });
});

test('a warehouse that a newer program has used is refused', async () => {
  const warehouse = await fresh('newer');
  const copy = await copyOfMigrations();
  await writeFile(join(copy, '999_of_the_future.sql'), 'SELECT 1');
  await migrate(warehouse, copy);
  await expect(migrate(warehouse)).rejects.toMatchObject({
    code: 'MIGRATION_NEWER',
    message: expect.stringContaining('999_of_the_future.sql'),
  });
});

test('a run interrupted after any statement is picked up by the next', async () => {
  const warehouse = await fresh('interrupted');
  const interrupted = (after: number): Warehouse => {
    let left = after;
    return {
      ...warehouse,
      command: async (sql) => {
        if (left === 0) throw new Error('interrupted');
        left -= 1;
        await warehouse.command(sql);
      },
    };
  };
  let runs = 0;
  // Each run gets one statement further than the one before; the files do the rest.
  for (let after = 0; ; after += 1) {
    const done = await migrate(interrupted(after)).then(
      () => true,
      (error: Error) => {
        expect(error.message).toBe('interrupted');
        return false;
      },
    );
    runs += 1;
    if (done) break;
  }
  expect(runs).toBeGreaterThan(3);
  expect(await migrate(warehouse)).toEqual({ applied: [] });
});

test('every column that people read says what it is', async () => {
  const warehouse = await fresh('comments');
  await migrate(warehouse);
  expect(
    await warehouse.query(`SELECT table, name FROM system.columns
      WHERE database = 'comments' AND comment = '' ORDER BY table, name`),
  ).toEqual([]);
});
