import { encodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { AttemptRecord, UsageEvent } from '../../schemas/usage-event.ts';
import { hasCode, ReckonerError } from '../platform/errors.ts';
import type { EventLog, LogEntry } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';

/** The fact of a closed attempt before it has a place in the sequence. */
export type ClosingFact = Omit<UsageEvent, 'sequence'>;

/**
 * Writes the two records of every attempt to this proxy's own log. What must stay as it is, whatever else is made faster:
 * 1. `open` is `stored` before a byte goes upstream, and `durable` before the client's first byte.
 * 2. The event and the tombstone of its opened record are one append. Two appends would let a crash between them write the event
 *    twice (tombstone lost) or never (event lost).
 * 3. `close` is `durable` before the client's last byte.
 * 4. The sequence is given once, when `close` is called; a repeated append carries the same bytes.
 * 5. After LOG_BROKEN nothing is tried again: a flush that succeeds after one that failed proves nothing.
 */
export interface AttemptJournal {
  /** Both stages of the opened record; `durable` resolves at once where the process is told not to wait for the disk. */
  open(record: AttemptRecord): { stored: Promise<unknown>; durable: Promise<unknown> };
  /**
   * Appends the event together with the tombstone of its opened record: both or none. Resolves when it is as durable as the
   * process is told to be. A failed append is repeated with the same bytes until it is taken, also after this promise was
   * rejected for lack of patience; it resolves instead where `whenLate` says so.
   * @param beside entries of the same append: both or none.
   */
  close(fact: ClosingFact, beside?: readonly LogEntry[]): Promise<void>;
  /** Appends facts of work that ended later, which has no opened record, and what goes with them: all or none. */
  record(facts: readonly ClosingFact[], beside: readonly LogEntry[]): Promise<void>;
  /** False while a closing record cannot be written. New calls are refused then: they could not be metered. */
  healthy(): boolean;
  /**
   * Rejects when an event cannot be written by this process: its opened record is in the log, and the next start recovers it. Also when
   * the log breaks at an opened record: with no event under way nobody else would learn of it, and every call would be refused for good.
   */
  readonly broken: Promise<never>;
}

export interface JournalOptions {
  log: EventLog;
  proxyId: string;
  durability: 'disk' | 'process';
  /** What the caller of `close` gets when its event still waits after the patience. The event goes on being tried either way. */
  whenLate: 'reject' | 'resolve';
  logger: Logger;
  onAppendFailed: () => void;
  /** How long a client is kept waiting for an event that cannot be appended, in milliseconds. */
  patienceMs?: number;
}

const PATIENCE_MS = 3_000;
const FIRST_WAIT_MS = 100;
const WAIT_MAX_MS = 5_000;
/** Events that wait for room on the disk. Each belonged to a call that was let in, so there are no more than calls at once. */
const WAITING_MAX = 16_384;

const pause = (ms: number): Promise<void> => new Promise((wake) => setTimeout(wake, ms));

/** The log does not take anything any more in this process. */
const isFinal = (error: unknown): boolean =>
  hasCode(error, 'LOG_BROKEN') || hasCode(error, 'LOG_CLOSED');

const cannotAppend = (eventId: string, cause: unknown): ReckonerError =>
  new ReckonerError(
    'LOG_APPEND_FAILED',
    `Usage event ${eventId} could not be appended to the local log. Free the disk or repair the data directory; the event is appended when the log takes it again, or else recovered at the next start.`,
    { cause },
  );

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
  const { log, durability, logger, patienceMs = PATIENCE_MS } = options;
  const source = `/proxy/${options.proxyId}`;
  let sequence = 0;
  let waiting = 0;
  const { promise: broken, reject: breakDown } = Promise.withResolvers<never>();
  broken.catch(() => undefined);

  const append = async (entries: LogEntry[]): Promise<void> => {
    const { stored, durable } = log.append(entries);
    await (durability === 'disk' ? Promise.all([stored, durable]) : stored);
  };

  const giveUp = (eventId: string, cause: unknown): never => {
    const error = cannotAppend(eventId, cause);
    breakDown(error);
    throw error;
  };

  /** Until the log has it: the disk may be full for hours, and the event is known only here. */
  const keepTrying = async (entries: LogEntry[], eventId: string): Promise<void> => {
    waiting += 1;
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, WAIT_MAX_MS)) {
      options.onAppendFailed();
      await pause(waitMs);
      try {
        await append(entries);
        waiting -= 1;
        return;
      } catch (error) {
        if (isFinal(error) || waiting > WAITING_MAX) return giveUp(eventId, error);
        logger.error({ event_id: eventId, waiting }, 'a usage event cannot be appended yet');
      }
    }
  };

  /** @param about `patient`: nobody waits for an answer, so this resolves only when the log has it. */
  const appendWithin = async (
    entries: LogEntry[],
    about: { eventId: string; patient: boolean },
  ): Promise<void> => {
    try {
      return await append(entries);
    } catch (error) {
      if (isFinal(error)) giveUp(about.eventId, error);
    }
    const kept = keepTrying(entries, about.eventId);
    if (about.patient) return kept;
    kept.catch(() => undefined);
    const late = pause(patienceMs).then(() => 'late' as const);
    const isLate = (await Promise.race([kept, late])) === 'late';
    if (isLate && options.whenLate === 'reject') throw cannotAppend(about.eventId, undefined);
  };

  return {
    open: (record) => {
      const appended = log.append([openedEntry(record, source)]);
      const durable = durability === 'disk' ? appended.durable : Promise.resolve();
      durable.catch(() => undefined);
      appended.stored.catch((error: unknown) => {
        options.onAppendFailed();
        if (hasCode(error, 'LOG_BROKEN')) breakDown(error);
      });
      return { stored: appended.stored, durable };
    },
    close: (fact, beside = []) => {
      sequence += 1;
      return appendWithin([...closingEntries({ ...fact, sequence }, source), ...beside], {
        eventId: fact.event_id,
        patient: false,
      });
    },
    record: (facts, beside) => {
      const entries = facts.map((fact) => {
        sequence += 1;
        return eventEntry({ ...fact, sequence }, source);
      });
      return appendWithin([...entries, ...beside], {
        eventId: facts[0]?.event_id ?? 'none',
        patient: true,
      });
    },
    healthy: () => waiting === 0,
    broken,
  };
};

/** Stands in where a call goes on although its opened record could not be kept: what it cost is said, loudly, and not recorded. */
export const createUnrecordedJournal = (
  logger: Logger,
  onUnmetered: () => void,
): AttemptJournal => ({
  open: () => ({ stored: Promise.resolve(), durable: Promise.resolve() }),
  close: async (fact) => {
    onUnmetered();
    logger.error(
      {
        attempt_id: fact.attempt_id,
        upstream: fact.upstream,
        ending: fact.ending,
        classes: fact.classes,
      },
      'a call went on unmetered: the local log took no record of it',
    );
  },
  record: async () => undefined,
  healthy: () => true,
  broken: new Promise(() => undefined),
});
