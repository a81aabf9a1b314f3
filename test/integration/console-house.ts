import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { RecordsConfigSchema } from '../../schemas/house-config.ts';
import { applyRecords } from '../../services/console/apply-records.ts';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import type { Clock } from '../../services/platform/clock.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { followControlState } from '../../services/platform/control-state.ts';
import { newId } from '../../services/platform/id-source.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { migrate } from '../../services/platform/migrate.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';

export interface Line {
  tenant: string;
  /** Instant of the call. */
  at: string;
  amount: string;
  feature?: string;
  model?: string;
  byoKey?: boolean;
}

let ingested = 0;

/** Writes one ledger entry with one charge per line, as the ledger room would. */
export const writeLedger = async (warehouse: Warehouse, lines: readonly Line[]): Promise<void> => {
  for (const line of lines) {
    ingested += 1;
    const eventId = newId();
    await warehouse.insert({
      table: 'ledger_entries',
      columns: [
        'entry_id',
        'event_id',
        'revision',
        'kind',
        'outcome',
        'event_ts',
        'period',
        'posting_period',
        'tenant',
        'feature',
        'provider',
        'model',
        'byo_key',
        'charge_meters',
        'charge_models',
        'charge_quantities',
        'charge_unit_prices',
        'charge_amounts',
        'charge_price_ids',
        'total_usd',
        'ingest_sequence',
      ],
      rows: [
        [
          `${eventId}/1/charge`,
          eventId,
          1,
          'charge',
          'rated',
          line.at,
          line.at.slice(0, 7),
          line.at.slice(0, 7),
          line.tenant,
          line.feature ?? '',
          'openai',
          line.model ?? 'gpt-4o-mini',
          line.byoKey ?? false,
          ['output_text'],
          [line.model ?? 'gpt-4o-mini'],
          ['1'],
          ['0'],
          [line.amount],
          ['p'],
          line.amount,
          String(ingested),
        ],
      ],
      token: eventId,
    });
  }
};

/** Writes the hourly rollup of such lines, as the ledger room would: one row per tenant and hour. */
export const writeRollup = async (warehouse: Warehouse, lines: readonly Line[]): Promise<void> => {
  const buckets = Map.groupBy(lines, (line) => `${line.tenant} ${line.at.slice(0, 13)}:00:00.000Z`);
  for (const [key, bucket] of buckets) {
    const [tenant, hour] = key.split(' ');
    const all = <T>(of: (line: Line) => T): T[] => bucket.map(of);
    await warehouse.insert({
      table: 'rollup_hourly',
      columns: [
        'tenant',
        'hour',
        'generation',
        'amount_usd',
        'group_periods',
        'group_features',
        'group_upstreams',
        'group_providers',
        'group_models',
        'group_tiers',
        'group_meters',
        'group_byo_keys',
        'group_quantities',
        'group_amounts',
        'group_lines',
      ],
      rows: [
        [
          tenant,
          hour,
          '1',
          '0',
          all((l) => l.at.slice(0, 7)),
          all((l) => l.feature ?? ''),
          all(() => 'openai'),
          all(() => 'openai'),
          all((l) => l.model ?? 'gpt-4o-mini'),
          all(() => ''),
          all(() => 'output_text'),
          all(() => false),
          all(() => '1'),
          all((l) => l.amount),
          all(() => '1'),
        ],
      ],
      token: key,
    });
  }
};

/** A warehouse with its schema in a directory of its own; `drop` closes it and takes the directory away. */
export const openTestWarehouse = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'reckoner-console-'));
  const warehouse = await openWarehouse({ kind: 'chdb', directory });
  await migrate(warehouse);
  const drop = async (): Promise<void> => {
    await warehouse.close();
    await rm(directory, { recursive: true, force: true });
  };
  return { warehouse, drop };
};

/** Control records in a log in memory, gone when the test is. */
export const openControl = async (records: unknown, clock: Clock = systemClock) => {
  const log = createMemoryEventLog('house');
  const control = followControlState([log], log, clock);
  onTestFinished(async () => {
    await control.close();
    await log.close();
  });
  const pepper = 'pepper-for-tests';
  const resolveSecret = () => `rk_${'A'.repeat(12)}_${'b'.repeat(32)}`;
  const apply = (more: unknown) =>
    applyRecords({
      records: RecordsConfigSchema.parse(more),
      control,
      backOffice: log,
      pepper,
      resolveSecret,
      clock,
    });
  await apply(records);
  const logger = createLogger('test', 'silent');
  return { log, control, logger, metrics: createMetrics('test'), pepper, resolveSecret, apply };
};
