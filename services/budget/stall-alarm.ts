import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { createStallDetector } from './core/stall.ts';

/** A signal takes milliseconds; a replay counts all the time. */
const STALLED_AFTER_MS = 30_000;
const CHECK_EVERY_MS = 1_000;

/**
 * Watches that rated usage goes on being counted. A budget whose counting stands still shows too little spend and never blocks: that must
 * not look like a quiet day. Sets `reckoner_budget_stalled` and says so in the log, once when it begins and once when it ends.
 */
export const startStallAlarm = (
  deps: { clock: Clock; logger: Logger; metrics: Metrics },
  read: () => { lag: number | null; counted: number },
): { stop(): void } => {
  const detect = createStallDetector(STALLED_AFTER_MS);
  let stalled = false;
  const check = (): boolean => {
    const seen = read();
    const now = detect(seen, deps.clock.monotonicMs());
    if (now && !stalled) {
      deps.logger.error(
        { lag_entries: seen.lag, stalled_after_ms: STALLED_AFTER_MS },
        'Rated usage is not being counted against budgets: budgets show too little and do not block. Look for what holds the back office up, or restart it.',
      );
    } else if (!now && stalled) {
      deps.logger.warn({ lag_entries: seen.lag }, 'rated usage is counted against budgets again');
    }
    stalled = now;
    return now;
  };
  deps.metrics.gauge(
    'budget_stalled',
    '1 while rated usage waits and none was counted against budgets for 30 s',
    () => (check() ? 1 : 0),
  );
  const timer = setInterval(check, CHECK_EVERY_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
};
