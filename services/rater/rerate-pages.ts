import type { Instant, Period } from '../../schemas/instant.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { toInstant } from '../platform/clock.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString, sqlStrings } from '../platform/warehouse.ts';
import type { StandingEntry } from './core/supersede.ts';
import { readEntries } from './standing-entries.ts';

/** Which events: everything where nothing is named. Names are validated by whoever takes them in. */
export interface RerateSlice {
  /** Accounting month. */
  period?: Period | undefined;
  /** First instant. What decides is what decides price and period: completion at the provider, else the opening of the attempt. */
  from?: Instant | undefined;
  /** First instant that is not in it. */
  to?: Instant | undefined;
  provider?: string | undefined;
  /** The model that answered or that was asked for. */
  model?: string | undefined;
  tenant?: string | undefined;
}

/** Some events of the archive with what the ledger holds of each. */
export interface EventPage {
  events: { event: UsageEvent; entries: StandingEntry[] }[];
  /** Events that a later fact has taken the place of, left out. */
  superseded: number;
  /** Events of the slice that were looked at. */
  read: number;
}

/** Events of one tenant in one hour: where they lie together on disk. */
interface Bucket {
  tenant: string;
  /** Start of the UTC hour, epoch seconds. */
  hour: number;
  events: number;
}

/** What one page holds in memory: about 10 MB. */
export const PAGE_EVENTS = 2_000;
const PAGE_BUCKETS = 500;
const HOUR_S = 3_600;

const instant = (text: Instant): string =>
  `toDateTime64(${sqlString(text.slice(0, -1))}, 3, 'UTC')`;
const instantAt = (seconds: number): string => instant(toInstant(seconds * 1_000));

/** What of the archive a slice is, as validated SQL. */
export const sliceCondition = (slice: RerateSlice): string => {
  const at = 'coalesce(provider_completed_at, event_ts)';
  const conditions = ['1'];
  if (slice.period !== undefined)
    conditions.push(`toYYYYMM(${at}) = ${slice.period.replace('-', '')}`);
  if (slice.from !== undefined) conditions.push(`${at} >= ${instant(slice.from)}`);
  // Work is never completed before it was begun.
  if (slice.to !== undefined)
    conditions.push(`${at} < ${instant(slice.to)}`, `event_ts < ${instant(slice.to)}`);
  if (slice.provider !== undefined) conditions.push(`provider = ${sqlString(slice.provider)}`);
  if (slice.tenant !== undefined) conditions.push(`tenant = ${sqlString(slice.tenant)}`);
  if (slice.model !== undefined) {
    const model = sqlString(slice.model);
    conditions.push(`(model = ${model} OR requested_model = ${model})`);
  }
  return conditions.join(' AND ');
};

const listBuckets = async (warehouse: Warehouse, slice: RerateSlice): Promise<Bucket[]> => {
  const rows = await warehouse.query<{ tenant: string; hour: number | string; n: string }>(
    `SELECT tenant, toUnixTimestamp(toStartOfHour(event_ts)) AS hour, uniqExact(event_id) AS n FROM usage_archive
     WHERE ${sliceCondition(slice)} GROUP BY tenant, hour ORDER BY hour, tenant`,
  );
  return rows.map(({ tenant, hour, n }) => ({ tenant, hour: Number(hour), events: Number(n) }));
};

/** Neighbours together until a page is full. */
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
  const hours = group.map(({ hour }) => hour);
  const first = hours[0] ?? 0;
  const last = hours.at(-1) ?? 0;
  const pairs = group.map(
    ({ tenant, hour }) => `(${sqlString(tenant)}, toStartOfHour(${instantAt(hour)}))`,
  );
  return `event_ts >= ${instantAt(first)} AND event_ts < ${instantAt(last + HOUR_S)}
    AND (tenant, toStartOfHour(event_ts)) IN (${pairs.join(', ')})`;
};

/** A later fact is of the same attempt, so it lies in the same bucket. The ledger may know of it before the archive does. */
const supersededIn = (here: string): string =>
  `(event_id IN (SELECT supersedes FROM usage_archive WHERE ${here} AND supersedes != '')
    OR event_id IN (SELECT supersedes FROM ledger_entries WHERE ${here} AND supersedes != ''))`;

interface ArchiveRow {
  event_id: string;
  superseded: boolean | number;
  json: string;
}

/** Bytes that were checked when they were taken in. */
const eventOf = (json: string): UsageEvent => (JSON.parse(json) as { data: UsageEvent }).data;

/** A place where pages are read from; reading it again gives what is there then. */
export interface PagePlace {
  read(warehouse: Warehouse): Promise<{ page: EventPage; next: PagePlace | null }>;
}

interface Paging {
  slice: RerateSlice;
  pageEvents: number;
}

const placeAfter = (group: readonly Bucket[], paging: Paging, after: string): PagePlace => ({
  read: async (warehouse) => {
    const here = bucketCondition(group);
    // What has come since the plan was made is read as well.
    const limit = group.length === 1 ? paging.pageEvents : paging.pageEvents * 2;
    const rows = await warehouse.query<ArchiveRow>(
      `SELECT event_id, ${supersededIn(here)} AS superseded, if(superseded, '', event_json) AS json
       FROM usage_archive FINAL WHERE ${here} AND ${sliceCondition(paging.slice)} AND event_id > ${sqlString(after)}
       ORDER BY event_id LIMIT ${limit}`,
    );
    const kept = rows.filter(({ superseded }) => Number(superseded) === 0);
    const entries =
      kept.length === 0
        ? new Map<string, StandingEntry[]>()
        : await readEntries(
            warehouse,
            `${here} AND event_id IN ${sqlStrings(kept.map((row) => row.event_id))}`,
          );
    const last = rows.at(-1);
    return {
      page: {
        events: kept.map((row) => ({
          event: eventOf(row.json),
          entries: entries.get(row.event_id) ?? [],
        })),
        superseded: rows.length - kept.length,
        read: rows.length,
      },
      next: last && rows.length >= limit ? placeAfter(group, paging, last.event_id) : null,
    };
  },
});

/** Where the pages of a slice begin, in the order of time, and how many events there are. A page holds `pageEvents`, or little more. */
export const planPages = async (
  warehouse: Warehouse,
  paging: Paging,
): Promise<{ places: PagePlace[]; events: number }> => {
  const buckets = await listBuckets(warehouse, paging.slice);
  return {
    places: groupBuckets(buckets, paging.pageEvents).map((group) => placeAfter(group, paging, '')),
    events: buckets.reduce((sum, bucket) => sum + bucket.events, 0),
  };
};
