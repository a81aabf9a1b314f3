import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addAmounts, negateAmount, scaledAmount } from '../../pricing/money.ts';
import type { StatementItem } from '../../schemas/statement-line.ts';
import type { Meter } from '../../schemas/words.ts';
import { buildReport } from '../../services/reconciler/core/build-report.ts';
import type { LedgerCharge, LedgerEvent } from '../../services/reconciler/core/call.ts';
import type { LedgerSum } from '../../services/reconciler/core/cell-facts.ts';
import type { StatementSum } from '../../services/reconciler/core/effective-lines.ts';
import { matchAttempts } from '../../services/reconciler/core/match-attempts.ts';

const amount = fc
  .tuple(fc.integer({ min: 0, max: 9 }), fc.bigInt({ min: 0n, max: 10n ** 18n - 1n }))
  .map(([whole, fraction]) => addAmounts([`${whole}.${fraction.toString().padStart(18, '0')}`]));
const quantity = fc.integer({ min: 0, max: 50 }).map(String);
const model = fc.constantFrom('gpt-5', 'gpt-5-2025-08-07', 'gpt-4o-mini-2024-07-18', 'other');
const meter = fc.constantFrom<Meter>(
  'input_uncached',
  'cache_read',
  'cache_write_30m',
  'cache_write_12h',
  'output_text',
  'output_reasoning',
  'web_search_requests',
);

const ledgerSum: fc.Arbitrary<LedgerSum> = fc.record({
  model,
  meter,
  quantity,
  amount_usd: amount,
  flagged_usd: amount,
  flagged_events: fc.integer({ min: 0, max: 3 }),
  largest_stated_usd: amount,
});
const statementSum: fc.Arbitrary<StatementSum> = fc
  .record({
    statement_id: fc.constantFrom('a', 'b', 'c'),
    day_start: fc.constantFrom('2026-11-01T00:00:00.000Z', '2026-11-02T00:00:00.000Z'),
    model: fc.option(model),
    meter: fc.option(meter),
    quantity: fc.option(quantity),
    amount_usd: fc.oneof(amount, amount.map(negateAmount)),
    lines: fc.integer({ min: 1, max: 4 }),
    description: fc.constantFrom('', 'credit'),
  })
  .filter((sum) => (sum.meter === null) === (sum.model === null));
const files = ['a', 'b', 'c'].map((statement_id, index) => ({
  statement_id,
  file_name: `${statement_id}.csv`,
  lines: 1,
  imported_at: `2026-12-0${index + 1}T00:00:00.000Z`,
  amount_places: index * 6,
}));

const request = fc.constantFrom('', 'r1', 'r2', 'r3', 'r4');
const charge: fc.Arbitrary<LedgerCharge> = fc
  .record({
    provider_request_id: request,
    copy: fc.boolean(),
    model,
    meter,
    quantity,
    amount_usd: amount,
  })
  .map(({ copy, ...rest }) => {
    const event_id = `event-${rest.provider_request_id}-${copy}`;
    return { ...rest, event_id, attempt_id: event_id };
  });
const event: fc.Arbitrary<LedgerEvent> = fc
  .record({ provider_request_id: request, model, flagged: fc.boolean() })
  .map((rest) => {
    const event_id = `event-${rest.provider_request_id}-true`;
    return { ...rest, event_id, attempt_id: event_id };
  });
const item: fc.Arbitrary<StatementItem> = fc.record({
  provider: fc.constant('openai'),
  provider_request_id: fc.constantFrom('r1', 'r2', 'r3', 'r5', 'r6'),
  model,
  meter,
  quantity,
  amount_usd: amount,
});
const calls = fc.record({
  charges: fc.array(charge, { maxLength: 10 }),
  events: fc.array(event, { maxLength: 4 }),
  items: fc.array(item, { maxLength: 10 }),
});

const inputs = fc.record({
  ledger: fc.array(ledgerSum, { maxLength: 8 }),
  sums: fc.array(statementSum, { maxLength: 10 }),
  unrated: fc.array(fc.record({ model, events: fc.integer({ min: 1, max: 3 }) }), { maxLength: 2 }),
  calls: fc.option(calls, { nil: undefined }),
});

describe('reconciler', () => {
  it('causes always add up to the delta, cell by cell and in total, and so do explained and unexplained', () => {
    fc.assert(
      fc.property(inputs, ({ ledger, sums, unrated, calls: perCall }) => {
        const report = buildReport({
          run_id: 'run',
          run_at: '2026-12-02T00:00:00.000Z',
          provider: 'openai',
          period: '2026-11',
          tolerance_usd: '0',
          ledger,
          unrated,
          statements: { files, sums },
          ...(perCall ? { calls: perCall } : {}),
        });
        for (const part of [report, ...report.cells]) {
          const delta = addAmounts([part.statement_usd, negateAmount(part.ledger_usd)]);
          expect(part.delta_usd).toBe(delta);
          expect(addAmounts(part.causes.map((cause) => cause.amount_usd))).toBe(delta);
          expect(addAmounts([part.explained_usd, part.unexplained_usd])).toBe(delta);
        }
        expect(report.ledger_usd).toBe(addAmounts(ledger.map((sum) => sum.amount_usd)));
      }),
      { numRuns: 300 },
    );
  });

  it('differences and their cells carry all that the two sides differ by', () => {
    fc.assert(
      fc.property(calls, ({ charges, events, items }) => {
        const { differences, contributions } = matchAttempts(
          { charges, events },
          items,
          (m, k) => ({
            model: m,
            meter: k,
          }),
        );
        const ours = addAmounts(charges.map((c) => c.amount_usd));
        const theirs = addAmounts(items.map((i) => i.amount_usd));
        const delta = addAmounts([theirs, negateAmount(ours)]);
        expect(addAmounts(differences.map((d) => d.delta_usd))).toBe(delta);
        const inCells = contributions.reduce((sum, part) => sum + part.amount, 0n);
        expect(inCells).toBe(scaledAmount(delta));
      }),
      { numRuns: 300 },
    );
  });

  it('identical records give no difference, whatever is flagged', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 10 }), fc.array(event), (items, events) => {
        const charges = items.map(({ provider: _provider, ...rest }) => ({
          ...rest,
          event_id: `event-${rest.provider_request_id}-true`,
          attempt_id: `event-${rest.provider_request_id}-true`,
        }));
        const result = matchAttempts({ charges, events }, items, (m, k) => ({
          model: m,
          meter: k,
        }));
        expect(result.differences).toEqual([]);
      }),
    );
  });
});
