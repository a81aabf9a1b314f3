import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { readControlTotals } from '../../services/ledger/control-totals.ts';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';

const CHILD = fileURLToPath(new URL('./ledger-kill-child.ts', import.meta.url));
const EVENTS = 1_500;
const KILLS = Number(process.env['RECKONER_TEST_KILLS'] ?? '10');

const start = async (directory: string): Promise<{ child: ChildProcess; output: () => string }> => {
  const child = spawn(process.execPath, [CHILD, directory, String(EVENTS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.on('data', (data: Buffer) => {
    output += data.toString();
  });
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return { child, output: () => output };
};

test(`${KILLS} kill -9 at any moment, then a restart: nothing lost, nothing doubled`, {
  timeout: 600_000,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'reckoner-kill-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  let killed = 0;
  for (let round = 0; round < KILLS; round += 1) {
    const { child } = await start(directory);
    // Later each time: every run replays what earlier ones left and dies somewhere in what is new.
    await Promise.race([wait(100 + round * 170 + ((round * 397) % 90)), once(child, 'exit')]);
    if (child.exitCode === null) {
      killed += 1;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
  }
  expect(killed).toBe(KILLS);

  const { child, output } = await start(directory);
  if (child.exitCode === null) await once(child, 'exit');
  expect(output()).toContain('done');
  const warehouse = await openWarehouse({ kind: 'chdb', directory });
  onTestFinished(() => warehouse.close());
  // 1,500 events at 1000 x 0.00000025 + 200 x 0.000002 = 0.00065 USD each: 0.975 USD.
  expect(await readControlTotals(warehouse)).toMatchObject({
    events: String(EVENTS),
    rated: String(EVENTS),
    unrated: '0',
    quarantined: { usage: '0', rated: '0' },
    events_without_entry: '0',
    entries_without_event: '0',
    charges_usd: '0.975',
    rollup_usd: '0.975',
    difference_usd: '0',
  });
  // Without FINAL: the look-up before the insert leaves the engine nothing to replace.
  expect(
    await warehouse.query(
      'SELECT (SELECT count() FROM usage_archive) AS archive, (SELECT count() FROM ledger_entries) AS ledger',
    ),
  ).toEqual([{ archive: String(EVENTS), ledger: String(EVENTS) }]);
});
