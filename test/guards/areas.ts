import { costsGuards } from './costs.ts';
import { disconnectGuards } from './disconnect.ts';
import { dropinGuards } from './dropin.ts';
import { flavoursGuards } from './flavours.ts';
import { followupGuards } from './followup.ts';
import type { Guard } from './guard.ts';
import { identityGuards } from './identity.ts';
import { pressureGuards } from './pressure.ts';
import { pricesOpsGuards } from './prices-ops.ts';
import { pricingGuards } from './pricing.ts';
import { reconcileGuards } from './reconcile.ts';
import { routingGuards } from './routing.ts';

/** Every guard of every area, in the order they are run. */
export const GUARDS: readonly Guard[] = [
  ...routingGuards,
  ...pressureGuards,
  ...dropinGuards,
  ...followupGuards,
  ...disconnectGuards,
  ...flavoursGuards,
  ...identityGuards,
  ...pricingGuards,
  ...pricesOpsGuards,
  ...reconcileGuards,
  ...costsGuards,
];

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** The failures that must be guarded: missed usage (1-21), double counting (22-32), lost spend (33-44), wrong price (73-95), and the faults beside them. */
const MUST_BE_GUARDED: readonly string[] = [
  ...numbers(1, 44).map((number) => `case ${number}`),
  ...numbers(73, 95).map((number) => `case ${number}`),
  ...[1, 2, 8, 10, 11, 12, 51, 52, 53, 54, 71, 72, 73].map((number) => `row ${number}`),
];

/** Cases and rows that no guard of `guards` protects. */
export const unguarded = (guards: readonly Guard[]): string[] => {
  const guarded = new Set(guards.flatMap(({ protects }) => protects));
  return MUST_BE_GUARDED.filter((what) => !guarded.has(what));
};
