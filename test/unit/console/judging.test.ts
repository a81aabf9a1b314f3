import { expect, test } from 'vitest';
import { judgeTotals } from '../../../services/console/core/judge-totals.ts';
import {
  axisSteps,
  decimalsFor,
  percent,
  shareOf,
  shortUsd,
} from '../../../services/console/web/src/money.ts';
import { EQUAL_TOTALS } from './console-fakes.ts';

test('totals that agree are equal, whatever is still on its way', () => {
  expect(judgeTotals(EQUAL_TOTALS, 0).verdict).toBe('equal');
  expect(judgeTotals({ ...EQUAL_TOTALS, difference_usd: '-0.000000' }, 5).verdict).toBe('equal');
});

test('a difference while records are on their way is settling; with none on their way it is a difference', () => {
  const totals = { ...EQUAL_TOTALS, difference_usd: '0.000000000000000001' };
  expect(judgeTotals(totals, 3).verdict).toBe('behind');
  expect(judgeTotals(totals, null).verdict).toBe('unknown');
  expect(judgeTotals(totals, 0)).toEqual({
    verdict: 'differ',
    differences: ['charges and rollups differ by 0.000000000000000001 USD'],
  });
});

test('what is quarantined or numbered twice never comes right by waiting', () => {
  const quarantined = { ...EQUAL_TOTALS, quarantined: { usage: '1', rated: '0' } };
  expect(judgeTotals(quarantined, 100).verdict).toBe('differ');
  const repeated = { ...EQUAL_TOTALS, sequences: [{ missing: '0', repeated: '2' }] };
  expect(judgeTotals(repeated, 100).verdict).toBe('differ');
});

test.each([
  ['1234567.895', 2, '1,234,567.90'],
  ['48.118004', 4, '48.1180'],
  ['0.00000000000000001', 4, '< 0.0001'],
  ['0', 4, '0.0000'],
  ['-12.5', 2, '−12.50'],
  ['0.00005', 4, '0.0001'],
])('%s USD in %s decimals reads %s', (amount, decimals, text) => {
  expect(shortUsd(amount, decimals)).toBe(text);
});

test('a column shows cents once an amount reaches 100 USD', () => {
  expect(decimalsFor(['99.999999', '3'])).toBe(4);
  expect(decimalsFor(['100', '3'])).toBe(2);
});

test('shares are parts of the whole, and a whole of nothing has none', () => {
  expect(shareOf('1', '3')).toBe(0.3333);
  expect(shareOf('1', '0')).toBe(0);
  expect(percent(0.004)).toBe('< 1 %');
  expect(percent(0)).toBe('0 %');
});

test('an axis has at most five even steps and reaches the greatest amount', () => {
  expect(axisSteps('86.0224')).toEqual(['0', '50', '100']);
  expect(axisSteps('0.00031')).toEqual(['0', '0.0001', '0.0002', '0.0003', '0.0004']);
  expect(axisSteps('0')).toEqual([]);
});
