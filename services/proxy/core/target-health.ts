/** How an attempt ended for the place it went to. `status` of an answer's head; null: there was none. */
export interface TargetFailure {
  status: number | null;
  /** As the header says, seconds. */
  retryAfter?: string | undefined;
}

/** What is remembered of one model at one upstream. Times in milliseconds of a monotonic clock. */
export interface TargetHealth {
  /** Failures since the last answer. */
  failures: number;
  /** Others are preferred until then; 0: never set aside since the last answer. */
  asideUntilMs: number;
  /** Exponentially weighted time to the first byte; null: never measured. */
  latencyMs: number | null;
  sampledAtMs: number;
  /** Since when an attempt is under way that will be the first measurement. */
  waitingSinceMs: number | null;
}

export const NO_HEALTH: TargetHealth = {
  failures: 0,
  asideUntilMs: 0,
  latencyMs: null,
  sampledAtMs: 0,
  waitingSinceMs: null,
};

/** Weight of the newest measurement. */
const NEWEST = 0.3;
/** A failed attempt counts as one that took so long. */
const FAILED_AS_MS = 10_000;
/** A measurement older than this says nothing any more. */
const STALE_MS = 600_000;

const ASIDE_FIRST_MS = 2_000;
const ASIDE_MAX_MS = 60_000;
/** How long others are still preferred once a target that was set aside is being tried again. */
const PROBE_MS = 2_000;
/** Answers that say "later" without saying when set a target aside from this one on. */
const FAILURES_MIN = 3;

const doubled = (times: number): number =>
  Math.min(ASIDE_MAX_MS, ASIDE_FIRST_MS * 2 ** Math.min(times, 16));

/** A refused credential and an empty account are the operator's matter and last; a broken connection is not the caller's either. */
const isPlain = (status: number | null): boolean =>
  status === null || status === 401 || status === 402;

/** For how long others are preferred after a failure; 0: not at all. */
const asideMs = (failures: number, failure: TargetFailure): number => {
  const { retryAfter, status } = failure;
  if (retryAfter !== undefined && /^\d{1,9}(\.\d+)?$/.test(retryAfter)) {
    return Math.min(ASIDE_MAX_MS, Number.parseFloat(retryAfter) * 1000);
  }
  if (isPlain(status)) return doubled(failures - 1);
  return failures >= FAILURES_MIN ? doubled(failures - FAILURES_MIN) : 0;
};

/** An attempt goes out. Of a target that was set aside and whose time is up only one at a time finds out how it is. */
export const whenSent = (health: TargetHealth, nowMs: number): TargetHealth => ({
  ...health,
  asideUntilMs:
    health.asideUntilMs > 0 && health.asideUntilMs <= nowMs
      ? nowMs + PROBE_MS
      : health.asideUntilMs,
  waitingSinceMs: health.latencyMs === null ? (health.waitingSinceMs ?? nowMs) : null,
});

/**
 * An answer that is a success. The first one after a failure starts the measurement anew, so that a recovered target is not slow for
 * what it was.
 * @param latencyMs from sending to the answer's first byte.
 */
export const whenAnswered = (
  health: TargetHealth,
  latencyMs: number,
  nowMs: number,
): TargetHealth => ({
  failures: 0,
  asideUntilMs: 0,
  latencyMs:
    health.latencyMs === null || health.failures > 0
      ? latencyMs
      : health.latencyMs + NEWEST * (latencyMs - health.latencyMs),
  sampledAtMs: nowMs,
  waitingSinceMs: null,
});

/** We gave the attempt up, so it says nothing about the target. */
export const whenAbandoned = (health: TargetHealth): TargetHealth => ({
  ...health,
  waitingSinceMs: null,
});

/** An answer that says "later" or "not you", or none at all. */
export const whenFailed = (
  health: TargetHealth,
  failure: TargetFailure,
  nowMs: number,
): TargetHealth => {
  const failures = health.failures + 1;
  const aside = asideMs(failures, failure);
  return {
    failures,
    asideUntilMs: aside === 0 ? health.asideUntilMs : Math.max(health.asideUntilMs, nowMs + aside),
    latencyMs: Math.max(health.latencyMs ?? 0, FAILED_AS_MS),
    sampledAtMs: nowMs,
    waitingSinceMs: null,
  };
};

/** Whether others are preferred right now. */
export const isAside = (health: TargetHealth, nowMs: number): boolean =>
  health.asideUntilMs > nowMs;

/**
 * Expected time to the first byte; null: nothing is known. While the first attempt is under way it takes at least as long as it has
 * taken: otherwise everybody would follow it to a target that may be slow.
 */
export const expectedLatencyMs = (health: TargetHealth, nowMs: number): number | null => {
  if (health.latencyMs === null) {
    return health.waitingSinceMs === null ? null : nowMs - health.waitingSinceMs;
  }
  return nowMs - health.sampledAtMs > STALE_MS ? null : health.latencyMs;
};
