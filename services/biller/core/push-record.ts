import type { Instant, Period } from '../../../schemas/instant.ts';

/**
 * `planned` durable, not called yet · `sending` called or about to be, outcome not known · `sent` accepted, or known there already ·
 * `verified` the total read back equals the outbox · `failed` not there and will not be sent under this identifier.
 */
export const PUSH_STATES = ['planned', 'sending', 'sent', 'verified', 'failed'] as const;
export type PushState = (typeof PUSH_STATES)[number];

/** Why a push failed for age: the prefix by which planning knows it again. */
export const EXPIRED = 'expired';

/** One push in its newest state. */
export interface PushRecord {
  pushId: string;
  /** Grows by one with every state written. */
  step: number;
  state: PushState;
  account: string;
  mappingId: string;
  tenant: string;
  customer: string;
  meter: string;
  period: Period;
  windowStart: Instant;
  revision: number;
  identifier: string;
  /** Signed whole micro-USD. */
  value: bigint;
  /** What the event is stamped with; the same in every repeat. */
  eventAt: Instant;
  /** First call under this identifier, from which its age counts; null before. */
  attemptedAt: Instant | null;
  verifiedAt: Instant | null;
  reason: string;
}

/** Whether the value is at the destination, may be there, or is on its way: planning must not ask for it again. */
export const isCounted = (push: PushRecord): boolean => push.state !== 'failed';
export const isDelivered = (push: PushRecord): boolean =>
  push.state === 'sent' || push.state === 'verified';
export const isUnfinished = (push: PushRecord): boolean =>
  push.state === 'planned' || push.state === 'sending';
export const isExpired = (push: PushRecord): boolean =>
  push.state === 'failed' && push.reason.startsWith(EXPIRED);

export const sumOf = (pushes: readonly PushRecord[]): bigint =>
  pushes.reduce((sum, push) => sum + push.value, 0n);
