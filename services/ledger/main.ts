import { setTimeout as wait } from 'node:timers/promises';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import type { Consumed, Consumption } from '../platform/consume-batches.ts';
import { consumeBatches, deadLetterCounter } from '../platform/consume-batches.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { RunningService } from '../platform/running-service.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { keepHistory } from './control-history.ts';
import { checkEntry, isStorableInstant } from './core/check-entry.ts';
import { contentOfEntry } from './core/entry-content.ts';
import type { Fact, Place } from './core/fact.ts';
import { bucketsOf } from './core/fact.ts';
import { ENTRY_COLUMNS, entryRow, USAGE_COLUMNS, usageRow } from './core/rows.ts';
import { inSlices, textOf } from './in-slices.ts';
import type { Ingester, IngestResult } from './ingest.ts';
import { contentHash, createIngester } from './ingest.ts';
import type { RollupStatus, Rollups } from './rollups.ts';
import { openRollups } from './rollups.ts';

export interface LedgerDeps {
  /** Logs that hold `usage.events.v1`: one per proxy in embedded mode. */
  usageEvents: readonly EventLog[];
  /** The log that holds `usage.rated.v1`. */
  rated: EventLog;
  /** The log that holds control records and signals and takes dead letters. */
  backOffice: EventLog;
  /** Migrated. */
  warehouse: Warehouse;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}

/** Counts since this start; totals are in the warehouse (`readControlTotals`). */
export interface LedgerStatus {
  archived: number;
  entries: number;
  duplicates: number;
  conflicts: number;
  invalid: number;
  /** Records written but not yet taken, or null while it cannot be known. */
  lag: { archive: number | null; ledger: number | null; controlHistory: number | null };
  rollups: RollupStatus;
}

export interface RunningLedger extends RunningService {
  /** Resolves once all that was in the logs at the start is in the tables and in the rollups. */
  readonly caughtUp: Promise<void>;
  /** Usage events and rated events written but not yet taken, or null while it cannot be known. */
  lag(): number | null;
  /** Resolves when every entry taken so far is in the rollups. */
  flushRollups(): Promise<void>;
  status(): LedgerStatus;
}

/** Where a backlog is, a block of this many costs the engine a third less than one of 2,000: fewer parts to merge. A batch has 8 MiB at most. */
const MAX_ENTRIES = 5_000;
/** After a small batch, time for the next to grow: at most 25 inserts a second and table, so that merges keep up. */
const SMALL_BATCH = 500;
const LINGER_MS = 40;

const placeOf = (record: {
  log: string;
  entry: { topic: string; partition: number; offset: number };
}): Place => ({
  log: record.log,
  topic: record.entry.topic,
  partition: record.entry.partition,
  offset: record.entry.offset,
});

const usageFact = (record: Consumed<'usageEvent'>): Fact => {
  const { data } = record.envelope;
  const place = placeOf(record);
  const json = textOf(record.bytes);
  const hash = contentHash(record.bytes);
  const instants = [data.event_ts, data.closed_at, data.provider_completed_at ?? data.closed_at];
  return {
    id: data.event_id,
    hash,
    tenant: data.dimensions.tenant,
    eventTs: data.event_ts,
    ...{ place, json, bytes: record.bytes.length },
    row: usageRow(data, { json, hash, place }),
    problem: instants.every(isStorableInstant)
      ? null
      : 'an instant of the event is not between 1970 and 2261',
  };
};

const entryFact = (record: Consumed<'ratedUsage'>): Fact => {
  const { data } = record.envelope;
  const hash = contentHash(contentOfEntry(record.bytes, data));
  return {
    id: data.entry_id,
    hash,
    tenant: data.dimensions.tenant,
    eventTs: data.event_ts,
    place: placeOf(record),
    ...{ json: textOf(record.bytes), bytes: record.bytes.length },
    row: entryRow(data, hash),
    problem: checkEntry(data),
  };
};

interface Counters {
  archived: number;
  entries: number;
  duplicates: number;
  conflicts: number;
  invalid: number;
}

const createRecorder = (deps: LedgerDeps, counts: Counters) => {
  const facts = deps.metrics.counter(
    'ledger_facts_total',
    'Facts by stream and what became of them: accepted, duplicate, conflict, invalid',
    ['stream', 'outcome'],
  );
  return (stream: 'usage' | 'rated', result: IngestResult): void => {
    counts[stream === 'usage' ? 'archived' : 'entries'] += result.accepted.length;
    counts.duplicates += result.duplicates;
    counts.conflicts += result.conflicts;
    counts.invalid += result.invalid;
    facts.inc({ stream, outcome: 'accepted' }, result.accepted.length);
    facts.inc({ stream, outcome: 'duplicate' }, result.duplicates);
    facts.inc({ stream, outcome: 'conflict' }, result.conflicts);
    facts.inc({ stream, outcome: 'invalid' }, result.invalid);
    if (result.conflicts + result.invalid > 0) {
      deps.logger.error(
        { stream, conflicts: result.conflicts, invalid: result.invalid },
        'facts were quarantined; see table quarantine',
      );
    }
  };
};

