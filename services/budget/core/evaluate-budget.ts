import { formatAmount, scaledAmount } from '../../../pricing/money.ts';
import type { Budget, BudgetSignal } from '../../../schemas/budget.ts';
import type { Instant } from '../../../schemas/instant.ts';
import type { SpendWindow } from './windows.ts';

export type BudgetState = BudgetSignal['state'];
export type SignalCause = NonNullable<BudgetSignal['cause']>;

/** Where a budget stands: at its limit it blocks, from its warning share on it warns. A limit of zero blocks at once. */
export const stateOf = (budget: Budget, spent: bigint): BudgetState => {
  const limit = scaledAmount(budget.limit_usd);
  if (spent >= limit) return 'block';
  return spent * 100n >= limit * BigInt(budget.warn_at_percent) ? 'warn' : 'clear';
};

/** Spent figures of a warning are refreshed at most this often, so that a busy tenant does not flood the log. */
export const WARN_REFRESH_MS = 1000;

export interface Evaluation {
  readonly budget: Budget;
  readonly window: SpendWindow;
  /** USD as a count of 10^-18. */
  readonly spent: bigint;
  /** The event whose settlement brought the state about; absent when a record or the calendar did. */
  readonly cause?: SignalCause;
}

const saysTheSame = (a: BudgetSignal, b: BudgetSignal): boolean =>
  a.state === b.state &&
  a.limit_usd === b.limit_usd &&
  a.window_start === b.window_start &&
  a.resets_at === b.resets_at &&
  a.tenant === b.tenant;

const signalOf = (evaluation: Evaluation, version: number, now: Instant): BudgetSignal => {
  const { budget, window, spent, cause } = evaluation;
  return {
    scope: `budget/${budget.id}`,
    budget_id: budget.id,
    tenant: budget.tenant,
    version,
    state: stateOf(budget, spent),
    ...(window.start === undefined ? {} : { window_start: window.start }),
    ...(window.end === undefined ? {} : { resets_at: window.end }),
    limit_usd: budget.limit_usd,
    spent_usd: formatAmount(spent),
    ...(cause === undefined ? {} : { cause }),
    issued_at: now,
  };
};

/**
 * The signal to write, or null when the newest one (`last`) still says it all: only a new state, limit, window or tenant is
 * news, and in the warning state a new spent figure once in `WARN_REFRESH_MS`.
 */
export const nextSignal = (
  evaluation: Evaluation,
  last: BudgetSignal | undefined,
  now: Instant,
): BudgetSignal | null => {
  const next = signalOf(evaluation, (last?.version ?? 0) + 1, now);
  if (last === undefined || !saysTheSame(last, next)) return next;
  const refreshDue =
    next.state === 'warn' &&
    next.spent_usd !== last.spent_usd &&
    Math.abs(Date.parse(now) - Date.parse(last.issued_at)) >= WARN_REFRESH_MS;
  return refreshDue ? next : null;
};

/** The signal that lifts a budget nobody has declared any more; null when the last one already let calls through. */
export const liftingSignal = (last: BudgetSignal, now: Instant): BudgetSignal | null => {
  if (last.state === 'clear') return null;
  const { cause: _over, ...rest } = last;
  return { ...rest, version: last.version + 1, state: 'clear', issued_at: now };
};
