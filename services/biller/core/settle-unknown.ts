import { ACCEPTED_AGE_MS } from './plan-pushes.ts';
import type { PushRecord } from './push-record.ts';
import { sumOf } from './push-record.ts';

/** Stripe knows an identifier again for at least 24 hours; 4 hours are kept for retries and clocks. */
export const SAFE_REPEAT_MS = 20 * 3_600_000;

/**
 * What to do with a push that is not finished. `send`: the identifier is fresh or was never used, so a repeat is harmless.
 * `compare`: it may be there and the destination may have forgotten its identifier; look first. `expire`: it was never
 * sent and is too old to be accepted.
 */
export const nextAct = (push: PushRecord, nowMs: number): 'send' | 'compare' | 'expire' => {
  const accepted = Date.parse(push.eventAt) >= nowMs - ACCEPTED_AGE_MS;
  if (push.attemptedAt === null) return accepted ? 'send' : 'expire';
  return accepted && nowMs - Date.parse(push.attemptedAt) < SAFE_REPEAT_MS ? 'send' : 'compare';
};

/**
 * Reads the destination's sum for one customer, meter and window against the outbox.
 * @param delivered pushes known to be there
 * @param unknown pushes that may be there
 * @param found the destination's sum
 * @returns all of them are there, none is, or the sum fits neither and a person has to look.
 */
export const settleByComparison = (
  delivered: readonly PushRecord[],
  unknown: readonly PushRecord[],
  found: bigint,
): 'delivered' | 'absent' | 'unclear' => {
  const known = sumOf(delivered);
  const open = sumOf(unknown);
  if (open === 0n) return 'unclear';
  if (found === known + open) return 'delivered';
  return found === known ? 'absent' : 'unclear';
};
