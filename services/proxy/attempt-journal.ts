import { encodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { AttemptRecord, UsageEvent } from '../../schemas/usage-event.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { EventLog, LogEntry } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';

/** The fact of a closed attempt before it has a place in the sequence. */
export type ClosingFact = Omit<UsageEvent, 'sequence'>;

/** Writes the two records of every attempt to this proxy's own log. */
export interface AttemptJournal {
  /** Both stages of the opened record; `durable` resolves at once where the process is told not to wait for the disk. */
  open(record: AttemptRecord): { stored: Promise<unknown>; durable: Promise<unknown> };
  /**
   * Appends the event together with the tombstone of its opened record: both or none. Resolves when it is as durable as the
   * process is told to be. Repeats a failed append with the same bytes; rejects when that did not help.
   * @param beside entries of the same append: both or none.
   */
  close(fact: ClosingFact, beside?: readonly LogEntry[]): Promise<void>;
  /** Appends facts of work that ended later, which has no opened record, and what goes with them: all or none. */
  record(facts: readonly ClosingFact[], beside: readonly LogEntry[]): Promise<void>;
  /** False while a closing record cannot be written. New calls are refused then: they could not be metered. */
  healthy(): boolean;
  /** Rejects when an event could not be written: its opened record is in the log, and the next start recovers it. */
  readonly broken: Promise<never>;
}

export interface JournalOptions {
  log: EventLog;
  proxyId: string;
  durability: 'disk' | 'process';
  logger: Logger;
  onAppendFailed: () => void;
}

const APPENDS_MAX = 6;
const APPEND_WAIT_MS = 50;

const eventEntry = (event: UsageEvent, source: string): LogEntry => ({
  topic: TOPICS.usageEvents.name,
  key: event.dimensions.tenant,
  value: encodeEnvelope(
    'usageEvent',
    { id: event.event_id, source, subject: event.dimensions.tenant, time: event.event_ts },
    event,
  ),
});

const openedEntry = (record: AttemptRecord, source: string): LogEntry => ({
  topic: TOPICS.attempts.name,
  key: record.attempt_id,
  value: encodeEnvelope(
    'attempt',
    { id: record.attempt_id, source, subject: record.dimensions.tenant, time: record.event_ts },
    record,
  ),
});

const closingEntries = (event: UsageEvent, source: string): LogEntry[] => [
  eventEntry(event, source),
  { topic: TOPICS.attempts.name, key: event.attempt_id, value: null },
];

/** A journal for one boot: its sequence starts at 1 and grows by one with every event, in the order of the calls to `close`. */
export const createAttemptJournal = (options: JournalOptions): AttemptJournal => {
  const { log, durability, logger } = options;
  const source = `/proxy/${options.proxyId}`;
  let sequence = 0;
  let failing = 0;
  const { promise: broken, reject: breakDown } = Promise.withResolvers<never>();
  broken.catch(() => undefined);

  const append = async (entries: LogEntry[]): Promise<void> => {
    const appended = log.append(entries);
    await appended.stored;
    if (durability === 'disk') await appended.durable;
  };

  const repeat = async (entries: LogEntry[], eventId: string): Promise<void> => {
    failing += 1;
    for (let turn = 1; turn < APPENDS_MAX; turn += 1) {
      options.onAppendFailed();
      await new Promise((wake) => setTimeout(wake, APPEND_WAIT_MS * 2 ** turn));
      try {
        await append(entries);
        failing -= 1;
        return;
      } catch {
        logger.error({ event_id: eventId, turn }, 'a usage event could not be appended');
      }
    }
    const error = new ReckonerError(
      'LOG_APPEND_FAILED',
      `Usage event ${eventId} could not be appended to the local log in ${APPENDS_MAX} turns. Free the disk or repair the data directory; the next start recovers the event.`,
    );
    breakDown(error);
    throw error;
  };

  const appendOrRepeat = async (entries: LogEntry[], eventId: string): Promise<void> => {
    try {
      await append(entries);
    } catch {
      await repeat(entries, eventId);
    }
  };

  return {
    open: (record) => {
      const appended = log.append([openedEntry(record, source)]);
      const durable = durability === 'disk' ? appended.durable : Promise.resolve();
      durable.catch(() => undefined);
      appended.stored.catch(options.onAppendFailed);
      return { stored: appended.stored, durable };
    },
    close: (fact, beside = []) => {
      sequence += 1;
      return appendOrRepeat(
        [...closingEntries({ ...fact, sequence }, source), ...beside],
        fact.event_id,
      );
    },
    record: (facts, beside) => {
      const entries = facts.map((fact) => {
        sequence += 1;
        return eventEntry({ ...fact, sequence }, source);
      });
      return appendOrRepeat([...entries, ...beside], facts[0]?.event_id ?? 'none');
    },
    healthy: () => failing === 0,
    broken,
  };
};
