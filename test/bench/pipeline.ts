import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { startLedger } from '../../services/ledger/main.ts';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import { systemClock } from '../../services/platform/clock.ts';
import type { EventLog, LogEntry } from '../../services/platform/event-log.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { migrate } from '../../services/platform/migrate.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent } from '../integration/ledger-facts.ts';
import type { Bench, BenchRow } from './bench-row.ts';

const PER_SECOND_MIN = 30_000;
const RSS_GROWTH_MIB_MAX = 1_024;
const FACTS = 60_000;
const TENANTS = 24;
const HOURS = 6;
const CHUNK = 2_000;
const START_MS = Date.parse('2026-11-03T00:00:00.000Z');

/** A backlog of some hours of many tenants, in the order of its time: two charges an entry, dimensions, tags. */
const factAt = (index: number): UsageEvent => ({
  ...usageEvent({
    tenant: `tenant-${(index * 7) % TENANTS}`,
    number: index + 1,
    space: 1,
    feature: `feature-${index % 9}`,
    eventTs: new Date(START_MS + Math.floor((index / FACTS) * HOURS * 3_600_000)).toISOString(),
  }),
  provider_request_id: `req_${index.toString(16).padStart(24, '0')}`,
});

const fill = async (log: EventLog, entryOf: (event: UsageEvent) => LogEntry): Promise<void> => {
  for (let from = 0; from < FACTS; from += CHUNK) {
    const entries = Array.from({ length: CHUNK }, (_, index) => entryOf(factAt(from + index)));
    await log.append(entries).stored;
  }
};

interface Measured {
  perSecond: number;
  /** Processor time of every thread of this process, the engine's merges and the rollups so far with it. */
  cpuUs: number;
  grewMib: number;
}

interface Logs {
  usage: EventLog;
  rated: EventLog;
  office: EventLog;
  directory: string;
}

const drain = async (logs: Logs): Promise<Measured> => {
  const warehouse = await openWarehouse({ kind: 'chdb', directory: join(logs.directory, 'house') });
  await migrate(warehouse);
  const before = process.memoryUsage.rss();
  let peak = before;
  const cpu = process.cpuUsage();
  const started = performance.now();
  const ledger = await startLedger({
    usageEvents: [logs.usage],
    rated: logs.rated,
    backOffice: logs.office,
    warehouse,
    clock: systemClock,
    logger: createLogger('bench', 'silent'),
    metrics: createMetrics('bench'),
  });
  while (ledger.lag() !== 0) {
    peak = Math.max(peak, process.memoryUsage.rss());
    await Promise.race([wait(20), ledger.ended]);
  }
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const { archived, entries } = ledger.status();
  await ledger.close();
  await warehouse.close();
  if (archived + entries !== FACTS)
    throw new Error(`${archived + entries} of ${FACTS} were taken.`);
  return {
    perSecond: Math.round(FACTS / seconds),
    cpuUs: Math.round((user + system) / FACTS),
    grewMib: Math.round((peak - before) / 1024 ** 2),
  };
};

const openLogs = async (): Promise<Logs> => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-bench-'));
  const open = (name: string) => openLmdbEventLog({ directory: join(directory, name), name });
  return {
    directory,
    usage: await open('usage'),
    rated: await open('rated'),
    office: await open('office'),
  };
};

const measure = async (prepare: (logs: Logs) => Promise<void>): Promise<Measured> => {
  const logs = await openLogs();
  try {
    await prepare(logs);
    return await drain(logs);
  } finally {
    for (const log of [logs.usage, logs.rated, logs.office]) await log.close();
    rmSync(logs.directory, { recursive: true, force: true });
  }
};

const rows = (what: string, { perSecond, cpuUs, grewMib }: Measured, unit: string): BenchRow[] => [
  {
    case: what,
    metric: 'throughput by the clock',
    value: perSecond,
    unit: `${unit}/s`,
    aim: `>= ${PER_SECOND_MIN}`,
    holds: perSecond >= PER_SECOND_MIN,
  },
  { case: what, metric: 'processor time', value: cpuUs, unit: `us/${unit}` },
  {
    case: what,
    metric: 'peak growth of memory',
    value: grewMib,
    unit: 'MiB',
    aim: `<= ${RSS_GROWTH_MIB_MAX}`,
    holds: grewMib <= RSS_GROWTH_MIB_MAX,
  },
];

/** A backlog on disk into the embedded warehouse, flushed: rated usage into the ledger with its rollups, usage events into the archive. */
export const pipeline: Bench = async () => {
  const entries = await measure((logs) => fill(logs.rated, (one) => ratedEntry(ratedUsage(one))));
  const events = await measure((logs) => fill(logs.usage, usageEntry));
  return [
    ...rows('ledger ingest of a backlog, rollups on', entries, 'entries'),
    ...rows('archive ingest of a backlog', events, 'events'),
  ];
};
