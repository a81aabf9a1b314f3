import fc from 'fast-check';
import { expect, test } from 'vitest';
import { attoUsd, microUsdHalfEven } from '../../services/biller/core/micro-usd.ts';
import type { WindowSpend } from '../../services/biller/core/plan-pushes.ts';
import { planStream } from '../../services/biller/core/plan-pushes.ts';
import type { PushRecord } from '../../services/biller/core/push-record.ts';

const DAY_ONE = Date.parse('2026-11-01T00:00:00.000Z');
const HOUR_MS = 3_600_000;

const usd = (atto: bigint): string => {
  const digits = (atto < 0n ? -atto : atto).toString().padStart(19, '0');
  return `${atto < 0n ? '-' : ''}${digits.slice(0, -18)}.${digits.slice(-18)}`;
};

/** Ledger entries landing in some hour of the first four days, in the order they are written; now and then a reversal. */
const growth = fc.array(
  fc.record({
    hour: fc.integer({ min: 0, max: 95 }),
    atto: fc.bigInt({ min: -(10n ** 17n), max: 10n ** 18n }),
    pushAfter: fc.boolean(),
    refuse: fc.boolean(),
  }),
  { minLength: 1, maxLength: 40 },
);

const asSpend = (ledger: ReadonlyMap<number, bigint>): WindowSpend[] =>
  [...ledger].map(([hour, atto]) => ({
    windowStart: new Date(DAY_ONE + hour * HOUR_MS).toISOString(),
    amountUsd: usd(atto),
  }));

/** Carries a plan out in memory, as the outbox would. A refused push is planned again by the next run. */
const carryOut = (outbox: PushRecord[], spend: WindowSpend[], nowMs: number, refuse = false) => {
  for (const planned of planStream({ spend, pushed: outbox, nowMs }).pushes) {
    outbox.push({
      ...planned,
      pushId: `${planned.windowStart}/${planned.revision}`,
      step: 1,
      state: refuse ? 'failed' : 'sent',
      account: 'test',
      mappingId: 'acme-stripe',
      tenant: 'acme',
      customer: 'cus_1',
      meter: 'llm_cost',
      period: '2026-11',
      identifier: `${planned.windowStart}/${planned.revision}`,
      attemptedAt: null,
      verifiedAt: null,
      reason: refuse ? 'refused: 400' : '',
    });
  }
};

const delivered = (outbox: readonly PushRecord[]): bigint =>
  outbox.reduce((sum, push) => (push.state === 'sent' ? sum + push.value : sum), 0n);

test('however the ledger grows and however often it is pushed, the period sums to its total rounded once', () => {
  const nowMs = DAY_ONE + 5 * 24 * HOUR_MS;
  fc.assert(
    fc.property(growth, (entries) => {
      const ledger = new Map<number, bigint>();
      const outbox: PushRecord[] = [];
      for (const { hour, atto, pushAfter, refuse } of entries) {
        ledger.set(hour, (ledger.get(hour) ?? 0n) + atto);
        if (pushAfter) carryOut(outbox, asSpend(ledger), nowMs, refuse);
      }
      carryOut(outbox, asSpend(ledger), nowMs);
      const total = [...ledger.values()].reduce((sum, atto) => sum + atto, 0n);
      expect(delivered(outbox)).toBe(microUsdHalfEven(total));
      expect(planStream({ spend: asSpend(ledger), pushed: outbox, nowMs }).pushes).toEqual([]);
      expect(new Set(outbox.map((push) => push.identifier)).size).toBe(outbox.length);
    }),
    { numRuns: 300 },
  );
});

test('pushing hour by hour while time passes ends at the same total as one push at the end', () => {
  fc.assert(
    fc.property(growth, (entries) => {
      const ledger = new Map<number, bigint>();
      const outbox: PushRecord[] = [];
      for (const { hour, atto, pushAfter } of entries) {
        ledger.set(hour, (ledger.get(hour) ?? 0n) + atto);
        // The clock stands in the middle of this entry's hour; hours after it have not begun.
        if (pushAfter) carryOut(outbox, asSpend(ledger), DAY_ONE + hour * HOUR_MS + HOUR_MS / 2);
      }
      carryOut(outbox, asSpend(ledger), DAY_ONE + 96 * HOUR_MS);
      const once = planStream({
        spend: asSpend(ledger),
        pushed: [],
        nowMs: DAY_ONE + 96 * HOUR_MS,
      });
      expect(delivered(outbox)).toBe(once.target);
    }),
    { numRuns: 300 },
  );
});

test('every stamp lies in its window and not in the future', () => {
  fc.assert(
    fc.property(growth, fc.integer({ min: 0, max: 96 * HOUR_MS }), (entries, sinceStart) => {
      const nowMs = DAY_ONE + sinceStart;
      const ledger = new Map(entries.map(({ hour, atto }) => [hour, atto]));
      for (const push of planStream({ spend: asSpend(ledger), pushed: [], nowMs }).pushes) {
        const at = Date.parse(push.eventAt);
        expect(at).toBeLessThanOrEqual(nowMs);
        expect(at - Date.parse(push.windowStart)).toBeGreaterThanOrEqual(0);
        expect(at - Date.parse(push.windowStart)).toBeLessThan(HOUR_MS);
        expect(at % 1000).toBe(0);
      }
    }),
  );
});

test('rounding is to the nearest micro-USD and to the even one at a tie, on both sides of zero', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }), (atto) => {
      const micro = microUsdHalfEven(atto);
      const twice = 2n * (atto - micro * 10n ** 12n);
      expect(twice <= 10n ** 12n && twice >= -(10n ** 12n)).toBe(true);
      if (twice === 10n ** 12n || twice === -(10n ** 12n)) expect(micro % 2n).toBe(0n);
      expect(microUsdHalfEven(attoUsd(usd(atto)))).toBe(micro);
    }),
  );
});
