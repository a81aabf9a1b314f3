import { describe, expect, it } from 'vitest';
import { BudgetController } from '../../../services/budget/core/budget-controller.ts';
import { budgetOf, ratedEntry, uuid } from './rated-entries.ts';

const NOON = '2026-11-21T12:00:00.000Z';
const later = (ms: number): string => new Date(Date.parse(NOON) + ms).toISOString();

const controllerWith = (...budgets: ReturnType<typeof budgetOf>[]): BudgetController => {
  const controller = new BudgetController();
  controller.setBudgets(budgets);
  return controller;
};

describe('thresholds', () => {
  it('says clear for a new budget, so that proxies hear of it', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '10' }));
    expect(controller.takeSignals(NOON, 'all')).toEqual([
      {
        scope: 'budget/acme-month',
        budget_id: 'acme-month',
        tenant: 'acme',
        version: 1,
        state: 'clear',
        window_start: '2026-11-01T00:00:00.000Z',
        resets_at: '2026-12-01T00:00:00.000Z',
        limit_usd: '10',
        spent_usd: '0',
        issued_at: NOON,
      },
    ]);
  });

  it('warns at exactly 80 percent and blocks at exactly the limit, naming the event that crossed', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '0.10' }));
    controller.takeSignals(NOON, 'all');
    // 0.10 x 80 % = 0.08; 0.079999999999999999 is below
    controller.fold(ratedEntry({ sequence: 1, usd: '0.079999999999999999' }), NOON);
    expect(controller.takeSignals(NOON, 'touched')).toEqual([]);
    // + 0.000000000000000001 = 0.08
    controller.fold(ratedEntry({ sequence: 2, usd: '0.000000000000000001' }), NOON);
    expect(controller.takeSignals(NOON, 'touched')).toMatchObject([
      { state: 'warn', spent_usd: '0.08', version: 2, cause: { event_id: uuid(2) } },
    ]);
    // + 0.02 = 0.10
    const closed_at = '2026-11-21T10:00:03.217Z';
    controller.fold(ratedEntry({ sequence: 3, usd: '0.02', closed_at }), NOON);
    controller.fold(ratedEntry({ sequence: 4, usd: '0.01' }), NOON);
    expect(controller.takeSignals(NOON, 'touched')).toMatchObject([
      { state: 'block', spent_usd: '0.11', version: 3, cause: { event_id: uuid(3), closed_at } },
    ]);
  });

  it('goes from clear to block in one batch with one signal', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '1' }));
    controller.takeSignals(NOON, 'all');
    for (const sequence of [1, 2, 3]) {
      controller.fold(ratedEntry({ sequence, usd: '0.4' }), NOON); // 0.4 -> 0.8 (warn) -> 1.2 (block)
    }
    expect(controller.takeSignals(NOON, 'touched')).toMatchObject([
      { state: 'block', spent_usd: '1.2', version: 2, cause: { event_id: uuid(3) } },
    ]);
  });

  it('is silent while nothing changes, and refreshes a warning at most once a second', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '1' }));
    controller.fold(ratedEntry({ sequence: 1, usd: '0.8' }), NOON);
    expect(controller.takeSignals(NOON, 'touched')).toHaveLength(1);
    controller.fold(ratedEntry({ sequence: 2, usd: '0.01' }), NOON);
    expect(controller.takeSignals(later(999), 'all')).toEqual([]);
    expect(controller.takeSignals(later(1000), 'all')).toMatchObject([
      { state: 'warn', spent_usd: '0.81', version: 2, cause: { event_id: uuid(2) } },
    ]);
    expect(controller.takeSignals(later(5000), 'all')).toEqual([]);
  });

  it('blocks at once under a limit of zero', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '0' }));
    expect(controller.takeSignals(NOON, 'all')).toMatchObject([{ state: 'block', spent_usd: '0' }]);
  });
});

describe('what counts', () => {
  it('leaves out unrated events, calls under the own key of a customer, and other tenants', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '10' }));
    expect(controller.fold(ratedEntry({ sequence: 1 }), NOON)).toBe('unrated');
    expect(controller.fold(ratedEntry({ sequence: 2, usd: '5', byo_key: true }), NOON)).toBe(
      'byo_key',
    );
    expect(controller.fold(ratedEntry({ sequence: 3, usd: '5', tenant: 'globex' }), NOON)).toBe(
      'counted',
    );
    expect(controller.status(NOON)).toMatchObject([
      { spent_usd: '0', settled_events: 0, as_of: null },
    ]);
  });

  it('counts a free call as settled', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '10' }));
    controller.fold(ratedEntry({ sequence: 1, usd: '0' }), NOON);
    expect(controller.status(NOON)).toMatchObject([{ spent_usd: '0', settled_events: 1 }]);
  });

  it('follows a re-rating: reversal of the first charge, then the second', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '1' }));
    controller.fold(ratedEntry({ sequence: 1, usd: '1' }), NOON);
    expect(controller.takeSignals(NOON, 'touched')).toMatchObject([{ state: 'block' }]);
    controller.fold(ratedEntry({ sequence: 1, kind: 'reversal', usd: '-1' }), NOON);
    controller.fold(ratedEntry({ sequence: 1, revision: 2, usd: '0.25' }), NOON);
    // 1 - 1 + 0.25 = 0.25, below the warning of 0.80
    expect(controller.takeSignals(NOON, 'touched')).toMatchObject([
      { state: 'clear', spent_usd: '0.25', version: 2 },
    ]);
    expect(controller.status(NOON)).toMatchObject([{ settled_events: 1 }]);
  });

  it('rates by replay what had no price: only then it settles', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '1' }));
    controller.fold(ratedEntry({ sequence: 1 }), NOON);
    controller.fold(ratedEntry({ sequence: 1, revision: 2, usd: '0.5' }), NOON);
    expect(controller.status(NOON)).toMatchObject([{ spent_usd: '0.5', settled_events: 1 }]);
  });

  it('counts by event time: the last millisecond of a month is not the next month', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '10' }));
    controller.fold(
      ratedEntry({ sequence: 1, usd: '3', event_ts: '2026-11-30T23:59:59.999Z' }),
      NOON,
    );
    controller.fold(
      ratedEntry({ sequence: 2, usd: '4', event_ts: '2026-12-01T00:00:00.000Z' }),
      NOON,
    );
    expect(controller.status(NOON)).toMatchObject([{ spent_usd: '3' }]);
    expect(controller.status('2026-12-01T00:00:00.000Z')).toMatchObject([{ spent_usd: '4' }]);
  });
});

