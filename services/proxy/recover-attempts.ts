import { decodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { AttemptRecord } from '../../schemas/usage-event.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import { appendDeadLetters } from '../platform/consume-batches.ts';
import type { EventLog, StoredEntry } from '../platform/event-log.ts';
import type { AttemptJournal } from './attempt-journal.ts';
import { recoverAttempt } from './core/close-attempt.ts';

/** Opened records at once in memory while recovering. */
const CLOSING_AT_ONCE = 256;

const openEntries = async (log: EventLog): Promise<readonly StoredEntry[]> => {
  const open = new Map<string, StoredEntry>();
  const subscription = log.subscribe({
    topic: TOPICS.attempts.name,
    onBatch: async (batch) => {
      for (const entry of batch.entries) {
        if (entry.value === null) open.delete(entry.key);
        else open.set(entry.key, entry);
      }
    },
  });
  await Promise.race([subscription.caughtUp, subscription.ended]);
  await subscription.close();
  return [...open.values()];
};

/**
 * Turns every opened record without an end into its event. Runs before the proxy listens, so nothing else is open. Event and
 * tombstone are one append: a crash in here leaves an attempt either recovered or open, and a second run writes none twice.
 * @returns how many events were written.
 */
export const recoverAttempts = async (
  log: EventLog,
  journal: AttemptJournal,
  about: { bootId: string; clock: Clock },
): Promise<number> => {
  const now = toInstant(about.clock.nowMs());
  const entries = await openEntries(log);
  const attempts: AttemptRecord[] = [];
  for (const entry of entries) {
    const decoded = decodeEnvelope('attempt', entry.value ?? new Uint8Array());
    if (decoded.ok) {
      attempts.push(decoded.value.data);
      continue;
    }
    await appendDeadLetters(log, about.clock, [
      {
        log: log.name,
        topic: entry.topic,
        partition: entry.partition,
        offset: entry.offset,
        reason: decoded.reason,
        detail: decoded.detail,
        bytes: Buffer.from(entry.value ?? []).toString('base64'),
      },
    ]);
  }
  attempts.sort((a, b) => (a.attempt_id < b.attempt_id ? -1 : 1));
  for (let from = 0; from < attempts.length; from += CLOSING_AT_ONCE) {
    const some = attempts.slice(from, from + CLOSING_AT_ONCE);
    await Promise.all(some.map((a) => journal.close(recoverAttempt(a, about.bootId, now))));
  }
  return attempts.length;
};
