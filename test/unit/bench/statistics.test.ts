import { expect, test } from 'vitest';
import { median, pairedMedian, percentile } from '../../bench/proxy/statistics.ts';

test('a percentile is a value that was measured, by nearest rank', () => {
  const sorted = Array.from({ length: 200 }, (_, index) => index + 1);
  // 0.5 x 200 = the 100th value, 0.99 x 200 = the 198th.
  expect([percentile(sorted, 0.5), percentile(sorted, 0.99), percentile(sorted, 1)]).toEqual([
    100, 198, 200,
  ]);
  expect(percentile([7], 0.99)).toBe(7);
});

test('what was not measured is no zero', () => {
  expect(percentile([], 0.5)).toBeNaN();
  expect(median([])).toBeNaN();
});

test('a median is the middle, or the mean of the two in the middle, in whatever order they came', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

test('rounds are compared with themselves, so that a slow minute of the machine falls on both', () => {
  // Half of theirs in each round: 50/100, 100/200, 400/800.
  expect(pairedMedian([50, 100, 400], [100, 200, 800], (our, their) => our / their)).toBe(0.5);
  // 50/100, 100/100, 100/200: the middle one is a half, although both medians are 100.
  expect(pairedMedian([50, 100, 100], [100, 100, 200], (our, their) => our / their)).toBe(0.5);
});
