import type { Period } from '../../schemas/instant.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { PushRecord } from './core/push-record.ts';
import { isCounted, isDelivered, sumOf } from './core/push-record.ts';
import { periodBounds } from './ledger-spend.ts';
import type { MeterDestination, SumQuery } from './meter-destination.ts';
import type { Outbox } from './outbox.ts';

const READS_MAX = 12;
const FIRST_WAIT_MS = 100;
const WAIT_MAX_MS = 5_000;
/** Over all customers of one verification: totals that are late are late together. */
const WAIT_BUDGET_MS = 60_000;

/** The proof that what was pushed is held. Integers as text, in micro-USD. */
export interface BillingProof {
  period: string;
  unit: 'micro-usd';
  /** What the outbox means to be there. */
  planned: string;
  /** What the destination accepted. */
  sent: string;
  /** What it says it holds, over all customers and meters pushed to. */
  read_back: string;
  /** planned = sent = read_back, customer by customer. */
  equal: boolean;
  customers: { customer: string; meter: string; sent: string; read_back: string; equal: boolean }[];
  /** Value of pushes that failed: not there and not counted above. */
  failed: string;
}

export interface VerifyDeps {
  outbox: Outbox;
  destination: MeterDestination;
  clock: Clock;
  wait: (ms: number) => Promise<void>;
}

/** Reads one customer's total until it is what was sent: totals follow events after a while. The last reading stands. */
const readUntilEqual = async (
  expected: bigint,
  query: SumQuery,
  deps: VerifyDeps & { budget: { leftMs: number } },
): Promise<bigint> => {
  for (let read = 1; ; read += 1) {
    const sum = await deps.destination.readSum(query);
    if (sum === expected || read >= READS_MAX || deps.budget.leftMs <= 0) return sum;
    const waitMs = Math.min(WAIT_MAX_MS, FIRST_WAIT_MS * 2 ** (read - 1));
    deps.budget.leftMs -= waitMs;
    await deps.wait(waitMs);
  }
};

const groupsOf = (pushes: readonly PushRecord[]): PushRecord[][] => {
  const groups = new Map<string, PushRecord[]>();
  for (const push of pushes) {
    const key = JSON.stringify([push.customer, push.meter]);
    const group = groups.get(key);
    if (group) group.push(push);
    else groups.set(key, [push]);
  }
  return [...groups.values()];
};

/**
 * Compares the destination's total of the period with the outbox, customer by customer and meter by meter, tolerance 0,
 * and marks what agrees as verified.
 */
export const verifyPushes = async (period: Period, deps: VerifyDeps): Promise<BillingProof> => {
  const pushes = await deps.outbox.load(period);
  const { startMs, endMs } = periodBounds(period);
  const customers: BillingProof['customers'] = [];
  const budget = { leftMs: WAIT_BUDGET_MS };
  let readBack = 0n;
  for (const group of groupsOf(pushes.filter(isCounted))) {
    const { customer = '', meter = '' } = group[0] ?? {};
    const delivered = group.filter(isDelivered);
    const sent = sumOf(delivered);
    const found = await readUntilEqual(
      sent,
      { eventName: meter, customer, startSeconds: startMs / 1000, endSeconds: endMs / 1000 },
      { ...deps, budget },
    );
    readBack += found;
    const equal = found === sent && delivered.length === group.length;
    customers.push({ customer, meter, sent: sent.toString(), read_back: found.toString(), equal });
    if (equal) {
      const verifiedAt = toInstant(deps.clock.nowMs());
      const fresh = delivered.filter((push) => push.state === 'sent');
      await deps.outbox.advance(fresh.map((push) => ({ ...push, state: 'verified', verifiedAt })));
    }
  }
  const counted = pushes.filter(isCounted);
  return {
    period,
    unit: 'micro-usd',
    planned: sumOf(counted).toString(),
    sent: sumOf(counted.filter(isDelivered)).toString(),
    read_back: readBack.toString(),
    equal: customers.every((line) => line.equal),
    customers,
    failed: sumOf(pushes.filter((push) => push.state === 'failed')).toString(),
  };
};
