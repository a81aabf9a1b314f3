import { TOPICS } from '../../schemas/topics.ts';
import type { EventLog } from '../platform/event-log.ts';

const PAGE_ENTRIES = 1_000;
/** Entries looked at in each partition, whatever the number of logs. */
const TAIL_MAX = 4_000;

/** Ratings that an earlier run appended, by entry id: the bytes as they were written. */
export type StoredRatings = ReadonlyMap<string, Uint8Array>;

const NONE: StoredRatings = new Map();

const hasUncommitted = async (log: EventLog, group: string): Promise<boolean> => {
  const topic = TOPICS.usageEvents.name;
  const ranges = await log.ranges(topic);
  const committed = await log.committed(group, topic);
  // A log that cannot be looked at yet may hold anything.
  if (ranges.length === 0) return true;
  return ranges.some(({ partition, end, start }) => (committed.get(partition) ?? start) < end);
};

const idOf = (value: Uint8Array): string | undefined => {
  try {
    const { id } = JSON.parse(Buffer.from(value).toString()) as { id?: unknown };
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
};

/**
 * What the last run may have appended without committing it: the newest ratings of each partition, some thousand. Those events come
 * again, and the books may be others by now; they keep the rating that the ledger has got already. Nothing is read where every
 * event is committed.
 */
export const readStoredRatings = async (
  backOffice: EventLog,
  usageEvents: readonly EventLog[],
  options: { group: string; batchEntries: number },
): Promise<StoredRatings> => {
  const open = await Promise.all(usageEvents.map((log) => hasUncommitted(log, options.group)));
  if (!open.some(Boolean)) return NONE;
  const topic = TOPICS.usageRated.name;
  // One batch of each log can be under way, and all of it may be of one tenant.
  const tail = Math.min(options.batchEntries * (usageEvents.length + 1), TAIL_MAX);
  const stored = new Map<string, Uint8Array>();
  for (const { partition, start, end } of await backOffice.ranges(topic)) {
    let offset = Math.max(start, end - tail);
    while (offset < end) {
      const page = await backOffice.read({ topic, partition, offset }, PAGE_ENTRIES);
      for (const { value } of page) {
        const id = value === null ? undefined : idOf(value);
        if (value !== null && id !== undefined) stored.set(id, value);
      }
      const last = page.at(-1);
      if (last === undefined) break;
      offset = last.offset + 1;
    }
  }
  return stored;
};
