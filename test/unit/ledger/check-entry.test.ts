import { describe, expect, test } from 'vitest';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import { checkEntry, isStorableInstant } from '../../../services/ledger/core/check-entry.ts';
import { ratedUsage, usageEvent } from '../../integration/ledger-facts.ts';

const entry = ratedUsage(usageEvent({ tenant: 'acme', number: 1, space: 1 }));
const [input, output] = entry.charges as [
  RatedUsage['charges'][number],
  RatedUsage['charges'][number],
];

describe('an entry is believed only if its arithmetic is exact', () => {
  test('1000 x 0.00000025 + 200 x 0.000002 = 0.00065', () => {
    expect(entry.total_usd).toBe('0.000650000000000000');
    expect(checkEntry(entry)).toBeNull();
  });

  test('a reversal has negative quantities and amounts', () => {
    const reversal = ratedUsage(usageEvent({ tenant: 'acme', number: 1, space: 1 }), {
      kind: 'reversal',
    });
    expect(reversal.total_usd).toBe('-0.000650000000000000');
    expect(checkEntry(reversal)).toBeNull();
  });

  test('an amount that is off in its last place is refused', () => {
    const off = { ...output, amount_usd: '0.000400000000000001' };
    expect(checkEntry({ ...entry, charges: [input, off] })).toBe(
      'charge 1 has an amount that is not its quantity times its unit price',
    );
  });

  test('a total that is off in its last place is refused', () => {
    expect(checkEntry({ ...entry, total_usd: '0.000650000000000001' })).toBe(
      'the total is not the sum of the charges',
    );
  });

  test('a quantity the ledger would cut is refused', () => {
    const fine = { ...input, quantity: '0.0000001', amount_usd: '0' };
    expect(checkEntry({ ...entry, charges: [fine] })).toBe(
      'charge 0 has a quantity of more than 6 decimal places',
    );
  });

  test('an amount the ledger would wrap is refused', () => {
    const nines = '9'.repeat(20);
    const huge = { ...input, quantity: nines, unit_price: '1', amount_usd: nines };
    expect(checkEntry({ ...entry, charges: [huge], total_usd: nines })).toBeNull();
    expect(checkEntry({ ...entry, charges: [huge, huge], total_usd: nines })).toBe(
      'charge 1 is larger than the ledger can hold',
    );
  });

  test('an id that is not made of its parts is refused', () => {
    expect(checkEntry({ ...entry, revision: 2 })).toBe(
      'the entry_id is not made of event_id, revision and kind',
    );
  });
});

test.each([
  ['2026-11-21T20:15:00.123Z', true],
  ['2024-02-29T00:00:00.000Z', true],
  ['2026-02-29T00:00:00.000Z', false],
  ['1969-12-31T23:59:59.999Z', false],
  ['2262-01-01T00:00:00.000Z', false],
])('%s can be stored: %s', (instant, storable) => {
  expect(isStorableInstant(instant)).toBe(storable);
});
