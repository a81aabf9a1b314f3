import { describe, expect, it, test } from 'vitest';
import { allocateBill, allocatedBook, billOf } from '../../../pricing/allocation.ts';
import type { AllowanceUse } from '../../../pricing/allowances.ts';
import { allowanceCredits } from '../../../pricing/allowances.ts';
import { commitmentStatus } from '../../../pricing/commitments.ts';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import type { ContractBook } from '../../../schemas/price-book.ts';
import { book, KNOWN, plainPrices, price } from './pricing-fixtures.ts';

const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof RangeError) return error.message;
  }
  return 'not refused';
};
const allocate = (rest: object) => () =>
  allocateBill({ bill_usd: '1', quantities: { input_uncached: '1' }, weights: {}, ...rest });

describe('an allocation that is refused says what was found and what was expected', () => {
  test.each([
    [{ bill_usd: '-0.01' }, 'The bill is below zero; expected what the machines cost.'],
    [
      { quantities: {} },
      'Nothing that has a weight was used; there is nothing to spread the bill over.',
    ],
    [
      { quantities: { images: '1.0000001' } },
      'images is "1.0000001"; expected a decimal of at most 6 places that is not below zero.',
    ],
    [
      { weights: { cache_read: 'a tenth' } },
      'the weight of cache_read is "a tenth"; expected a decimal of at most 6 places that is not below zero.',
    ],
    [
      { quantities: { images: 'x'.repeat(61) } },
      `images is "${'x'.repeat(60)}"; expected a decimal of at most 6 places that is not below zero.`,
    ],
  ])('%j', (rest, message) => {
    expect(refusal(allocate(rest))).toBe(message);
  });

  it('of hours too', () => {
    expect(refusal(() => billOf('-1', '2'))).toBe(
      'the number of hours is "-1"; expected a decimal of at most 6 places that is not below zero.',
    );
    expect(refusal(() => billOf('1', '0.0000000000001'))).toBe(
      'the price of an hour is "0.0000000000001"; expected a decimal of at most 12 places that is not below zero.',
    );
    const month = (text: string) =>
      refusal(() =>
        allocatedBook(allocate({})(), {
          ...{ provider: 'own', model: 'llama', month: text, version: 1 },
          ...{ now: KNOWN, source: 'a bill' },
        }),
      );
    expect(month('2026-1')).toBe('The month is "2026-1"; expected YYYY-MM.');
    expect(month('2026-011')).toBe('The month is "2026-011"; expected YYYY-MM.');
    expect(month('2026-19')).toBe('The month is "2026-19"; expected YYYY-MM.');
  });
});

describe('an allocation at its edges', () => {
  it('of a bill of nothing is prices of nothing', () => {
    expect(allocate({ bill_usd: '0' })()).toEqual({
      prices: [
        { meter: 'input_uncached', unit_price: '0' },
        { meter: 'output_text', unit_price: '0' },
      ],
      charged_usd: '0',
      remainder_usd: '0',
    });
  });

  it('leaves all of a bill that is less than the smallest price of each unit', () => {
    // 10^-12 / 2 a unit: no price of 12 places.
    expect(
      allocate({ bill_usd: '0.000000000001', quantities: { input_uncached: '2' } })(),
    ).toMatchObject({ charged_usd: '0', remainder_usd: '0.000000000001' });
  });

  it('takes the finest quantities and weights, and the months that end a year and begin one', () => {
    const fine = allocate({
      quantities: { input_uncached: '0.000001', output_text: '0.000001' },
      weights: { output_text: '0.000001' },
    })();
    // 1 / (10^-6 + 10^-12) = 999999.000000999999000000999..., and a millionth of it.
    expect(fine.prices).toEqual([
      { meter: 'input_uncached', unit_price: '999999.000000999999' },
      { meter: 'output_text', unit_price: '0.999999' },
    ]);
    const months = ['2026-01', '2026-09', '2026-10', '2026-11', '2026-12'].map((month) => {
      const { prices } = allocatedBook(fine, {
        ...{ provider: 'own', model: 'llama', month, version: 3 },
        ...{ now: KNOWN, source: 'a bill' },
      });
      return `${prices[0]?.valid_from} ${prices[0]?.valid_to}`;
    });
    const start = (month: string) => `${month}-01T00:00:00.000Z`;
    expect(months).toEqual([
      `${start('2026-01')} ${start('2026-02')}`,
      `${start('2026-09')} ${start('2026-10')}`,
      `${start('2026-10')} ${start('2026-11')}`,
      `${start('2026-11')} ${start('2026-12')}`,
      `${start('2026-12')} ${start('2027-01')}`,
    ]);
  });

  it('makes this version, to the word', () => {
    const version = allocatedBook(allocate({ bill_usd: '2' })(), {
      ...{ provider: 'own', model: 'llama', month: '2026-10', version: 3 },
      ...{ now: '2026-11-02T09:30:00.000Z', source: 'bill of 2 USD' },
    });
    const line = (meter: string) => ({
      price_id: `own@3/llama/${meter}/allocated-2026-10`,
      model: 'llama',
      meter,
      unit_price: '2',
      valid_from: '2026-10-01T00:00:00.000Z',
      valid_to: '2026-11-01T00:00:00.000Z',
      known_from: '2026-11-02T09:30:00.000Z',
      source: 'bill of 2 USD',
      retrieved_at: '2026-11-02',
    });
    expect(version).toEqual({
      provider: 'own',
      version: 3,
      currency: 'USD',
      known_from: '2026-11-02T09:30:00.000Z',
      note: 'Allocated: 2 USD charged, 0 USD that no price of 12 places can express.',
      standard_tiers: ['default', 'standard', 'auto'],
      standard_geos: [],
      aliases: [],
      prices: [line('input_uncached'), line('output_text')],
    });
  });
});

