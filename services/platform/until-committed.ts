import { setTimeout as wait } from 'node:timers/promises';
import type { TopicName } from '../../schemas/topics.ts';
import { ReckonerError } from './errors.ts';
import type { EventLog } from './event-log.ts';

const POLL_MS = 10;

/**
 * Waits until a group has committed all that is in a topic now. What is written meanwhile is not waited for, so a busy log does
 * not hold the caller up.
 * @throws ReckonerError LOG_APPEND_FAILED, retryable, after `timeoutMs`.
 */
export const untilCommitted = async (
  log: EventLog,
  reader: { group: string; topic: TopicName },
  timeoutMs: number,
): Promise<void> => {
  const written = (await log.ranges(reader.topic)).filter(({ start, end }) => end > start);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const committed = await log.committed(reader.group, reader.topic);
    const behind = written.some(({ partition, end }) => (committed.get(partition) ?? 0) < end);
    if (!behind) return;
    if (performance.now() > deadline) {
      throw new ReckonerError(
        'LOG_APPEND_FAILED',
        `${reader.group} has not taken what stands in ${reader.topic} within ${timeoutMs} ms. Nothing is lost; see why it lags, and ask again.`,
        { retryable: true },
      );
    }
    await wait(POLL_MS);
  }
};
