/**
 * How many more attempts an upstream is given after failures, as a bucket of tokens: so a provider in trouble gets at most a fifth
 * more than the calls it would get anyway, plus a small constant, instead of a storm. Times in milliseconds of a monotonic clock.
 */
export interface RetryBudget {
  tokens: number;
  atMs: number;
}

const TOKENS_MAX = 20;
const PER_CALL = 0.2;
const PER_SECOND = 0.5;

const refilled = (budget: RetryBudget, nowMs: number): RetryBudget => ({
  tokens: Math.min(TOKENS_MAX, budget.tokens + ((nowMs - budget.atMs) / 1000) * PER_SECOND),
  atMs: nowMs,
});

export const fullBudget = (nowMs: number): RetryBudget => ({ tokens: TOKENS_MAX, atMs: nowMs });

/** The first attempt of a call went to the upstream. */
export const earn = (budget: RetryBudget, nowMs: number): RetryBudget => {
  const { tokens } = refilled(budget, nowMs);
  return { tokens: Math.min(TOKENS_MAX, tokens + PER_CALL), atMs: nowMs };
};

/** A further attempt is paid for. Attempts under way together may overdraw, by no more than the bucket holds. */
export const spend = (budget: RetryBudget, nowMs: number): RetryBudget => {
  const { tokens } = refilled(budget, nowMs);
  return { tokens: Math.max(-TOKENS_MAX, tokens - 1), atMs: nowMs };
};

/** Whether there is something left for a further attempt. */
export const mayRetry = (budget: RetryBudget, nowMs: number): boolean =>
  refilled(budget, nowMs).tokens >= 1;
