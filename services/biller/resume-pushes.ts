import type { PushRecord } from './core/push-record.ts';
import { EXPIRED, isDelivered, isUnfinished } from './core/push-record.ts';
import { nextAct, settleByComparison } from './core/settle-unknown.ts';
import type { MeterDestination } from './meter-destination.ts';
import type { Outbox } from './outbox.ts';

const HOUR_SECONDS = 3600;

export interface Resumed {
  /** Safe to send, under the identifier they have. */
  toSend: PushRecord[];
  expired: PushRecord[];
  /** Neither there nor absent by the destination's sum; held until a person decides. */
  unclear: PushRecord[];
  /** Found to have been delivered. */
  found: PushRecord[];
}

const windowKey = (push: PushRecord): string =>
  JSON.stringify([push.customer, push.meter, push.windowStart]);

const expire = (push: PushRecord): PushRecord => ({
  ...push,
  state: 'failed',
  reason: `${EXPIRED}: never accepted, and its hour is more than 34 days ago, which Stripe no longer takes; credit or bill it by hand`,
});

/** Asks the destination what it holds for one customer, meter and hour, and settles the pushes of that hour by it. */
const compareWindow = async (
  all: readonly PushRecord[],
  unknown: readonly PushRecord[],
  destination: MeterDestination,
): Promise<{ verdict: 'delivered' | 'absent' | 'unclear'; found: bigint }> => {
  const first = unknown[0];
  if (!first) return { verdict: 'unclear', found: 0n };
  const key = windowKey(first);
  const startSeconds = Date.parse(first.windowStart) / 1000;
  const found = await destination.readSum({
    eventName: first.meter,
    customer: first.customer,
    startSeconds,
    endSeconds: startSeconds + HOUR_SECONDS,
  });
  const delivered = all.filter((push) => isDelivered(push) && windowKey(push) === key);
  return { verdict: settleByComparison(delivered, unknown, found), found };
};

const groupBy = (pushes: readonly PushRecord[]): PushRecord[][] => {
  const groups = new Map<string, PushRecord[]>();
  for (const push of pushes)
    groups.set(windowKey(push), [...(groups.get(windowKey(push)) ?? []), push]);
  return [...groups.values()];
};

/**
 * Settles what earlier runs left unfinished, before anything new is planned. Fresh identifiers are repeated; older ones are looked up
 * first and never repeated blindly.
 */
export const resumePushes = async (
  all: readonly PushRecord[],
  deps: { outbox: Outbox; destination: MeterDestination; nowMs: number },
): Promise<Resumed> => {
  const open = all.filter(isUnfinished);
  const by = (act: 'send' | 'compare' | 'expire') =>
    open.filter((push) => nextAct(push, deps.nowMs) === act);
  const resumed: Resumed = { toSend: by('send'), expired: [], unclear: [], found: [] };
  const expiring = by('expire').map(expire);
  const delivered: PushRecord[] = [];
  const held: PushRecord[] = [];
  for (const group of groupBy(by('compare'))) {
    // Pushes of the same hour that may be repeated blur the sum as well; they are judged together.
    const key = windowKey(group[0] as PushRecord);
    const blurred = resumed.toSend.some(
      (push) => push.attemptedAt !== null && windowKey(push) === key,
    );
    const { verdict, found } = blurred
      ? { verdict: 'unclear' as const, found: null }
      : await compareWindow(all, group, deps.destination);
    for (const push of group) {
      if (verdict === 'delivered') delivered.push({ ...push, state: 'sent', reason: '' });
      else if (verdict === 'unclear') {
        held.push({
          ...push,
          reason: `unclear: the destination holds ${found ?? 'an open sum'} for this hour`,
        });
      } else {
        const again: PushRecord = { ...push, state: 'planned', attemptedAt: null, reason: '' };
        if (nextAct(again, deps.nowMs) === 'expire') expiring.push(expire(again));
        else resumed.toSend.push(again);
      }
    }
  }
  resumed.found = await deps.outbox.advance(delivered);
  resumed.expired = await deps.outbox.advance(expiring);
  const reasons = new Map(all.map((push) => [push.pushId, push.reason]));
  const news = held.filter((push) => reasons.get(push.pushId) !== push.reason);
  const known = held.filter((push) => reasons.get(push.pushId) === push.reason);
  resumed.unclear = [...known, ...(await deps.outbox.advance(news))];
  return resumed;
};
