import { expect, test } from 'vitest';
import { nextPeriod, postingPeriods } from '../../../services/rater/core/posting-period.ts';

test('after December comes January of the next year', () => {
  expect(nextPeriod('2026-01')).toBe('2026-02');
  expect(nextPeriod('2026-11')).toBe('2026-12');
  expect(nextPeriod('2026-12')).toBe('2027-01');
  expect(nextPeriod('0999-12')).toBe('1000-01');
});

test('an open period is posted into itself, a closed one into the first open one after it', () => {
  const postingPeriodOf = postingPeriods(new Set(['2026-10', '2026-11', '2027-01']));
  expect(postingPeriodOf('2026-09')).toBe('2026-09');
  expect(postingPeriodOf('2026-10')).toBe('2026-12');
  expect(postingPeriodOf('2026-11')).toBe('2026-12');
  expect(postingPeriodOf('2027-01')).toBe('2027-02');
});
