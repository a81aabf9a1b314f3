/** One usage event as a billing system takes it. */
export interface MeterEvent {
  eventName: string;
  customer: string;
  /** Signed whole micro-USD, as text. */
  value: string;
  identifier: string;
  timestampSeconds: number;
}

/**
 * How one call ended. `unknown` may have been taken: timeouts, cut connections, server errors. `refused` will not be taken as it is.
 * Reasons are the destination's codes, never its texts.
 */
export type SendOutcome =
  | { kind: 'delivered'; duplicate: boolean }
  | { kind: 'refused'; reason: string }
  | { kind: 'rate_limited'; retryAfterMs: number | null }
  | { kind: 'unknown'; reason: string }
  | { kind: 'not_authorised'; reason: string };

export interface SumQuery {
  eventName: string;
  customer: string;
  startSeconds: number;
  endSeconds: number;
}

/** A billing system that adds up usage events and can say the sum. One call each; retrying is the caller's. */
export interface MeterDestination {
  readonly kind: 'stripe';
  /** Names the account, so that what a test account holds is never taken for what the live one holds. */
  readonly account: string;
  /** Resolves when every event name has a meter that sums; rejects with PUSH_FAILED naming those that do not. */
  checkMeters(eventNames: readonly string[]): Promise<void>;
  send(event: MeterEvent): Promise<SendOutcome>;
  /** What the destination holds for the customer in [start, end), which are on whole minutes. Rejects with PUSH_FAILED. */
  readSum(query: SumQuery): Promise<bigint>;
}
