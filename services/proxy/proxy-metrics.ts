import { deadLetterCounter } from '../platform/consume-batches.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { PressureFacts } from './core/pressure.ts';

/** What is read where the metrics are asked for. */
export interface ProxyReadings {
  inFlight: () => number;
  draining: () => number;
  signalLag: () => number | null;
  operations: () => number;
  oldestOperationS: () => number | null;
}

const createGauges = (metrics: Metrics, read: ProxyReadings): void => {
  metrics.gauge('proxy_calls_in_flight', 'Client calls being served.', read.inFlight);
  metrics.gauge('proxy_drains', 'Replies read to their end after the client left.', read.draining);
  metrics.gauge(
    'proxy_signal_lag_entries',
    'Budget signals written but not yet obeyed.',
    read.signalLag,
  );
  metrics.gauge(
    'proxy_operations_pending',
    'Background work and batches whose usage the provider will state later.',
    read.operations,
  );
  metrics.gauge(
    'proxy_operations_oldest_seconds',
    'Age of the oldest work whose usage is not stated yet.',
    read.oldestOperationS,
  );
};

/** Why an upstream was not asked, or not asked again. */
const createTargetCounters = (metrics: Metrics) => ({
  setAside: metrics.counter(
    'proxy_targets_set_aside_total',
    'Times an upstream failed so that others are preferred for a while.',
    ['upstream'],
  ),
  retriesRefused: metrics.counter(
    'proxy_retries_refused_total',
    'Further attempts not made because the retry budget of the upstream that failed, or of the others, was spent.',
    ['upstream'],
  ),
  unpriced: metrics.counter(
    'proxy_targets_unpriced_total',
    'Times an upstream that blocks unknown prices was not asked, since no price of the model is known.',
    ['upstream'],
  ),
});

/** What the proxy counts. No tenant, key or model in labels. */
export const createProxyMetrics = (metrics: Metrics, read: ProxyReadings) => {
  createGauges(metrics, read);
  return {
    ...createTargetCounters(metrics),
    operations: metrics.counter(
      'proxy_operations_total',
      'Work that ended later, by how its usage was settled. `given_up`: the provider never stated it; look at each.',
      ['operation', 'outcome'],
    ),
    attempts: metrics.counter(
      'proxy_attempts_total',
      'Upstream attempts closed, by wire format, ending and role (primary, retry, fallback, hedge).',
      ['flavour', 'ending', 'role'],
    ),
    refusals: metrics.counter('proxy_refusals_total', 'Calls the proxy refused itself, by code.', [
      'code',
    ]),
    notMetered: metrics.counter(
      'proxy_not_metered_total',
      'Calls passed on that no provider bills (lists, token counts, files).',
    ),
    unattributed: metrics.counter(
      'proxy_unattributed_calls_total',
      'Calls let through without a dimension that their tenant or key requires, by dimension.',
      ['dimension'],
    ),
    attributionDropped: metrics.counter(
      'proxy_attribution_dropped_total',
      "Values of other tools' headers, or of the body, that could not be kept as dimension or tag, by whose they were.",
      ['source'],
    ),
    unreadable: metrics.counter(
      'proxy_usage_unreadable_total',
      'Replies whose usage was stated in no known shape, did not add up or was too large to read. Look at each.',
      ['flavour'],
    ),
    appendFailures: metrics.counter(
      'proxy_append_failures_total',
      'Appends to the local log that failed. New calls are refused meanwhile.',
    ),
    countDeadLetters: deadLetterCounter(metrics),
    recovered: metrics.counter(
      'proxy_attempts_recovered_total',
      'Attempts left open by an earlier run and turned into events at start.',
    ),
    overDrainBound: metrics.counter(
      'proxy_drains_refused_total',
      'Replies given up when the client left because the bound on drains was reached.',
    ),
  };
};
export type ProxyMetrics = ReturnType<typeof createProxyMetrics>;
export type PressureMetrics = ReturnType<typeof createPressureMetrics>;

/** What is known of the local log, and what it cost the callers. */
export const createPressureMetrics = (
  metrics: Metrics,
  pressure: { causes: () => ReadonlySet<unknown>; facts: () => PressureFacts | null },
) => {
  metrics.gauge(
    'proxy_pressure_causes',
    'High-water marks of the local log that are passed now; 0 is calm.',
    () => pressure.causes().size,
  );
  metrics.gauge(
    'proxy_log_bytes',
    'Bytes the local log keeps.',
    () => pressure.facts()?.logBytes ?? null,
  );
  metrics.gauge(
    'proxy_log_oldest_seconds',
    'How long the oldest event has waited to be taken over; 0 when none waits.',
    () => {
      const ageMs = pressure.facts()?.oldestAgeMs;
      return ageMs === undefined ? null : ageMs / 1_000;
    },
  );
  metrics.gauge(
    'proxy_log_free_bytes',
    'Bytes that can still be written to the local log.',
    () => pressure.facts()?.freeBytes ?? null,
  );
  return {
    underPressure: metrics.counter(
      'proxy_calls_refused_under_pressure_total',
      'Calls refused because the local log could not take their records.',
    ),
    unmetered: metrics.counter(
      'proxy_calls_unmetered_total',
      'Attempts that went on although no record of them could be kept (mode fail_open). Each is lost spend.',
    ),
  };
};
