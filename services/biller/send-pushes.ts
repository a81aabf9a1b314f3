import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { PushRecord } from './core/push-record.ts';
import type { MeterDestination, SendOutcome } from './meter-destination.ts';
import type { Outbox } from './outbox.ts';
import { CALLS_MAX, waitAfter } from './repeat.ts';

/** Pushes marked `sending` by one block before their calls: what a crash leaves unknown at most. */
const CHUNK_PUSHES = 100;
const LANES_MAX = 8;

export interface SendDeps {
  outbox: Outbox;
  destination: MeterDestination;
  clock: Clock;
  /** Waits before a repeat; injected so that tests do not. */
  wait: (ms: number) => Promise<void>;
}

export interface SendTally {
  /** Accepted in this run, newest state. */
  delivered: PushRecord[];
  /** Of those, how many the destination had already. */
  duplicates: number;
  failed: PushRecord[];
  /** May be there; sent again under the same identifier by the next run. */
  unknown: PushRecord[];
  /** Why the run ended early, or null. */
  stopped: string | null;
}

/**
 * Calls until there is an answer, at most `CALLS_MAX` times, always under the same identifier. Once unknown, only delivery makes it known: a
 * later 429, a refused key or a refused repeat says nothing of the call before.
 */
const sendOne = async (push: PushRecord, deps: SendDeps): Promise<SendOutcome> => {
  let unclear: SendOutcome | null = null;
  for (let call = 1; ; call += 1) {
    const outcome = await deps.destination.send({
      eventName: push.meter,
      customer: push.customer,
      value: push.value.toString(),
      identifier: push.identifier,
      timestampSeconds: Date.parse(push.eventAt) / 1000,
    });
    if (outcome.kind === 'unknown') unclear = outcome;
    if (outcome.kind === 'delivered') return outcome;
    const isLast = outcome.kind === 'refused' || outcome.kind === 'not_authorised';
    if (isLast || call >= CALLS_MAX) return unclear ?? outcome;
    const askedMs = outcome.kind === 'rate_limited' ? outcome.retryAfterMs : null;
    await deps.wait(waitAfter(call, askedMs));
  }
};

/** One lane per customer and meter: Stripe allows one concurrent call for each. */
const lanesOf = (pushes: readonly PushRecord[]): PushRecord[][] => {
  const lanes = new Map<string, PushRecord[]>();
  for (const push of pushes) {
    const key = JSON.stringify([push.customer, push.meter]);
    const lane = lanes.get(key);
    if (lane) lane.push(push);
    else lanes.set(key, [push]);
  }
  return [...lanes.values()];
};

/** The state an outcome leaves the push in. `before` is how the push was taken up, so that a call that was never made leaves no trace. */
const settled = (sending: PushRecord, before: PushRecord, outcome: SendOutcome): PushRecord => {
  switch (outcome.kind) {
    case 'delivered':
      return { ...sending, state: 'sent', reason: '' };
    case 'refused':
      // What an earlier run left unknown may be there all the same: a sum will tell.
      return before.attemptedAt === null
        ? { ...sending, state: 'failed', reason: `refused: ${outcome.reason}` }
        : { ...sending, state: 'sending', reason: `unknown, then refused: ${outcome.reason}` };
    case 'unknown':
      return { ...sending, state: 'sending', reason: `unknown: ${outcome.reason}` };
    default:
      // Answered before anything was taken: as if the call had not been made.
      return { ...sending, state: before.state, attemptedAt: before.attemptedAt, reason: '' };
  }
};

const stopReason = (outcome: SendOutcome): string | null => {
  switch (outcome.kind) {
    case 'rate_limited':
      return 'the destination kept answering 429';
    case 'unknown':
      return `the destination did not answer clearly (${outcome.reason})`;
    case 'not_authorised':
      return `the destination refused the API key (${outcome.reason})`;
    default:
      return null;
  }
};

const sendChunk = async (
  before: readonly PushRecord[],
  deps: SendDeps,
  tally: SendTally,
): Promise<void> => {
  const attemptedAt = toInstant(deps.clock.nowMs());
  const sending = await deps.outbox.advance(
    before.map((push) => ({
      ...push,
      state: 'sending',
      attemptedAt: push.attemptedAt ?? attemptedAt,
    })),
  );
  const beforeById = new Map(before.map((push) => [push.pushId, push]));
  const results: PushRecord[] = [];
  const lanes = lanesOf(sending);
  const work = async (): Promise<void> => {
    for (let lane = lanes.shift(); lane; lane = lanes.shift()) {
      for (const push of lane) {
        const outcome: SendOutcome =
          tally.stopped === null
            ? await sendOne(push, deps)
            : { kind: 'rate_limited', retryAfterMs: null };
        tally.stopped ??= stopReason(outcome);
        if (outcome.kind === 'delivered' && outcome.duplicate) tally.duplicates += 1;
        results.push(settled(push, beforeById.get(push.pushId) ?? push, outcome));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(LANES_MAX, lanes.length) }, work));
  for (const push of await deps.outbox.advance(results)) {
    if (push.state === 'sent') tally.delivered.push(push);
    else if (push.state === 'failed') tally.failed.push(push);
    else if (push.state === 'sending') tally.unknown.push(push);
  }
};

/**
 * Sends pushes that are durable in the outbox. Ends early when the destination stops answering: what is left keeps its state
 * and is taken up by the next run.
 */
export const sendPushes = async (
  pushes: readonly PushRecord[],
  deps: SendDeps,
): Promise<SendTally> => {
  const tally: SendTally = { delivered: [], duplicates: 0, failed: [], unknown: [], stopped: null };
  for (let from = 0; from < pushes.length && tally.stopped === null; from += CHUNK_PUSHES) {
    await sendChunk(pushes.slice(from, from + CHUNK_PUSHES), deps, tally);
  }
  return tally;
};
