import { expect, test } from 'vitest';
import { findMappingProblems } from '../../../services/biller/core/check-mappings.ts';
import { attoUsd, microUsdHalfEven } from '../../../services/biller/core/micro-usd.ts';
import { planStream } from '../../../services/biller/core/plan-pushes.ts';
import type { PushRecord } from '../../../services/biller/core/push-record.ts';
import { nextAct, settleByComparison } from '../../../services/biller/core/settle-unknown.ts';
import { pushIdentifier } from '../../../services/biller/push-identifier.ts';

const NOW = Date.parse('2026-11-21T14:20:30.500Z');
const at = (hour: string) => `2026-11-21T${hour}:00:00.000Z`;

const push = (over: Partial<PushRecord>): PushRecord => ({
  pushId: 'p1',
  step: 1,
  state: 'sent',
  account: 'api.stripe.com/test',
  mappingId: 'acme-stripe',
  tenant: 'acme',
  customer: 'cus_1',
  meter: 'llm_cost',
  period: '2026-11',
  windowStart: at('10'),
  revision: 1,
  identifier: 'p1',
  value: 1n,
  eventAt: '2026-11-21T10:30:00.000Z',
  attemptedAt: null,
  verifiedAt: null,
  reason: '',
  ...over,
});

test.each([
  ['0.0000005', 0n],
  ['0.0000015', 2n],
  ['0.0000025', 2n],
  ['0.000000500000000001', 1n],
  ['-0.0000015', -2n],
  ['-0.0000005', 0n],
  ['48.118004', 48_118_004n],
  ['0', 0n],
])('%s USD is %s micro-USD', (amount, micro) => {
  expect(microUsdHalfEven(attoUsd(amount))).toBe(micro);
});

test('an amount that is not a plain decimal is refused', () => {
  expect(() => attoUsd('1e-7')).toThrow(RangeError);
  expect(() => attoUsd('0.0000000000000000001')).toThrow(RangeError);
});

test('three hours of 0.4 micro-USD push 0, 1 and 0: together 1.2, rounded once', () => {
  // cumulative 0.4, 0.8, 1.2 -> rounded 0, 1, 1 -> windows 0, 1, 0
  const spend = ['10', '11', '12'].map((hour) => ({
    windowStart: at(hour),
    amountUsd: '0.0000004',
  }));
  const plan = planStream({ spend, pushed: [], nowMs: NOW });
  expect(plan.pushes.map((p) => [p.windowStart, p.value])).toEqual([[at('11'), 1n]]);
  expect(plan.target).toBe(1n);
});

test('a late event in a pushed hour becomes a signed delta with the next revision', () => {
  const pushed = [push({ value: 250_000n })];
  const more = planStream({
    spend: [{ windowStart: at('10'), amountUsd: '0.26' }],
    pushed,
    nowMs: NOW,
  });
  expect(more.pushes).toEqual([
    { windowStart: at('10'), revision: 2, value: 10_000n, eventAt: '2026-11-21T10:30:00.000Z' },
  ]);
  const less = planStream({
    spend: [{ windowStart: at('10'), amountUsd: '0.2' }],
    pushed,
    nowMs: NOW,
  });
  expect(less.pushes[0]).toMatchObject({ revision: 2, value: -50_000n });
});

test('an hour whose spend has gone altogether is taken back', () => {
  const plan = planStream({ spend: [], pushed: [push({ value: 7n })], nowMs: NOW });
  expect(plan.pushes[0]).toMatchObject({ windowStart: at('10'), revision: 2, value: -7n });
});

test('the hour in progress is stamped with the second now, an hour that has not begun waits', () => {
  const spend = ['14', '15'].map((hour) => ({ windowStart: at(hour), amountUsd: '1' }));
  const plan = planStream({ spend, pushed: [], nowMs: NOW });
  expect(plan.pushes).toEqual([
    { windowStart: at('14'), revision: 1, value: 1_000_000n, eventAt: '2026-11-21T14:20:30.000Z' },
  ]);
});

test('an unknown outcome counts as pushed, a refusal does not', () => {
  const spend = [{ windowStart: at('10'), amountUsd: '0.000005' }];
  const unknown = [push({ state: 'sending', value: 5n })];
  expect(planStream({ spend, pushed: unknown, nowMs: NOW }).pushes).toEqual([]);
  const refused = [push({ state: 'failed', value: 5n, reason: 'refused: 400' })];
  expect(planStream({ spend, pushed: refused, nowMs: NOW }).pushes[0]).toMatchObject({
    revision: 2,
    value: 5n,
  });
});

