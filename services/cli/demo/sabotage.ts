import { addAmounts } from '../../../pricing/money.ts';
import type { DataOf, EnvelopeKind } from '../../../schemas/envelope.ts';
import { decodeEnvelope, encodeEnvelope } from '../../../schemas/envelope.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import type { EventLog, StoredEntry } from '../../platform/event-log.ts';
import type { OpenLogs } from '../open-logs.ts';
import type { PipelineSabotage } from './sabotage-kinds.ts';

/** Turns the entries of one subscription into what the saboteur lets through. */
type Tamper = (entries: readonly StoredEntry[]) => StoredEntry[];

/** Everybody of this tenant is in one partition, so that every reader meets the same victim first. */
const VICTIM_TENANT = 'acme';
const OTHER_TENANT = 'initech';

const rewrite = <Kind extends EnvelopeKind>(
  kind: Kind,
  entry: StoredEntry,
  change: (data: DataOf<Kind>) => DataOf<Kind> | null,
): StoredEntry | null => {
  const decoded = entry.value === null ? null : decodeEnvelope(kind, entry.value);
  if (!decoded?.ok) return null;
  const { id, source, subject, time } = decoded.value;
  if (subject !== VICTIM_TENANT) return null;
  const data = change(decoded.value.data as DataOf<Kind>);
  if (data === null) return null;
  const newId = 'event_id' in data && kind === 'usageEvent' ? data.event_id : id;
  return { ...entry, value: encodeEnvelope(kind, { id: newId, source, subject, time }, data) };
};

/** Calls `tamper` with each entry until it answers for one; then lets everything through. */
const once = (tamper: (entry: StoredEntry) => StoredEntry[] | null): Tamper => {
  let done = false;
  return (entries) =>
    entries.flatMap((entry) => {
      if (done) return [entry];
      const instead = tamper(entry);
      done = instead !== null;
      return instead ?? [entry];
    });
};

const wellReported = (event: UsageEvent): boolean =>
  event.ending === 'reported' && event.classes.cache_read !== undefined;

const moveCacheReads = (event: UsageEvent): UsageEvent | null => {
  const { cache_read: cached, input_uncached: uncached, ...rest } = event.classes;
  if (!wellReported(event) || !cached || cached === '0') return null;
  return { ...event, classes: { ...rest, input_uncached: addAmounts([uncached ?? '0', cached]) } };
};

const secondEvent = (event: UsageEvent): UsageEvent | null =>
  wellReported(event)
    ? { ...event, event_id: event.event_id.replace(/.$/, (last) => (last === '0' ? '1' : '0')) }
    : null;

/** The envelope keeps its subject, which nobody prices by. */
const otherTenant = (event: UsageEvent): UsageEvent | null =>
  wellReported(event)
    ? { ...event, dimensions: { ...event.dimensions, tenant: OTHER_TENANT } }
    : null;

const TAMPERS: Record<PipelineSabotage, () => Tamper> = {
  'drop-event': () =>
    once((entry) =>
      rewrite('usageEvent', entry, (e) => (wellReported(e) ? e : null)) ? [] : null,
    ),
  'double-event': () =>
    once((entry) => {
      const copy = rewrite('usageEvent', entry, secondEvent);
      return copy ? [entry, copy] : null;
    }),
  'wrong-class': () =>
    once((entry) => {
      const changed = rewrite('usageEvent', entry, moveCacheReads);
      return changed ? [changed] : null;
    }),
  'wrong-tenant': () =>
    once((entry) => {
      const changed = rewrite('usageEvent', entry, otherTenant);
      return changed ? [changed] : null;
    }),
};

/** A log whose readers of usage events get one of them dropped, doubled or changed. What is on disk stays as it is. */
const tamperWith = (log: EventLog, sabotage: PipelineSabotage): EventLog => ({
  name: log.name,
  append: (entries) => log.append(entries),
  read: (from, maxEntries) => log.read(from, maxEntries),
  subscribe: (options) => {
    if (options.topic !== TOPICS.usageEvents.name) return log.subscribe(options);
    const tamper = TAMPERS[sabotage]();
    return log.subscribe({
      ...options,
      onBatch: (batch) => options.onBatch({ ...batch, entries: tamper(batch.entries) }),
    });
  },
  committed: (group, topic) => log.committed(group, topic),
  ranges: (topic) => log.ranges(topic),
  compact: (topic) => log.compact(topic),
  trim: (before) => log.trim(before),
  close: () => log.close(),
});

/**
 * Puts a saboteur between the logs and everything in the back office that reads usage events, so that the demo can show that its
 * proof fails when one event or one class is wrong. The product itself has no such switch.
 */
export const sabotageLogs =
  (sabotage: PipelineSabotage) =>
  (logs: OpenLogs): OpenLogs => ({
    ...logs,
    usageEvents: logs.usageEvents.map((log) => tamperWith(log, sabotage)),
    close: () => logs.close(),
  });