const use = (at: string, quantity: string, rest: Partial<AllowanceUse> = {}): AllowanceUse => ({
  at,
  quantity,
  model: 'model-a',
  meter: 'web_search_requests',
  unit_price: '0.01',
  ...rest,
});
const creditsOf = (uses: readonly AllowanceUse[], quantity = '10') =>
  allowanceCredits(
    { provider: 'acme-ai', uses, knownAt: KNOWN },
    createPriceBooks([
      book([...plainPrices(), price('web_search_requests', '0.01')], {
        allowances: [
          {
            meter: 'web_search_requests',
            quantity,
            per: 'month',
            valid_from: '2026-01-01T00:00:00.000Z',
            source: 'https://example.test/free',
            retrieved_at: '2026-11-01',
          },
        ],
      }),
    ]),
  );

describe('allowances at their edges', () => {
  const AT = '2026-11-21T08:00:00.000Z';

  it('say of each credit all that it is made of', () => {
    expect(creditsOf([use(AT, '4')])).toEqual([
      {
        allowance: 'acme-ai@1/allowance/1',
        window: '2026-11',
        model: 'model-a',
        meter: 'web_search_requests',
        quantity: '4',
        unit_price: '0.01',
        credit_usd: '0.04', // 4 x 0.01
      },
    ]);
  });

  it('are used up to the last unit and not beyond, and uses of one moment stay in their order', () => {
    const quantities = (...uses: AllowanceUse[]) => creditsOf(uses).map((one) => one.quantity);
    expect(quantities(use(AT, '10'), use(AT, '1'))).toEqual(['10']);
    expect(quantities(use(AT, '9.999999'), use(AT, '1'))).toEqual(['9.999999', '0.000001']);
    expect(quantities(use(AT, '7'), use(AT, '5'))).toEqual(['7', '3']);
    expect(quantities(use(AT, '5'), use(AT, '7'))).toEqual(['5', '5']);
    // What is no use of it takes nothing of it.
    expect(quantities(use(AT, '-3'), use(AT, '12'))).toEqual(['10']);
  });

  it('leave the uses that were given as they are', () => {
    const uses = [use('2026-11-22T00:00:00.000Z', '1'), use(AT, '2')];
    expect(creditsOf(uses).map((one) => one.quantity)).toEqual(['2', '1']);
    expect(uses.map((one) => one.quantity)).toEqual(['1', '2']);
  });

  it('credit at a price of 12 places, and at none that is finer', () => {
    const at = (unitPrice: string) => creditsOf([use(AT, '1', { unit_price: unitPrice })]);
    expect(at('0.000000000001')[0]?.credit_usd).toBe('0.000000000001');
    expect(at('0.0000000000001')).toEqual([]);
  });

  it('are none of a provider without any', () => {
    const books = createPriceBooks([book(plainPrices())]);
    expect(
      allowanceCredits({ provider: 'acme-ai', uses: [use(AT, '1')], knownAt: KNOWN }, books),
    ).toEqual([]);
  });
});

describe('commitments at their edges', () => {
  const contract = (rest: Partial<ContractBook>): ContractBook => ({
    ...{ contract: 'frame', provider: 'openai', version: 1, accounts: ['main'], prices: [] },
    known_from: KNOWN,
    commitments: [
      {
        ...{ amount_usd: '10', source: 'page 3', retrieved_at: '2026-11-01' },
        valid_from: '2026-01-01T00:00:00.000Z',
        valid_to: '2027-01-01T00:00:00.000Z',
      },
    ],
    ...rest,
  });
  const times = { now: KNOWN, knownAt: KNOWN };

  it('are told by provider, then contract, then date', () => {
    const [first] = contract({}).commitments ?? [];
    if (!first) throw new Error('the contract commits to something');
    const later = { ...first, valid_from: '2026-06-01T00:00:00.000Z' };
    const told = commitmentStatus(
      [
        contract({ provider: 'openai', contract: 'b' }),
        contract({ provider: 'openai', contract: 'a', commitments: [later, first] }),
        contract({ provider: 'anthropic', contract: 'z' }),
      ],
      [],
      times,
    );
    expect(
      told.map((row) => `${row.provider} ${row.contract} ${row.valid_from.slice(0, 7)}`),
    ).toEqual(['anthropic z 2026-01', 'openai a 2026-01', 'openai a 2026-06', 'openai b 2026-01']);
  });

  it('of the same first day are those of the highest version, wherever it stands; contracts of one name at two providers are two', () => {
    const second = contract({
      version: 2,
      commitments: contract({}).commitments?.map((one) => ({ ...one, amount_usd: '20' })),
    });
    const amounts = (contracts: ContractBook[]) =>
      commitmentStatus(contracts, [], times).map((row) => row.committed_usd);
    expect(amounts([contract({}), second])).toEqual(['20']);
    expect(amounts([second, contract({})])).toEqual(['20']);
    expect(amounts([second, contract({ provider: 'anthropic' })])).toEqual(['10', '20']);
  });

  it('are kept to the last digit, and nothing remains of one that is', () => {
    const left = (amount: string) => {
      const spend = { provider: 'openai', account: 'main', at: KNOWN, amount_usd: amount };
      const [row] = commitmentStatus([contract({})], [spend], times);
      return `${row?.used_usd} ${row?.remaining_usd}`;
    };
    expect(left('9.999999999999999999')).toBe('9.999999999999999999 0.000000000000000001');
    expect(left('10')).toBe('10 0');
    expect(left('10.000000000000000001')).toBe('10.000000000000000001 0');
    expect(left('-1')).toBe('-1 11');
  });
});
