import type { AttemptDifference } from '../../reconciler/core/match-attempts.ts';
import type { ReconciliationReport } from '../../reconciler/core/report.ts';

/** Where one tenant was stopped. */
export interface Blocked {
  tenant: string;
  status: number;
  /** From the closing of the call that crossed the limit to the signal's arrival at the proxy. */
  signal_ms: number;
  /** Calls refused afterwards. */
  refused: number;
  /** Refusals that came in the caller's own dialect, with the code of the house. */
  refused_in_dialect: number;
  limit_usd: string;
  spent_usd: string;
  overshoot_usd: string;
  version: number;
  at: string;
}

/** Pushes to the sandbox's Stripe, in micro-USD as text. */
export interface PushProof {
  planned: string;
  sent: string;
  read_back: string;
  equal: boolean;
  customers: number;
  /** Pushes that the second run sent; none if it knows what the first did. */
  sent_again: number;
  /** Lines that a Chargebee push would have, as a dry run. */
  chargebee_lines: number;
}

export interface SpendCell {
  tenant: string;
  feature: string;
  usd: string;
}

/** Everything a demo run found, each figure read at its own place. Money as decimal strings in USD. */
export interface DemoResult {
  requests: number;
  /** The sandbox provider's own count of upstream calls. */
  attempts: number;
  /** Effective events in the archive. */
  events: number;
  endings: Record<string, number>;
  ledger_usd: string;
  sandbox_bill_usd: string;
  /** Bill minus ledger that no event's own ending explains, without signs. */
  unexplained_usd: string;
  explained_usd: string;
  rollup_usd: string;
  console_usd: string;
  /** Every attempt whose sum differs, and why. */
  differences: (AttemptDifference & { provider: string })[];
  reports: ReconciliationReport[];
  blocked: Blocked[];
  push: PushProof;
  spend: SpendCell[];
  /** Cached share of input tokens per tenant, in percent; null without input. */
  cachedPercent: Map<string, number | null>;
  /** What is wrong, each in one sentence. Empty when everything holds. */
  faults: string[];
  /** Where a fault named above shows besides: in statements, counts and control totals. */
  traces: string[];
  seconds: number;
  requests_per_second: number;
  console_url: string;
}