describe('records and the calendar', () => {
  it('lifts a block when the limit is raised, and blocks again when it is lowered', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '1' }));
    controller.fold(ratedEntry({ sequence: 1, usd: '1.5' }), NOON);
    controller.takeSignals(NOON, 'touched');
    controller.setBudgets([budgetOf({ limit_usd: '5' })]);
    const [raised] = controller.takeSignals(NOON, 'all');
    expect(raised).toMatchObject({ state: 'clear', limit_usd: '5', version: 2 });
    expect(raised).not.toHaveProperty('cause');
    controller.setBudgets([budgetOf({ limit_usd: '1.5' })]);
    expect(controller.takeSignals(NOON, 'all')).toMatchObject([{ state: 'block', version: 3 }]);
  });

  it('lifts the block of a budget that was removed, once', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '0' }));
    controller.takeSignals(NOON, 'all');
    controller.setBudgets([]);
    expect(controller.takeSignals(NOON, 'all')).toMatchObject([{ state: 'clear', version: 2 }]);
    expect(controller.takeSignals(NOON, 'all')).toEqual([]);
    expect(controller.status(NOON)).toEqual([]);
  });

  it('goes on from the newest version found in the log, whatever order it was read in', () => {
    const first = controllerWith(budgetOf({ limit_usd: '1' }));
    const [one] = first.takeSignals(NOON, 'all');
    first.fold(ratedEntry({ sequence: 1, usd: '2' }), NOON);
    const [two] = first.takeSignals(NOON, 'touched');
    const second = new BudgetController();
    for (const signal of [two, one]) if (signal) second.learnSignal(signal);
    second.setBudgets([budgetOf({ limit_usd: '1' })]);
    second.fold(ratedEntry({ sequence: 1, usd: '2' }), NOON);
    expect(second.takeSignals(NOON, 'all')).toEqual([]);
    second.setBudgets([budgetOf({ limit_usd: '9' })]);
    expect(second.takeSignals(NOON, 'all')).toMatchObject([{ state: 'clear', version: 3 }]);
  });

  it('clears at the end of the day, even when the next call comes first', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '1', window: 'day' }));
    controller.fold(ratedEntry({ sequence: 1, usd: '1' }), NOON);
    controller.takeSignals(NOON, 'touched');
    expect(controller.nextReset(NOON)).toBe('2026-11-22T00:00:00.000Z');
    const midnight = '2026-11-22T00:00:00.000Z';
    controller.fold(ratedEntry({ sequence: 2, usd: '0.1', event_ts: midnight }), midnight);
    const [signal] = controller.takeSignals(midnight, 'touched');
    expect(signal).toMatchObject({
      state: 'clear',
      spent_usd: '0.1',
      window_start: midnight,
      resets_at: '2026-11-23T00:00:00.000Z',
    });
  });

  it('keeps a total for ever: no window, no reset', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '1', window: 'total' }));
    controller.fold(ratedEntry({ sequence: 1, usd: '0.5' }), NOON);
    controller.takeSignals(NOON, 'all');
    expect(controller.nextReset(NOON)).toBeNull();
    controller.fold(
      ratedEntry({ sequence: 2, usd: '0.5', event_ts: '2028-01-01T00:00:00.000Z' }),
      '2028-01-01T00:00:00.000Z',
    );
    const [signal] = controller.takeSignals('2028-01-01T00:00:00.000Z', 'touched');
    expect(signal).toMatchObject({ state: 'block', spent_usd: '1' });
    expect(signal).not.toHaveProperty('window_start');
  });

  it('takes no signal from a late call of a window that is over', () => {
    const controller = controllerWith(budgetOf({ limit_usd: '1', window: 'day' }));
    controller.takeSignals(NOON, 'all');
    controller.fold(
      ratedEntry({ sequence: 1, usd: '5', event_ts: '2026-11-20T23:59:59.999Z' }),
      NOON,
    );
    expect(controller.takeSignals(NOON, 'touched')).toEqual([]);
  });
});
