import type { Instant } from '../../../schemas/instant.ts';
import { attoUsd, microUsdHalfEven } from './micro-usd.ts';
import type { PushRecord } from './push-record.ts';
import { isCounted, isExpired } from './push-record.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Stripe refuses timestamps older than 35 days; a day is kept for clocks and queues. */
export const ACCEPTED_AGE_MS = 34 * DAY_MS;

/** What the ledger holds for one tenant in one window. */
export interface WindowSpend {
  windowStart: Instant;
  amountUsd: string;
}

export interface PlannedPush {
  windowStart: Instant;
  /** 1 for the first push of a window, then one more for each correction. */
  revision: number;
  /** Signed whole micro-USD; never 0. */
  value: bigint;
  eventAt: Instant;
}

export interface StreamPlan {
  pushes: PlannedPush[];
  /** Differences in windows the destination no longer accepts, and which are not on record yet. */
  expired: PlannedPush[];
  /** What the period should come to, up to the window `nowMs` lies in. */
  target: bigint;
}

/** The instant a window's event is stamped with: its middle, which no skew moves over an edge; for the window in progress not later than now. */
export const stampOf = (windowStart: Instant, windowMs: number, nowMs: number): Instant => {
  const start = Date.parse(windowStart);
  const nowSecond = Math.floor(nowMs / 1000) * 1000;
  return new Date(Math.max(start, Math.min(start + windowMs / 2, nowSecond))).toISOString();
};

/** Micro-USD per window so that every prefix of the period is its own exact sum, rounded once: nothing accumulates. */
const targets = (spend: readonly WindowSpend[], nowMs: number): Map<Instant, bigint> => {
  const sums = new Map<Instant, bigint>();
  for (const { windowStart, amountUsd } of spend) {
    // A window that has not begun waits: the destination would refuse its timestamp.
    if (Date.parse(windowStart) > nowMs) continue;
    sums.set(windowStart, (sums.get(windowStart) ?? 0n) + attoUsd(amountUsd));
  }
  const result = new Map<Instant, bigint>();
  let cumulative = 0n;
  let before = 0n;
  for (const [windowStart, atto] of [...sums].sort(([a], [b]) => (a < b ? -1 : 1))) {
    cumulative += atto;
    const rounded = microUsdHalfEven(cumulative);
    result.set(windowStart, rounded - before);
    before = rounded;
  }
  return result;
};

const byWindow = (pushed: readonly PushRecord[]): Map<Instant, PushRecord[]> => {
  const windows = new Map<Instant, PushRecord[]>();
  for (const push of pushed) {
    const list = windows.get(push.windowStart);
    if (list) list.push(push);
    else windows.set(push.windowStart, [push]);
  }
  return windows;
};

const total = (pushes: readonly PushRecord[], which: (push: PushRecord) => boolean): bigint =>
  pushes.reduce((sum, push) => (which(push) ? sum + push.value : sum), 0n);

/**
 * What is to be pushed for one stream (tenant -> customer and meter) of one period: for each window its target minus what the outbox
 * holds for it already. Signed; empty when nothing changed. The values of the period sum to
 * roundHalfEven(ledger total x 10^6) once the plan is carried out.
 */
export const planStream = (input: {
  spend: readonly WindowSpend[];
  pushed: readonly PushRecord[];
  nowMs: number;
  windowMs?: number;
}): StreamPlan => {
  const windowMs = input.windowMs ?? HOUR_MS;
  const target = targets(input.spend, input.nowMs);
  const pushed = byWindow(input.pushed);
  const plan: StreamPlan = { pushes: [], expired: [], target: 0n };
  for (const windowStart of [...new Set([...target.keys(), ...pushed.keys()])].sort()) {
    const wanted = target.get(windowStart) ?? 0n;
    const records = pushed.get(windowStart) ?? [];
    plan.target += wanted;
    const value = wanted - total(records, isCounted);
    const eventAt = stampOf(windowStart, windowMs, input.nowMs);
    const revision = records.reduce((max, push) => Math.max(max, push.revision), 0) + 1;
    if (Date.parse(eventAt) >= input.nowMs - ACCEPTED_AGE_MS) {
      if (value !== 0n) plan.pushes.push({ windowStart, revision, value, eventAt });
      continue;
    }
    const unrecorded = value - total(records, isExpired);
    if (unrecorded !== 0n) plan.expired.push({ windowStart, revision, value: unrecorded, eventAt });
  }
  return plan;
};
