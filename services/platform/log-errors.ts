import type { TopicName } from '../../schemas/topics.ts';
import { ReckonerError } from './errors.ts';
import type { Appended, Subscription } from './event-log.ts';

interface Place {
  topic: TopicName;
  partition: number;
  offset: number;
}

const at = (place: Place): string => `${place.topic}/${place.partition} offset ${place.offset}`;

/** The log was closed; whoever still calls outlived its owner. */
export const logClosed = (log: string): ReckonerError =>
  new ReckonerError('LOG_CLOSED', `The log ${log} is closed. Open it again before using it.`);

/** A reader asked a log of another process to change. */
export const logReadOnly = (log: string, act: string): ReckonerError =>
  new ReckonerError(
    'LOG_READ_ONLY',
    `The log ${log} was opened for reading, so ${act} was refused. Only the process that holds its directory may write it.`,
  );

/** What was wanted has been trimmed or swept. Never answered by jumping forward. */
export const logTrimmed = (log: string, place: Place, oldest: number): ReckonerError =>
  new ReckonerError(
    'LOG_TRIMMED',
    `The log ${log} was asked for ${at(place)}, but what is kept begins at ${oldest}. Rebuild this reader from the archive, or give it a new group.`,
  );

/** An entry that must be there is not. */
export const logGap = (log: string, place: Place): ReckonerError =>
  new ReckonerError(
    'LOG_GAP',
    `The log ${log} has no entry at ${at(place)}, where one must be: entries were lost. Keep the directory as it is, and rebuild this reader from the archive.`,
  );

/** More bytes wait to be flushed than configured. The same append may succeed later. */
export const logFull = (log: string, pendingBytes: number, maxBytes: number): ReckonerError =>
  new ReckonerError(
    'LOG_FULL',
    `The log ${log} has ${pendingBytes} bytes waiting to be flushed and takes ${maxBytes} at most. Slow down, and check the speed of its disk.`,
    { retryable: true },
  );

/** Nothing this log says is durable can be believed any more. Appends fail until the process has been restarted. */
export const logBroken = (log: string, cause?: unknown): ReckonerError =>
  new ReckonerError(
    'LOG_BROKEN',
    `The log ${log} could not write: a flush to disk failed, so what was written last may not survive a loss of power. Check the disk, then restart this process.`,
    { cause },
  );

/** The append may or may not be there; a repeat with the same identity is safe. */
export const logAppendFailed = (log: string, what: string, cause?: unknown): ReckonerError =>
  new ReckonerError('LOG_APPEND_FAILED', `The log ${log} could not write: ${what}`, { cause });

/** An append that was refused. Both stages are handled: awaiting one leaves no unhandled rejection of the other. */
export const rejectedAppend = (why: () => Error): Appended => {
  const stored = Promise.reject<never>(why());
  const durable = Promise.reject<never>(why());
  for (const promise of [stored, durable]) promise.catch(() => undefined);
  return { stored, durable };
};

/** What `subscribe` answers on a closed log: over before it began. */
export const closedSubscription = (log: string): Subscription => ({
  caughtUp: new Promise(() => undefined),
  ended: Promise.reject(logClosed(log)),
  lag: () => null,
  close: async () => undefined,
});
