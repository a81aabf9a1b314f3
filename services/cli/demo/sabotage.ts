import { addAmounts } from '../../../pricing/money.ts';
import type { DataOf, EnvelopeKind } from '../../../schemas/envelope.ts';
import { decodeEnvelope, encodeEnvelope } from '../../../schemas/envelope.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import type { EventLog, StoredEntry } from '../../platform/event-log.ts';
import type { OpenLogs } from '../open-logs.ts';
import type { Sabotage } from './sabotage-kinds.ts';

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

const oneCentMore = (rated: RatedUsage): RatedUsage | null => {
  const [first, ...others] = rated.charges;
  if (rated.ending !== 'reported' || !first || !rated.total_usd) return null;
  return {
    ...rated,
    charges: [{ ...first, amount_usd: addAmounts([first.amount_usd, '0.01']) }, ...others],
    total_usd: addAmounts([rated.total_usd, '0.01']),
  };
};

const TAMPERS: Record<Sabotage, { topic: string; create: () => Tamper }> = {
  'drop-event': {
    topic: TOPICS.usageEvents.name,
    create: () =>
      once((entry) =>
        rewrite('usageEvent', entry, (e) => (wellReported(e) ? e : null)) ? [] : null,
      ),
  },
  'double-event': {
    topic: TOPICS.usageEvents.name,
    create: () =>
      once((entry) => {
        const copy = rewrite('usageEvent', entry, secondEvent);
        return copy ? [entry, copy] : null;
      }),
  },
  'wrong-class': {
    topic: TOPICS.usageEvents.name,
    create: () =>
      once((entry) => {
        const changed = rewrite('usageEvent', entry, moveCacheReads);
        return changed ? [changed] : null;
      }),
  },
  'wrong-tenant': {
    topic: TOPICS.usageEvents.name,
    create: () =>
      once((entry) => {
        const changed = rewrite('usageEvent', entry, otherTenant);
        return changed ? [changed] : null;
      }),
  },
  'one-cent': {
    topic: TOPICS.usageRated.name,
    create: () =>
      once((entry) => {
        const changed = rewrite('ratedUsage', entry, oneCentMore);
        return changed ? [changed] : null;
      }),
  },
};

/** A log whose subscribers get one record of one topic dropped, doubled or changed. What is on disk stays as it is. */
const tamperWith = <Log extends EventLog>(log: Log, sabotage: Sabotage): Log => {
  const { topic, create } = TAMPERS[sabotage];
  return new Proxy(log, {
    get: (target, property) => {
      if (property === 'subscribe') {
        const subscribe: EventLog['subscribe'] = (options) => {
          if (options.topic !== topic) return target.subscribe(options);
          const tamper = create();
          return target.subscribe({
            ...options,
            onBatch: (batch) => options.onBatch({ ...batch, entries: tamper(batch.entries) }),
          });
        };
        return subscribe;
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
};

/**
 * Puts a saboteur between the back office's logs and everything that reads them, so that the demo can show that its proof fails
 * when one event, one class or one cent is wrong. The product itself has no such switch.
 */
export const sabotageLogs =
  (sabotage: Sabotage) =>
  (logs: OpenLogs): OpenLogs => {
    const tampered = new Map<EventLog, EventLog>();
    const wrap = <Log extends EventLog>(log: Log): Log => {
      const known = tampered.get(log) ?? tamperWith(log, sabotage);
      tampered.set(log, known);
      return known as Log;
    };
    return {
      local: wrap(logs.local),
      house: wrap(logs.house),
      usageEvents: logs.usageEvents.map(wrap),
      close: () => logs.close(),
    };
  };
