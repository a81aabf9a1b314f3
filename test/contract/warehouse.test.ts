import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import { describeWarehouse } from './warehouse.contract.ts';

const run = promisify(execFile);
const directory = await mkdtemp(join(tmpdir(), 'reckoner-warehouse-'));
afterAll(() => rm(directory, { recursive: true, force: true }));

const ADAPTER = new URL('../../services/platform/clickhouse-warehouse.ts', import.meta.url).href;

/** Opens a directory in a process of its own and says how that went. */
const openElsewhere = async (path: string): Promise<string> => {
  const script = `const { openWarehouse } = await import(${JSON.stringify(ADAPTER)});
    try { await (await openWarehouse({ kind: 'chdb', directory: ${JSON.stringify(path)} })).close(); console.log('opened'); }
    catch (error) { console.log(error.code + ': ' + error.message); }`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
  return stdout.trim();
};

describeWarehouse('chDB', () => openWarehouse({ kind: 'chdb', directory }));

test('a second process is told who has the directory', async () => {
  const warehouse = await openWarehouse({ kind: 'chdb', directory });
  expect(await openElsewhere(directory)).toContain(
    `WAREHOUSE_LOCKED: The warehouse in ${directory} is open in process ${process.pid}`,
  );
  await warehouse.close();
});

test('a directory that cannot be one is told apart from a locked one', async () => {
  const file = join(directory, 'a-file');
  await writeFile(file, '');
  expect(await openElsewhere(file)).toContain('DATA_DIR_UNUSABLE');
});

test('importing the adapter does not load the native engine', async () => {
  const script = `await import(${JSON.stringify(ADAPTER)});
    console.log(process.report.getReport().sharedObjects.some((path) => path.includes('chdb')));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script]);
  expect(stdout.trim()).toBe('false');
});
