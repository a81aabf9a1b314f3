import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addAmounts, compareAmounts } from '../../pricing/money.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import { BudgetController } from '../../services/budget/core/budget-controller.ts';
import { createSeenSequences } from '../../services/budget/core/seen-sequences.ts';
import { budgetOf, ratedEntry } from '../unit/budget/rated-entries.ts';

const NOW = '2026-11-21T12:00:00.000Z';

const amounts = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.bigInt({ min: 0n, max: 10n ** 18n - 1n }))
  .map(([whole, fraction]) => `${whole}.${fraction.toString().padStart(18, '0')}`);
const instants = fc.constantFrom(
  '2026-11-21T00:00:00.000Z',
  '2026-11-20T23:59:59.999Z',
  '2026-11-01T00:00:00.000Z',
  '2026-10-31T23:59:59.999Z',
);
const histories: fc.Arbitrary<RatedUsage[]> = fc
  .array(fc.record({ usd: amounts, event_ts: instants, unrated: fc.boolean(), rerated: amounts }), {
    maxLength: 20,
  })
  .map((events) =>
    events.flatMap(({ usd, event_ts, unrated, rerated }, index) => {
      const sequence = index + 1;
      if (unrated) return [ratedEntry({ sequence, event_ts })];
      return [
        ratedEntry({ sequence, event_ts, usd }),
        ...(index % 3 === 0
          ? [
              ratedEntry({ sequence, event_ts, usd: `-${usd}`, kind: 'reversal' }),
              ratedEntry({ sequence, event_ts, usd: rerated, revision: 2 }),
            ]
          : []),
      ];
    }),
  );
/** The same history, in any order, some entries more than once. */
const shuffled = histories.chain((history) =>
  fc.record({
    history: fc.constant(history),
    replay: fc
      .tuple(
        fc.shuffledSubarray(history, { minLength: history.length }),
        fc.shuffledSubarray(history),
      )
      .map(([all, again]) => [...all, ...again, ...all.slice(0, 2)]),
  }),
);

const BUDGETS = [
  budgetOf({ id: 'd', limit_usd: '5', window: 'day' }),
  budgetOf({ id: 'm', limit_usd: '5' }),
  budgetOf({ id: 't', limit_usd: '5', window: 'total' }),
];

const run = (entries: readonly RatedUsage[]): BudgetController => {
  const controller = new BudgetController();
  controller.setBudgets(BUDGETS);
  for (const entry of entries) controller.fold(entry, NOW);
  return controller;
};

describe('budget', () => {
  it('duplicates and reordering change nothing', () => {
    fc.assert(
      fc.property(shuffled, ({ history, replay }) => {
        expect(run(replay).status(NOW)).toEqual(run(history).status(NOW));
      }),
    );
  });

  it('spends exactly the sum of what was charged in the window', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const status = new Map(
          run(history)
            .status(NOW)
            .map((row) => [row.budget_id, row]),
        );
        const sumOf = (prefix: string) =>
          addAmounts(
            history.filter((e) => e.event_ts.startsWith(prefix)).flatMap((e) => e.total_usd ?? []),
          );
        expect(status.get('d')?.spent_usd).toBe(sumOf('2026-11-21'));
        expect(status.get('m')?.spent_usd).toBe(sumOf('2026-11'));
        expect(status.get('t')?.spent_usd).toBe(sumOf(''));
      }),
    );
  });

  it('says block if and only if the spend has reached the limit, after any batches', () => {
    fc.assert(
      fc.property(shuffled, fc.integer({ min: 1, max: 5 }), ({ replay }, size) => {
        const controller = new BudgetController();
        controller.setBudgets(BUDGETS);
        const newest = new Map<string, { version: number; state: string }>();
        const take = (which: 'touched' | 'all') => {
          for (const signal of controller.takeSignals(NOW, which)) {
            expect(signal.version).toBe((newest.get(signal.budget_id)?.version ?? 0) + 1);
            newest.set(signal.budget_id, signal);
          }
        };
        take('all');
        for (let start = 0; start < replay.length; start += size) {
          for (const entry of replay.slice(start, start + size)) controller.fold(entry, NOW);
          take('touched');
          for (const row of controller.status(NOW)) {
            const reached = compareAmounts(row.spent_usd, row.limit_usd) >= 0;
            expect(newest.get(row.budget_id)?.state === 'block').toBe(reached);
          }
        }
      }),
    );
  });

  it('remembers every sequence once, and a series without holes as one interval', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 120 }), (numbers) => {
        const seen = createSeenSequences();
        const known = new Set<number>();
        for (const number of numbers) {
          expect(seen.add(number)).toBe(!known.has(number));
          known.add(number);
        }
        const runs = [...known].filter((number) => !known.has(number - 1)).length;
        expect(seen.intervals()).toBe(runs);
      }),
    );
  });
});
