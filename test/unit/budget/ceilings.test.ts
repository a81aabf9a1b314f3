import { expect, it } from 'vitest';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import { BudgetController } from '../../../services/budget/core/budget-controller.ts';
import { reversalOf } from '../../../services/rater/core/rerate.ts';
import { budgetOf, ratedEntry } from './rated-entries.ts';

const NOON = '2026-11-21T12:00:00.000Z';
const unpriced = (usd: string): RatedUsage => ({
  ...ratedEntry({ sequence: 1 }),
  ceiling_usd: usd,
});

it('case 82 · counts usage without a price at its ceiling, and blocks by it', () => {
  const controller = new BudgetController();
  controller.setBudgets([budgetOf({ limit_usd: '1' })]);
  controller.takeSignals(NOON, 'all');
  expect(controller.fold(unpriced('1.5'), NOON)).toBe('ceiling');
  expect(controller.takeSignals(NOON, 'touched')).toMatchObject([
    { state: 'block', spent_usd: '1.5' },
  ]);
  expect(controller.status(NOON)).toMatchObject([
    { spent_usd: '1.5', ceiling_usd: '1.5', settled_events: 0 },
  ]);
});

it('case 82 · follows when the price arrives: the reversal takes the ceiling back, the charge takes its place', () => {
  const ceiling = unpriced('1.5');
  const entries = [
    ceiling,
    reversalOf(ceiling, '2026-11'),
    ratedEntry({ sequence: 1, usd: '0.2', revision: 2 }),
  ];
  // 1.5 - 1.5 + 0.2, whatever the order and however often
  for (const order of [entries, entries.toReversed(), [...entries, ...entries]]) {
    const controller = new BudgetController();
    controller.setBudgets([budgetOf({ limit_usd: '1' })]);
    for (const entry of order) controller.fold(entry, NOON);
    expect(controller.takeSignals(NOON, 'all')).toMatchObject([{ state: 'clear' }]);
    expect(controller.status(NOON)).toMatchObject([
      { spent_usd: '0.2', ceiling_usd: '0', settled_events: 1 },
    ]);
  }
});