test('a difference in an hour more than 34 days ago expires, and is on record once', () => {
  const windowStart = '2026-10-18T10:00:00.000Z';
  const spend = [{ windowStart, amountUsd: '0.000005' }];
  const plan = planStream({ spend, pushed: [], nowMs: NOW });
  expect(plan.pushes).toEqual([]);
  expect(plan.expired).toMatchObject([{ windowStart, value: 5n }]);
  const recorded = [push({ windowStart, value: 5n, state: 'failed', reason: 'expired: too old' })];
  expect(planStream({ spend, pushed: recorded, nowMs: NOW }).expired).toEqual([]);
});

test('an identifier is repeated for 20 hours, and looked up before it is used again later', () => {
  const tried = (attemptedAt: string) => push({ state: 'sending', attemptedAt });
  expect(nextAct(tried('2026-11-20T18:20:31.000Z'), NOW)).toBe('send');
  expect(nextAct(tried('2026-11-20T18:20:30.000Z'), NOW)).toBe('compare');
  expect(nextAct(push({ state: 'planned' }), NOW)).toBe('send');
  const old = '2026-10-18T10:30:00.000Z';
  expect(nextAct(push({ state: 'planned', eventAt: old }), NOW)).toBe('expire');
  expect(nextAct(push({ state: 'sending', eventAt: old, attemptedAt: old }), NOW)).toBe('compare');
});

test('a comparison says delivered, absent, or that a person has to look', () => {
  const known = [push({ value: 10n })];
  const open = [push({ value: 3n }), push({ value: 4n })];
  expect(settleByComparison(known, open, 17n)).toBe('delivered');
  expect(settleByComparison(known, open, 10n)).toBe('absent');
  expect(settleByComparison(known, open, 13n)).toBe('unclear');
  expect(settleByComparison(known, [push({ value: 3n }), push({ value: -3n })], 10n)).toBe(
    'unclear',
  );
});

test('two mappings of a tenant to one meter, and a customer changed inside a period, stop that tenant alone', () => {
  const mapping = { id: 'a', tenant: 'acme', customer: 'cus_1', event_name: 'llm_cost' };
  const globex = { id: 'g', tenant: 'globex', customer: 'cus_2', event_name: 'llm_cost' };
  expect(findMappingProblems([mapping, globex], [])).toEqual([]);
  const twice = findMappingProblems(
    [mapping, { ...mapping, id: 'b', customer: 'cus_3' }, globex],
    [],
  );
  expect(twice.map((problem) => problem.mapping_id)).toEqual(['a', 'b']);
  const moved = findMappingProblems([{ ...mapping, customer: 'cus_9' }], [push({ value: 12n })]);
  expect(moved[0]?.detail).toContain('has 12 micro-USD of this period pushed to customer cus_1');
});

test('a tenant moved to another meter in the middle of a period is stopped, since the first one keeps what it was sent', () => {
  const mapping = { id: 'a', tenant: 'acme', customer: 'cus_1', event_name: 'llm_cost' };
  const sent = [push({ value: 12n })];
  for (const moved of [
    { ...mapping, event_name: 'llm_cost_v2' },
    { ...mapping, id: 'b', customer: 'cus_9', event_name: 'llm_cost_v2' },
  ]) {
    const [problem] = findMappingProblems([moved], sent);
    expect(problem?.detail).toContain('12 micro-USD of this period pushed to customer cus_1');
  }
  expect(findMappingProblems([mapping, { ...mapping, id: 'b', event_name: 'v2' }], sent)).toEqual(
    [],
  );
});

test('an identifier is a function of account, meter, customer, tenant, hour and revision, within 100 characters', () => {
  const parts = {
    account: 'api.stripe.com/test',
    meter: 'llm_cost',
    customer: 'cus_1',
    tenant: 'acme',
    windowStart: at('10'),
    revision: 1,
  };
  const all = [
    parts,
    { ...parts, account: 'api.stripe.com/live' },
    { ...parts, meter: 'other' },
    { ...parts, customer: 'cus_2' },
    { ...parts, tenant: 'globex' },
    { ...parts, windowStart: at('11') },
    { ...parts, revision: 2 },
  ].map(pushIdentifier);
  expect(pushIdentifier({ ...parts })).toBe(all[0]);
  expect(new Set(all).size).toBe(7);
  expect(all.every((identifier) => identifier.length <= 100)).toBe(true);
});
