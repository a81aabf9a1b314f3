import { ReckonerError } from '../platform/errors.ts';
import type { MeterDestination } from './meter-destination.ts';

export const CALLS_MAX = 5;
const FIRST_WAIT_MS = 250;
const WAIT_MAX_MS = 30_000;

/** How long to wait after the n-th call: doubling from 250 ms, not less than the destination asks for, at most 30 s. */
export const waitAfter = (call: number, askedMs: number | null): number =>
  Math.min(WAIT_MAX_MS, Math.max(askedMs ?? 0, FIRST_WAIT_MS * 2 ** (call - 1)));

/** Makes a reading call again while its failure may pass, at most `CALLS_MAX` times in all. */
const readAgain = async <T>(
  read: () => Promise<T>,
  wait: (ms: number) => Promise<void>,
): Promise<T> => {
  for (let call = 1; ; call += 1) {
    try {
      return await read();
    } catch (error) {
      const mayPass = error instanceof ReckonerError && error.retryable;
      if (!mayPass || call >= CALLS_MAX) throw error;
    }
    await wait(waitAfter(call, null));
  }
};

/** The same destination with its reading calls repeated. Sending is left alone: what repeats that is the outbox. */
export const readingPatiently = (
  destination: MeterDestination,
  wait: (ms: number) => Promise<void>,
): MeterDestination => ({
  ...destination,
  checkMeters: (eventNames) => readAgain(() => destination.checkMeters(eventNames), wait),
  readSum: (query) => readAgain(() => destination.readSum(query), wait),
});