/** The group that takes usage events into the archive. What it has committed need not be kept in a log. */
export const ARCHIVE_GROUP = 'archive';

/** The group that takes rated usage into the ledger. */
export const LEDGER_GROUP = 'ledger';

const consumeFacts = <Kind extends 'usageEvent' | 'ratedUsage'>(
  deps: LedgerDeps,
  source: {
    logs: readonly EventLog[];
    topic: 'usage.events.v1' | 'usage.rated.v1';
    kind: Kind;
    group: string;
  },
  take: (records: readonly Consumed<Kind>[]) => Promise<void>,
): Consumption =>
  consumeBatches({
    ...source,
    maxEntries: MAX_ENTRIES,
    deadLetters: deps.backOffice,
    onDeadLetters: deadLetterCounter(deps.metrics),
    clock: deps.clock,
    onRecords: async (records) => {
      await take(records);
      if (records.length < SMALL_BATCH) await wait(LINGER_MS);
    },
  });

interface Pieces {
  archive: Ingester;
  ledger: Ingester;
  rollups: Rollups;
}

const startConsumers = (deps: LedgerDeps, pieces: Pieces, counts: Counters) => {
  const record = createRecorder(deps, counts);
  const archive = consumeFacts(
    deps,
    {
      logs: deps.usageEvents,
      topic: TOPICS.usageEvents.name,
      kind: 'usageEvent',
      group: ARCHIVE_GROUP,
    },
    async (records) =>
      record('usage', await pieces.archive.ingest(await inSlices(records, usageFact))),
  );
  const ledger = consumeFacts(
    deps,
    { logs: [deps.rated], topic: TOPICS.usageRated.name, kind: 'ratedUsage', group: LEDGER_GROUP },
    async (records) => {
      const result = await pieces.ledger.ingest(await inSlices(records, entryFact));
      record('rated', result);
      pieces.rollups.touch(bucketsOf(result.accepted), pieces.ledger.sequence());
    },
  );
  const shared = {
    logs: [deps.backOffice],
    group: 'control-history',
    deadLetters: deps.backOffice,
    onDeadLetters: deadLetterCounter(deps.metrics),
    clock: deps.clock,
  };
  const history = [
    consumeBatches({
      ...shared,
      topic: TOPICS.controlRecords.name,
      kind: 'controlRecord',
      onRecords: (records) => keepHistory(deps, records),
    }),
    consumeBatches({
      ...shared,
      topic: TOPICS.budgetSignals.name,
      kind: 'budgetSignal',
      onRecords: (records) => keepHistory(deps, records),
    }),
  ];
  return { archive, ledger, history };
};

const sum = (values: readonly (number | null)[]): number | null =>
  values.includes(null) ? null : values.reduce<number>((total, value) => total + (value ?? 0), 0);

/**
 * Takes usage events into the archive, rated usage into the ledger and keeps the rollups equal to it; keeps the history of control
 * records and signals. A batch is committed only after all of its inserts are on disk. The warehouse has one ledger at a time.
 */
export const startLedger = async (deps: LedgerDeps): Promise<RunningLedger> => {
  const ingest = {
    warehouse: deps.warehouse,
    deadLetters: deps.backOffice,
    onDeadLetters: deadLetterCounter(deps.metrics),
    clock: deps.clock,
  };
  const archive = await createIngester(ingest, {
    stream: 'usage',
    table: 'usage_archive',
    idColumn: 'event_id',
    columns: USAGE_COLUMNS,
  });
  const ledger = await createIngester(ingest, {
    stream: 'rated',
    table: 'ledger_entries',
    idColumn: 'entry_id',
    columns: ENTRY_COLUMNS,
  });
  const rollups = await openRollups(deps, ledger.sequence());
  const counts = { archived: 0, entries: 0, duplicates: 0, conflicts: 0, invalid: 0 };
  const consumers = startConsumers(deps, { archive, ledger, rollups }, counts);
  const all = [consumers.archive, consumers.ledger, ...consumers.history];
  const lag = () => sum([consumers.archive.lag(), consumers.ledger.lag()]);
  deps.metrics.gauge('ledger_lag_records', 'Usage and rated events written but not yet taken', lag);
  deps.metrics.gauge(
    'ledger_dirty_buckets',
    'Rollup buckets older than the ledger',
    () => rollups.status().dirtyBuckets,
  );
  const caughtUp = Promise.all(all.map((one) => one.caughtUp)).then(() => rollups.flush());
  caughtUp.catch(() => undefined);
  const ended = Promise.all(all.map((one) => one.ended)).then(() => undefined);
  ended.catch(() => undefined);
  return {
    name: 'ledger',
    caughtUp,
    ended,
    lag,
    flushRollups: () => rollups.flush(),
    status: () => ({
      ...counts,
      lag: {
        archive: consumers.archive.lag(),
        ledger: consumers.ledger.lag(),
        controlHistory: sum(consumers.history.map((one) => one.lag())),
      },
      rollups: rollups.status(),
    }),
    close: async () => {
      await Promise.all(all.map((one) => one.close()));
      await rollups.close();
    },
  };
};
