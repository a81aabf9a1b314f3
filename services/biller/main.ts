import { type Period, PeriodSchema } from '../../schemas/instant.ts';
import type { Clock } from '../platform/clock.ts';
import type { ControlStateFollower } from '../platform/control-state.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { ChargebeeLine } from './chargebee.ts';
import { chargebeeLines } from './chargebee.ts';
import { isUnfinished } from './core/push-record.ts';
import { readSpend } from './ledger-spend.ts';
import type { MeterDestination } from './meter-destination.ts';
import type { Outbox } from './outbox.ts';
import { createOutbox } from './outbox.ts';
import type { BillingPlan, PeriodPlan } from './plan-period.ts';
import { planPeriod } from './plan-period.ts';
import { readingPatiently } from './repeat.ts';
import { resumePushes } from './resume-pushes.ts';
import { sendPushes } from './send-pushes.ts';
import type { StripeAccess } from './stripe.ts';
import { createStripeDestination } from './stripe.ts';
import type { BillingProof } from './verify-pushes.ts';
import { verifyPushes } from './verify-pushes.ts';

/** What one push run did. Integers as text, in micro-USD. */
export interface BillingRun {
  /** True when nothing was written or sent, because it was not asked for with `yes`. */
  dry_run: boolean;
  plan: BillingPlan;
  sent: { pushes: number; value: string; duplicates: number };
  failed: { pushes: number; value: string; reasons: string[] };
  /** May be there; settled by the next run. */
  unknown: { pushes: number; value: string };
  /** Why the run ended before the plan was carried out, or null. */
  stopped: string | null;
}

export interface ChargebeePlan {
  destination: 'chargebee';
  dry_run: true;
  period: Period;
  unit: 'micro-usd';
  lines: ChargebeeLine[];
}

export interface Biller {
  plan(request: { period: Period }): Promise<BillingPlan>;
  /** Sends what the plan says. Without `yes` a dry run: nothing is written and nothing sent. */
  push(request: { period: Period; yes: boolean }): Promise<BillingRun>;
  verify(request: { period: Period }): Promise<BillingProof>;
  planChargebee(request: { period: Period }): Promise<ChargebeePlan>;
}

export interface BillerDeps {
  warehouse: Warehouse;
  control: ControlStateFollower;
  stripe?: StripeAccess;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  /** Waits before a repeated call. */
  wait?: (ms: number) => Promise<void>;
}

const NO_ACCOUNT = 'none';

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

const checkPeriod = (period: string): void => {
  if (PeriodSchema.safeParse(period).success) return;
  throw new ReckonerError(
    'REQUEST_INVALID',
    `The period ${JSON.stringify(period)} is not an accounting month. Give one such as 2026-11.`,
  );
};

/** Lets one act through at a time: two pushes of one house at once could plan the same window twice. */
const createFence = () => {
  let busy: string | null = null;
  return async <T>(act: string, run: () => Promise<T>): Promise<T> => {
    if (busy !== null) {
      throw new ReckonerError(
        'PUSH_FAILED',
        `A billing ${busy} is running, and only one may at a time. Wait until it has ended, then ${act} again.`,
        { retryable: true },
      );
    }
    busy = act;
    try {
      return await run();
    } finally {
      busy = null;
    }
  };
};

interface Shop extends BillerDeps {
  destination: MeterDestination | null;
  outbox: Outbox;
  wait: (ms: number) => Promise<void>;
}

const makePlan = async (shop: Shop, period: Period): Promise<PeriodPlan> =>
  planPeriod({
    account: shop.destination?.account ?? NO_ACCOUNT,
    period,
    mappings: [...shop.control.state.mappings.values()]
      .filter((mapping) => mapping.destination === 'stripe')
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
    spend: await readSpend(shop.warehouse, period, 'hour'),
    outbox: await shop.outbox.load(period),
    nowMs: shop.clock.nowMs(),
  });

const needDestination = (shop: Shop): MeterDestination => {
  if (shop.destination) return shop.destination;
  throw new ReckonerError(
    'PUSH_FAILED',
    'No Stripe account is configured, so nothing can be sent or read back. Set process.stripe.api_key in reckoner.yaml and start again.',
  );
};

