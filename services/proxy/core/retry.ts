const RETRIED = new Set([429, 500, 502, 503, 504, 529]);

/** Whether an answer says that the same call may succeed soon. */
export const isRetryable = (status: number): boolean => RETRIED.has(status);

/** Refused credential, empty account: the same call fails there again, but not necessarily elsewhere. */
const ELSEWHERE = new Set([401, 402]);

/** Whether an answer says that the same call may succeed at another upstream, and only there. */
export const isForOthers = (status: number): boolean => ELSEWHERE.has(status);

const WAIT_FIRST_MS = 250;
const WAIT_MAX_MS = 8_000;

/**
 * How long to wait before the next attempt, in milliseconds. The provider's own `Retry-After` (seconds) counts up to the bound;
 * a longer one ends the retries, since a caller should not hang that long: null.
 * @param attemptNumber how often the same target failed, from 1.
 * @param jitter between 0 and 1, drawn by the shell.
 */
export const retryWaitMs = (
  attemptNumber: number,
  retryAfter: string | undefined,
  jitter: number,
): number | null => {
  if (retryAfter !== undefined && /^\d{1,9}(\.\d+)?$/.test(retryAfter)) {
    const waitMs = Math.ceil(Number.parseFloat(retryAfter) * 1000);
    return waitMs <= WAIT_MAX_MS ? waitMs : null;
  }
  const exponential = Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** (attemptNumber - 1));
  return Math.ceil(exponential * (0.5 + jitter / 2));
};
