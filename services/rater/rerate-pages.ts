import type { Instant } from '../../schemas/instant.ts';
import type { UsageSlice } from '../../schemas/usage-slice.ts';
import { toInstant } from '../platform/clock.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString } from '../platform/warehouse.ts';

/** Where a page lies, as conditions on archive and ledger alike: a run of the order in which both keep their rows. */
export interface PagePlace {
  /** Whole hours of tenants: what belongs together, a fact and the one that replaces it, lies in one of them. */
  hours: string;
  /** Of those, only the page's own events. */
  events: string;
}

/** Events of one tenant in one hour. */
interface Bucket {
  tenant: string;
  /** Start of the UTC hour, epoch seconds. */
  hour: number;
  events: number;
}

/** Some 10 MB in memory. */
export const PAGE_EVENTS = 20_000;
const HOUR_S = 3_600;

const instant = (text: Instant): string =>
  `toDateTime64(${sqlString(text.slice(0, -1))}, 3, 'UTC')`;
const instantAt = (seconds: number): string => instant(toInstant(seconds * 1_000));
const monthOf = ({ hour }: Bucket): string => toInstant(hour * 1_000).slice(0, 7);

/** What of the archive a slice is, as validated SQL. */
export const sliceCondition = (slice: UsageSlice): string => {
  const at = 'coalesce(provider_completed_at, event_ts)';
  const conditions = ['1'];
  if (slice.period !== undefined)
    conditions.push(`toYYYYMM(${at}) = ${slice.period.replace('-', '')}`);
  if (slice.from !== undefined) conditions.push(`${at} >= ${instant(slice.from)}`);
  // Nothing follows for `event_ts`: a provider whose clock is behind ours completes work before it was begun.
  if (slice.to !== undefined) conditions.push(`${at} < ${instant(slice.to)}`);
  if (slice.provider !== undefined) conditions.push(`provider = ${sqlString(slice.provider)}`);
  if (slice.tenant !== undefined) conditions.push(`tenant = ${sqlString(slice.tenant)}`);
  if (slice.model !== undefined) {
    const model = sqlString(slice.model);
    conditions.push(`(model = ${model} OR requested_model = ${model})`);
  }
  return conditions.join(' AND ');
};

const listBuckets = async (warehouse: Warehouse, slice: UsageSlice): Promise<Bucket[]> => {
  const rows = await warehouse.query<{ tenant: string; hour: number | string; n: string }>(
    `SELECT tenant, toUnixTimestamp(toStartOfHour(event_ts)) AS hour, count() AS n FROM usage_archive
     WHERE ${sliceCondition(slice)} GROUP BY tenant, hour
     ORDER BY toYYYYMM(toDateTime(hour, 'UTC')), tenant, hour`,
  );
  return rows.map(({ tenant, hour, n }) => ({ tenant, hour: Number(hour), events: Number(n) }));
};

/** Neighbours of one month together until a page is full. */
const groupBuckets = (buckets: readonly Bucket[], pageEvents: number): Bucket[][] => {
  const groups: Bucket[][] = [];
  let events = 0;
  for (const bucket of buckets) {
    const group = groups.at(-1);
    const last = group?.at(-1);
    if (
      group &&
      last &&
      monthOf(last) === monthOf(bucket) &&
      events + bucket.events <= pageEvents
    ) {
      group.push(bucket);
      events += bucket.events;
    } else {
      groups.push([bucket]);
      events = bucket.events;
    }
  }
  return groups;
};

/** From the first bucket to the last, with all that lies between them in the order month, tenant, hour. */
const hoursCondition = (first: Bucket, last: Bucket): string => {
  const begin = instantAt(first.hour);
  const end = instantAt(last.hour + HOUR_S);
  const from = sqlString(first.tenant);
  const to = sqlString(last.tenant);
  if (first.tenant === last.tenant) {
    return `tenant = ${from} AND event_ts >= ${begin} AND event_ts < ${end}`;
  }
  const month = monthOf(first).replace('-', '');
  return `toYYYYMM(event_ts) = ${month} AND tenant >= ${from} AND tenant <= ${to}
    AND (tenant != ${from} OR event_ts >= ${begin}) AND (tenant != ${to} OR event_ts < ${end})`;
};

/** An hour of a tenant that is more than a page, cut by its ids in order. */
const cutBucket = async (
  warehouse: Warehouse,
  bucket: Bucket,
  paging: Paging,
): Promise<PagePlace[]> => {
  const hours = hoursCondition(bucket, bucket);
  const rows = await warehouse.query<{ event_id: string }>(
    `SELECT event_id FROM (SELECT event_id, row_number() OVER (ORDER BY event_id) AS n FROM usage_archive
       WHERE ${hours} AND ${sliceCondition(paging.slice)})
     WHERE n % ${paging.pageEvents} = 0 ORDER BY event_id`,
  );
  const ends = rows.map(({ event_id }) => sqlString(event_id));
  return [...ends, undefined].map((end, index) => {
    const after = ends[index - 1];
    const bounds = [
      ...(after === undefined ? [] : [`event_id > ${after}`]),
      ...(end === undefined ? [] : [`event_id <= ${end}`]),
    ];
    return { hours, events: bounds.length === 0 ? '1' : bounds.join(' AND ') };
  });
};

interface Paging {
  slice: UsageSlice;
  pageEvents: number;
}

/**
 * Cuts a slice into pages of at most `pageEvents`, in the order in which the tables keep their rows, and says how many events there
 * are. What comes into a page after that is read with it.
 */
export const planPages = async (
  warehouse: Warehouse,
  paging: Paging,
): Promise<{ places: PagePlace[]; events: number }> => {
  const buckets = await listBuckets(warehouse, paging.slice);
  const places: PagePlace[] = [];
  for (const group of groupBuckets(buckets, paging.pageEvents)) {
    const [first, last] = [group[0], group.at(-1)];
    if (!first || !last) continue;
    if (first.events > paging.pageEvents)
      places.push(...(await cutBucket(warehouse, first, paging)));
    else places.push({ hours: hoursCondition(first, last), events: '1' });
  }
  return { places, events: buckets.reduce((sum, bucket) => sum + bucket.events, 0) };
};
