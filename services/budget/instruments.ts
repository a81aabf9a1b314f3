import type { Metrics } from '../platform/metrics.ts';

/** From the attempt's close to its signal, in seconds. */
const LAG_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];

/** What the budget service counts. `lag` is asked when the metrics are read. */
export const createInstruments = (metrics: Metrics, lag: () => number | null) => {
  metrics.gauge('budget_lag_entries', 'Rated entries not yet counted against budgets', lag);
  return {
    signals: metrics.counter('budget_signals_total', 'Signals written, by state', ['state']),
    /** `unrated` is the one to alarm on: calls that no budget has counted yet. `ceiling`: counted at the most they can cost. */
    entries: metrics.counter('budget_entries_total', 'Rated entries read, by what became of them', [
      'outcome',
    ]),
    lagSeconds: metrics.histogram(
      'budget_signal_lag_seconds',
      'From the close of the attempt that caused a signal until the signal was stored',
      LAG_BUCKETS,
    ),
    statusFailures: metrics.counter(
      'budget_status_write_failures_total',
      'Writes of budget state to the warehouse that failed and are repeated',
    ),
  };
};

export type Instruments = ReturnType<typeof createInstruments>;
