import { createHash } from 'node:crypto';
import type { Instant } from '../../schemas/instant.ts';
import type { LogExtent } from '../../schemas/report.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { UsageSlice } from '../../schemas/usage-slice.ts';
import { toInstant } from '../platform/clock.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString } from '../platform/warehouse.ts';
import { sliceCondition } from './rerate-pages.ts';

/** One event of the archive with where it was read from. */
export interface ArchivedEvent {
  /** Null where a later fact within the extents has taken its place. */
  event: UsageEvent | null;
  log: string;
  partition: number;
  /** First 128 bits of SHA-256 over its bytes. */
  content: bigint;
}

interface Bucket {
  tenant: string;
  /** Start of the UTC hour, epoch seconds. */
  hour: number;
  events: number;
}

const PAGE_BUCKETS = 500;
const HOUR_S = 3_600;

const instantAt = (seconds: number): string =>
  `toDateTime64(${sqlString(toInstant(seconds * 1_000).slice(0, -1))}, 3, 'UTC')`;

/** Where a row lies is looked up in a list, so that the condition does not grow with the partitions. */
const withinExtents = (extents: readonly LogExtent[]): string => {
  if (extents.length === 0) return '0';
  const places = extents.map(({ log, partition }) => sqlString(`${log}/${partition}`));
  const ends = extents.map(({ up_to }) => `toUInt64(${up_to})`);
  return `source_offset < transform(concat(toString(source_log), '/', toString(source_partition)),
    [${places.join(', ')}], [${ends.join(', ')}], toUInt64(0))`;
};

/** What of each log the archive holds: the offset after the last one. */
export const archivedExtents = async (warehouse: Warehouse): Promise<LogExtent[]> => {
  const rows = await warehouse.query<{ log: string; part: number | string; next: string }>(
    'SELECT source_log AS log, source_partition AS part, max(source_offset) + 1 AS next FROM usage_archive GROUP BY log, part',
  );
  return rows.map(({ log, part, next }) => ({
    log,
    partition: Number(part),
    up_to: Number(next),
  }));
};

/** Of each log, the first offset that came into the archive after the instant; logs all of which was there by then are missing. */
export const arrivedAfter = async (warehouse: Warehouse, at: Instant): Promise<LogExtent[]> => {
  const rows = await warehouse.query<{ log: string; part: number | string; first: string }>(
    `SELECT source_log AS log, source_partition AS part, min(source_offset) AS first FROM usage_archive
     WHERE ingested_at > toDateTime64(${sqlString(at.slice(0, -1))}, 3, 'UTC') GROUP BY log, part`,
  );
  return rows.map(({ log, part, first }) => ({
    log,
    partition: Number(part),
    up_to: Number(first),
  }));
};

/** A slice of the archive, no further than the extents. */
export interface ArchiveSlice {
  slice: UsageSlice;
  extents: readonly LogExtent[];
}

const selected = ({ slice, extents }: ArchiveSlice): string =>
  `${sliceCondition(slice)} AND ${withinExtents(extents)}`;

/** The providers whose usage is in it, sorted. */
export const providersIn = async (warehouse: Warehouse, from: ArchiveSlice): Promise<string[]> => {
  const rows = await warehouse.query<{ provider: string }>(
    `SELECT DISTINCT provider FROM usage_archive WHERE ${selected(from)}`,
  );
  return rows.map(({ provider }) => provider).sort();
};

/** What the ledger holds of its events: charges less reversals, and how many it has nothing of. */
export const ledgerOf = async (
  warehouse: Warehouse,
  from: ArchiveSlice,
): Promise<{ usd: string; missing: number }> => {
  const ids = `SELECT event_id FROM usage_archive WHERE ${selected(from)}`;
  const [row] = await warehouse.query<{ usd: string; events: string; entered: string }>(
    `SELECT toString(sum(ifNull(total_usd, 0))) AS usd, uniqExact(event_id) AS entered,
       (SELECT uniqExact(event_id) FROM usage_archive WHERE ${selected(from)}) AS events
     FROM ledger_entries FINAL WHERE event_id IN (${ids})`,
  );
  return { usd: row?.usd ?? '0', missing: Number(row?.events ?? 0) - Number(row?.entered ?? 0) };
};

/** In the order of the table, so that a page is read from one place. */
const listBuckets = async (warehouse: Warehouse, from: ArchiveSlice): Promise<Bucket[]> => {
  const rows = await warehouse.query<{ tenant: string; hour: number | string; n: string }>(
    `SELECT tenant, toUnixTimestamp(toStartOfHour(event_ts)) AS hour, count() AS n FROM usage_archive
     WHERE ${selected(from)} GROUP BY tenant, hour ORDER BY tenant, hour`,
  );
  return rows.map(({ tenant, hour, n }) => ({ tenant, hour: Number(hour), events: Number(n) }));
};

