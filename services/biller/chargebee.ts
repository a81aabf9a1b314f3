import type { Usage } from 'chargebee';
import type { BillingMapping } from '../../schemas/control-record.ts';
import { planStream, type WindowSpend } from './core/plan-pushes.ts';

const DAY_MS = 86_400_000;

export type ChargebeeMapping = Extract<BillingMapping, { destination: 'chargebee' }>;

/** One `POST /api/v2/subscriptions/{subscription}/usages` as it would be made. */
export interface ChargebeeLine {
  mapping_id: string;
  tenant: string;
  /** UTC day, `2026-11-21`. */
  day: string;
  subscription: string;
  usage: Usage.CreateInputParam;
  /** Why Chargebee would not take it, or null. */
  problem: string | null;
}

/**
 * The Usages API lines of one mapping: one a day, since a subscription takes 5,000 records in its life and one per item price and date;
 * the quantity in whole micro-USD, rounded like the Stripe pushes; the date in epoch seconds.
 */
export const chargebeeLines = (
  mapping: ChargebeeMapping,
  spend: readonly WindowSpend[],
  nowMs: number,
): ChargebeeLine[] => {
  const plan = planStream({ spend, pushed: [], nowMs, windowMs: DAY_MS });
  return [...plan.expired, ...plan.pushes].map((push) => ({
    mapping_id: mapping.id,
    tenant: mapping.tenant,
    day: push.windowStart.slice(0, 10),
    subscription: mapping.subscription,
    usage: {
      item_price_id: mapping.item_price,
      quantity: push.value.toString(),
      usage_date: Date.parse(push.eventAt) / 1000,
    },
    problem:
      push.value < 0n
        ? 'a day with more reversals than charges: Chargebee takes no negative quantity'
        : null,
  }));
};
