import type { Instant, Period } from '../../schemas/instant.ts';
import type { MappingProblem, StripeMapping } from './core/check-mappings.ts';
import { findMappingProblems } from './core/check-mappings.ts';
import { attoUsd } from './core/micro-usd.ts';
import type { PlannedPush, WindowSpend } from './core/plan-pushes.ts';
import { planStream } from './core/plan-pushes.ts';
import type { PushRecord } from './core/push-record.ts';
import { EXPIRED, isUnfinished } from './core/push-record.ts';
import { pushIdentifier } from './push-identifier.ts';

/** Everything one push run would do, for people: integers as text, in micro-USD. */
export interface BillingPlan {
  destination: 'stripe';
  account: string;
  period: Period;
  unit: 'micro-usd';
  pushes: {
    tenant: string;
    customer: string;
    meter: string;
    window_start: Instant;
    revision: number;
    value: string;
  }[];
  /** Sum of the values to be sent. */
  total: string;
  customers: number;
  /** Pushes of earlier runs that are not finished; they are settled first. */
  unfinished: number;
  /** Differences in hours that Stripe no longer takes; to be credited or billed by hand. */
  expired: { tenant: string; customer: string; window_start: Instant; value: string }[];
  problems: MappingProblem[];
  /** Tenants with spend that no Stripe mapping sends anywhere. */
  unmapped: { tenant: string; amount_usd: string }[];
}

/** A plan with the records that carry it out. */
export interface PeriodPlan {
  plan: BillingPlan;
  pushes: PushRecord[];
  expired: PushRecord[];
}

export interface PlanInput {
  account: string;
  period: Period;
  mappings: readonly StripeMapping[];
  spend: ReadonlyMap<string, readonly WindowSpend[]>;
  /** The outbox of the period, newest states. */
  outbox: readonly PushRecord[];
  nowMs: number;
}

const toRecord = (planned: PlannedPush, mapping: StripeMapping, input: PlanInput): PushRecord => {
  const stream = {
    account: input.account,
    meter: mapping.event_name,
    customer: mapping.customer,
    tenant: mapping.tenant,
    windowStart: planned.windowStart,
    revision: planned.revision,
  };
  const identifier = pushIdentifier(stream);
  return {
    ...stream,
    pushId: identifier,
    identifier,
    step: 0,
    state: 'planned',
    mappingId: mapping.id,
    period: input.period,
    value: planned.value,
    eventAt: planned.eventAt,
    attemptedAt: null,
    verifiedAt: null,
    reason: '',
  };
};

const formatAtto = (atto: bigint): string => {
  const digits = (atto < 0n ? -atto : atto).toString().padStart(19, '0');
  const fraction = digits.slice(-18).replace(/0+$/, '');
  return `${atto < 0n ? '-' : ''}${digits.slice(0, -18)}${fraction === '' ? '' : `.${fraction}`}`;
};

const findUnmapped = (input: PlanInput): BillingPlan['unmapped'] => {
  const mapped = new Set(input.mappings.map((mapping) => mapping.tenant));
  return [...input.spend]
    .filter(([tenant]) => !mapped.has(tenant))
    .map(([tenant, windows]) => ({
      tenant,
      amount_usd: formatAtto(windows.reduce((sum, w) => sum + attoUsd(w.amountUsd), 0n)),
    }))
    .sort((a, b) => (a.tenant < b.tenant ? -1 : 1));
};

/** Plans one period over all Stripe mappings. Deterministic: the same ledger, outbox, mappings and time give the same plan. */
export const planPeriod = (input: PlanInput): PeriodPlan => {
  const problems = findMappingProblems(input.mappings, input.outbox);
  const stopped = new Set(problems.map((problem) => problem.mapping_id));
  const pushes: PushRecord[] = [];
  const expired: PushRecord[] = [];
  for (const mapping of input.mappings) {
    if (stopped.has(mapping.id)) continue;
    const plan = planStream({
      spend: input.spend.get(mapping.tenant) ?? [],
      pushed: input.outbox.filter(
        (push) =>
          push.tenant === mapping.tenant &&
          push.customer === mapping.customer &&
          push.meter === mapping.event_name,
      ),
      nowMs: input.nowMs,
    });
    for (const planned of plan.pushes) pushes.push(toRecord(planned, mapping, input));
    for (const planned of plan.expired) {
      expired.push({
        ...toRecord(planned, mapping, input),
        state: 'failed',
        reason: `${EXPIRED}: the hour is more than 34 days ago, which Stripe no longer takes; credit or bill the difference by hand`,
      });
    }
  }
  const line = (push: PushRecord) => ({
    tenant: push.tenant,
    customer: push.customer,
    meter: push.meter,
    window_start: push.windowStart,
    revision: push.revision,
    value: push.value.toString(),
  });
  return {
    pushes,
    expired,
    plan: {
      destination: 'stripe',
      account: input.account,
      period: input.period,
      unit: 'micro-usd',
      pushes: pushes.map(line),
      total: pushes.reduce((sum, push) => sum + push.value, 0n).toString(),
      customers: new Set(pushes.map((push) => push.customer)).size,
      unfinished: input.outbox.filter(isUnfinished).length,
      expired: expired.map(({ tenant, customer, windowStart, value }) => ({
        tenant,
        customer,
        window_start: windowStart,
        value: value.toString(),
      })),
      problems,
      unmapped: findUnmapped(input),
    },
  };
};