const tallyOf = (pushes: readonly { value: bigint }[]) => ({
  pushes: pushes.length,
  value: pushes.reduce((sum, push) => sum + push.value, 0n).toString(),
});

const runPush = async (shop: Shop, period: Period): Promise<BillingRun> => {
  const destination = needDestination(shop);
  const { outbox, clock, wait } = shop;
  const before = await outbox.load(period);
  const preview = await makePlan(shop, period);
  await destination.checkMeters([
    ...new Set([...preview.pushes, ...before.filter(isUnfinished)].map((push) => push.meter)),
  ]);
  const resumed = await resumePushes(before, { outbox, destination, nowMs: clock.nowMs() });
  // Planned again after settling: what was found or given up has changed the difference.
  const { plan, pushes, expired } = await makePlan(shop, period);
  const recorded = await outbox.advance(expired);
  const planned = await outbox.advance(pushes);
  const tally = await sendPushes([...resumed.toSend, ...planned], {
    outbox,
    destination,
    clock,
    wait,
  });
  const failed = [...tally.failed, ...resumed.expired, ...recorded];
  return {
    dry_run: false,
    plan,
    sent: { ...tallyOf([...tally.delivered, ...resumed.found]), duplicates: tally.duplicates },
    failed: { ...tallyOf(failed), reasons: [...new Set(failed.map((push) => push.reason))].sort() },
    unknown: tallyOf([...tally.unknown, ...resumed.unclear]),
    stopped: tally.stopped,
  };
};

const dryRun = (plan: BillingPlan): BillingRun => ({
  dry_run: true,
  plan,
  sent: { pushes: 0, value: '0', duplicates: 0 },
  failed: { pushes: 0, value: '0', reasons: [] },
  unknown: { pushes: 0, value: '0' },
  stopped: null,
});

const report = (run: BillingRun, logger: Logger): void => {
  const { sent, failed, unknown, stopped, plan } = run;
  const facts = { period: plan.period, account: plan.account, sent, failed, unknown, stopped };
  if (failed.pushes > 0 || unknown.pushes > 0 || stopped !== null || plan.problems.length > 0) {
    logger.error({ ...facts, problems: plan.problems.length }, 'billing push needs attention');
  } else {
    logger.info(facts, 'billing push done');
  }
};

/** Plans, pushes and proves usage-based bills. Starts nothing; every act is asked for. */
export const createBiller = (deps: BillerDeps): Biller => {
  const wait = deps.wait ?? sleep;
  const destination = deps.stripe
    ? readingPatiently(createStripeDestination(deps.stripe), wait)
    : null;
  const outbox = createOutbox(deps.warehouse, destination?.account ?? NO_ACCOUNT, deps.clock);
  const shop: Shop = { ...deps, destination, outbox, wait };
  const fence = createFence();
  const outcomes = deps.metrics.counter('billing_pushes_total', 'Pushes of usage by outcome', [
    'outcome',
  ]);
  return {
    plan: async ({ period }) => {
      checkPeriod(period);
      return (await makePlan(shop, period)).plan;
    },
    push: ({ period, yes }) =>
      fence('push', async () => {
        checkPeriod(period);
        if (!yes) return dryRun((await makePlan(shop, period)).plan);
        const run = await runPush(shop, period);
        outcomes.inc({ outcome: 'sent' }, run.sent.pushes);
        outcomes.inc({ outcome: 'failed' }, run.failed.pushes);
        outcomes.inc({ outcome: 'unknown' }, run.unknown.pushes);
        report(run, deps.logger);
        return run;
      }),
    verify: ({ period }) =>
      fence('verify', async () => {
        checkPeriod(period);
        return verifyPushes(period, { ...shop, destination: needDestination(shop) });
      }),
    planChargebee: async ({ period }) => {
      checkPeriod(period);
      const spend = await readSpend(deps.warehouse, period, 'day');
      const lines = [...deps.control.state.mappings.values()]
        .filter((mapping) => mapping.destination === 'chargebee')
        .sort((a, b) => (a.id < b.id ? -1 : 1))
        .flatMap((mapping) =>
          chargebeeLines(mapping, spend.get(mapping.tenant) ?? [], deps.clock.nowMs()),
        );
      return { destination: 'chargebee', dry_run: true, period, unit: 'micro-usd', lines };
    },
  };
};
