import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { RunningLedger } from '../../services/ledger/main.ts';
import { startLedger } from '../../services/ledger/main.ts';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import { systemClock } from '../../services/platform/clock.ts';
import type { EventLog, LogEntry } from '../../services/platform/event-log.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { migrate } from '../../services/platform/migrate.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';

/** One migrated warehouse for the whole test file: chDB allows one directory per process. Tests use tenants of their own. */
export const openTestWarehouse = async (): Promise<Warehouse> => {
  const directory = await mkdtemp(join(tmpdir(), 'reckoner-ledger-'));
  const warehouse = await openWarehouse({ kind: 'chdb', directory });
  await migrate(warehouse);
  afterAll(async () => {
    await warehouse.close();
    await rm(directory, { recursive: true, force: true });
  });
  return warehouse;
};

export interface Rig {
  proxy: EventLog;
  backOffice: EventLog;
  start(): Promise<RunningLedger>;
  /** Starts a ledger on the logs as they are, lets it take everything, stops it. */
  takeAll(): Promise<ReturnType<RunningLedger['status']>>;
}

let logs = 0;

/** Fresh logs on a shared warehouse; every `rig` is a replay from the beginning. */
export const rig = async (
  warehouse: Warehouse,
  facts: { usage?: readonly LogEntry[]; backOffice?: readonly LogEntry[] } = {},
): Promise<Rig> => {
  logs += 1;
  const proxy = createMemoryEventLog(`proxy-${logs}`);
  const backOffice = createMemoryEventLog(`back-office-${logs}`);
  if (facts.usage?.length) await proxy.append(facts.usage).stored;
  if (facts.backOffice?.length) await backOffice.append(facts.backOffice).stored;
  const start = () =>
    startLedger({
      usageEvents: [proxy],
      rated: backOffice,
      backOffice,
      warehouse,
      clock: systemClock,
      logger: createLogger('ledger-test', 'silent'),
      metrics: createMetrics('ledger-test'),
    });
  const takeAll = async () => {
    const ledger = await start();
    try {
      await ledger.caughtUp;
      return ledger.status();
    } finally {
      await ledger.close();
      await ledger.ended;
    }
  };
  return { proxy, backOffice, start, takeAll };
};
