import { decodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { AttemptRecord } from '../../schemas/usage-event.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { DeadLetterCounter } from '../platform/consume-batches.ts';
import { appendDeadLetters } from '../platform/consume-batches.ts';
import type { EventLog, StoredEntry } from '../platform/event-log.ts';
import type { AttemptJournal } from './attempt-journal.ts';
import { recoverAttempt } from './core/close-attempt.ts';

/** Opened records in memory at once while recovering, however many there are. */
const PAGE_ENTRIES = 256;
const TOPIC = TOPICS.attempts.name;

/** The run that recovers, and what it counts. */
interface Recovery {
  bootId: string;
  clock: Clock;
  countDeadLetters: DeadLetterCounter;
}

/** What cannot be read goes to the dead letters and is open no longer; a crash in between repeats it under the same id. */
const setAside = async (
  log: EventLog,
  about: Recovery,
  unreadable: readonly { entry: StoredEntry; reason: 'unreadable' | 'invalid'; detail: string }[],
): Promise<void> => {
  if (unreadable.length === 0) return;
  const letters = unreadable.map(({ entry, reason, detail }) => ({
    log: log.name,
    topic: entry.topic,
    partition: entry.partition,
    offset: entry.offset,
    reason,
    detail,
    bytes: Buffer.from(entry.value ?? []).toString('base64'),
  }));
  await appendDeadLetters(log, about.clock, letters);
  about.countDeadLetters(letters);
  await log.append(unreadable.map(({ entry }) => ({ topic: TOPIC, key: entry.key, value: null })))
    .stored;
};

const recoverPage = async (
  log: EventLog,
  journal: AttemptJournal,
  { page, ...about }: { page: readonly StoredEntry[] } & Recovery,
): Promise<number> => {
  const now = toInstant(about.clock.nowMs());
  const attempts: AttemptRecord[] = [];
  const unreadable: Parameters<typeof setAside>[2][number][] = [];
  for (const entry of page) {
    if (entry.value === null) continue;
    const decoded = decodeEnvelope('attempt', entry.value);
    if (decoded.ok) attempts.push(decoded.value.data);
    else unreadable.push({ entry, reason: decoded.reason, detail: decoded.detail });
  }
  await setAside(log, about, unreadable);
  await Promise.all(attempts.map((a) => journal.close(recoverAttempt(a, about.bootId, now))));
  return attempts.length;
};

/**
 * Turns every opened record without an end into its event, page by page. Runs before the proxy listens, so nothing else is open. Event
 * and tombstone are one append: a crash in here leaves an attempt either recovered or open, and a second run writes none twice.
 * @returns how many events were written.
 */
export const recoverAttempts = async (
  log: EventLog,
  journal: AttemptJournal,
  about: Recovery,
): Promise<number> => {
  let recovered = 0;
  for (const { partition, start, end } of await log.ranges(TOPIC)) {
    for (let offset = start; offset < end; ) {
      const page = await log.read({ topic: TOPIC, partition, offset }, PAGE_ENTRIES);
      const last = page.at(-1);
      // Recovering appends to this very topic; what lies beyond `end` is not of an earlier run.
      if (last === undefined || last.offset >= end) offset = end;
      else offset = last.offset + 1;
      recovered += await recoverPage(log, journal, {
        page: page.filter((entry) => entry.offset < end),
        ...about,
      });
    }
  }
  return recovered;
};
