import { describe, expect, it } from 'vitest';
import type { Allowance, PassThrough, PriceBook } from '../../../schemas/price-book.ts';
import { nextVersion } from '../../../services/cli/commands/price-diff.ts';
import { diffRules, newRules } from '../../../services/cli/commands/price-rule-diff.ts';
import { book, plainPrices } from './pricing-fixtures.ts';

const source = { source: 'https://example.test/rules', retrieved_at: '2026-11-01' };
const passThrough: PassThrough = { valid_from: '2026-01-01T00:00:00.000Z', ...source };
const hours: Allowance = {
  meter: 'code_execution_hours',
  quantity: '1550',
  per: 'month',
  valid_from: '2026-01-01T00:00:00.000Z',
  ...source,
};
const first = book(plainPrices());
const rules = (rest: Partial<PriceBook>): PriceBook => ({ ...first, version: 2, ...rest });
const published = [first, rules({ prices: [], pass_through: [passThrough], allowances: [hours] })];

describe('rules of a book', () => {
  it('are shown in the diff like prices when they are added, changed and gone', () => {
    const rows = (versions: PriceBook[], rest: Partial<PriceBook>) =>
      diffRules(versions, rules(rest)).map(
        ({ kind, model, meter, conditions, before, after, flag }) =>
          [kind, model, meter, conditions, before, after, flag].join(' | '),
      );
    expect(rows([first], { pass_through: [passThrough], allowances: [hours] })).toEqual([
      'added | * | stated_cost_micro_usd | costs what the provider states |  | 0.000001 | ',
      'added | * | code_execution_hours | free a month |  | 1550 | ',
    ]);
    const ended = { ...passThrough, models: ['a', 'b'], valid_to: '2026-06-01T00:00:00.000Z' };
    expect(
      rows(published, { pass_through: [ended], allowances: [{ ...hours, quantity: '50' }] }),
    ).toEqual([
      'added | a b | stated_cost_micro_usd | costs what the provider states |  | 0.000001 until 2026-06-01T00:00:00.000Z | ',
      'removed | * | stated_cost_micro_usd | costs what the provider states | 0.000001 |  | stays in force until it is ended by hand',
      'changed | * | code_execution_hours | free a month | 1550 | 50 | ',
    ]);
  });

  it('make a version of their own, and are not stated again where nothing of them changed', () => {
    const candidate = rules({ version: 3, pass_through: [passThrough], allowances: [hours] });
    expect(nextVersion([first], candidate)).toMatchObject({
      prices: [],
      pass_through: [passThrough],
      allowances: [hours],
    });
    expect(nextVersion(published, candidate)).toBeNull();
    const later = { ...candidate, allowances: [{ ...hours, ...source, quantity: '2000' }] };
    expect(newRules(published, later)).toEqual({ allowances: later.allowances });
  });

  it('do not change by their sources, nor by a version that is silent about them', () => {
    const read = { ...hours, source: 'read again', retrieved_at: '2026-12-01' };
    const silent = [...published, rules({ version: 3, prices: [] })];
    expect(newRules(silent, rules({ allowances: [read] }))).toEqual({});
  });
});