const groupBuckets = (buckets: readonly Bucket[], pageEvents: number): Bucket[][] => {
  const groups: Bucket[][] = [];
  let events = 0;
  for (const bucket of buckets) {
    const group = groups.at(-1);
    if (group && group.length < PAGE_BUCKETS && events + bucket.events <= pageEvents) {
      group.push(bucket);
      events += bucket.events;
    } else {
      groups.push([bucket]);
      events = bucket.events;
    }
  }
  return groups;
};

const bucketCondition = (group: readonly Bucket[]): string => {
  const hours = group.map(({ hour }) => hour).sort((left, right) => left - right);
  const pairs = group.map(
    ({ tenant, hour }) => `(${sqlString(tenant)}, toStartOfHour(${instantAt(hour)}))`,
  );
  const [first, last] = [group[0]?.tenant ?? '', group.at(-1)?.tenant ?? ''];
  return `tenant >= ${sqlString(first)} AND tenant <= ${sqlString(last)}
    AND event_ts >= ${instantAt(hours[0] ?? 0)} AND event_ts < ${instantAt((hours.at(-1) ?? 0) + HOUR_S)}
    AND (tenant, toStartOfHour(event_ts)) IN (${pairs.join(', ')})`;
};

interface Row {
  event_id: string;
  content_hash: string;
  source_log: string;
  source_partition: number | string;
  superseded: boolean | number;
  event_json: string;
}

/** @throws ReckonerError WAREHOUSE_FAILED where the bytes are not those that were archived. */
const archivedEvent = (row: Row): ArchivedEvent => {
  const hash = createHash('sha256').update(row.event_json).digest('hex').slice(0, 32);
  if (hash !== row.content_hash) {
    throw new ReckonerError(
      'WAREHOUSE_FAILED',
      `The bytes of event ${row.event_id} in the archive are not those that were archived: their hash is ${hash}, expected ${row.content_hash}. Nothing is reported of altered events; restore the archive.`,
    );
  }
  return {
    event: row.superseded ? null : (JSON.parse(row.event_json) as { data: UsageEvent }).data,
    log: row.source_log,
    partition: Number(row.source_partition),
    content: BigInt(`0x${hash}`),
  };
};

/** A later fact is of the same attempt, so it lies in the same bucket; it need not be in the slice. */
const pageStatement = (
  from: ArchiveSlice,
  group: readonly Bucket[],
  { after, limit }: { after: string; limit: number | null },
): string => {
  const here = bucketCondition(group);
  const within = withinExtents(from.extents);
  return `SELECT event_id, content_hash, source_log, source_partition,
      event_id IN (SELECT supersedes FROM usage_archive WHERE ${here} AND ${within} AND supersedes != '') AS superseded,
      event_json
    FROM usage_archive WHERE ${here} AND ${selected(from)} AND event_id > ${sqlString(after)}
    ORDER BY event_id, ingest_sequence LIMIT 1 BY event_id${limit === null ? '' : ` LIMIT ${limit}`}`;
};

const readGroup = async function* (
  warehouse: Warehouse,
  from: ArchiveSlice,
  group: readonly Bucket[],
  pageEvents: number,
): AsyncGenerator<ArchivedEvent[], void, undefined> {
  // Several buckets fit a page by their counts, which the extents keep from growing; one alone may be larger.
  const limit = group.length === 1 ? pageEvents : null;
  for (let after = ''; ; ) {
    const rows = await warehouse.query<Row>(pageStatement(from, group, { after, limit }));
    yield rows.map(archivedEvent);
    const last = rows.at(-1);
    if (last === undefined || limit === null || rows.length < limit) return;
    after = last.event_id;
  }
};

/** Every event of the slice once, some `pageEvents` at a time, and how many there are. */
export const readArchive = async (
  warehouse: Warehouse,
  from: ArchiveSlice,
  pageEvents: number,
): Promise<{ events: number; pages: AsyncGenerator<ArchivedEvent[], void, undefined> }> => {
  const buckets = await listBuckets(warehouse, from);
  const pages = async function* (): AsyncGenerator<ArchivedEvent[], void, undefined> {
    for (const group of groupBuckets(buckets, pageEvents)) {
      yield* readGroup(warehouse, from, group, pageEvents);
    }
  };
  return { events: buckets.reduce((sum, { events }) => sum + events, 0), pages: pages() };
};
