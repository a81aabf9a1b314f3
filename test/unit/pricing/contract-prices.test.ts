import { describe, expect, it } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import type { ContractBook, ContractPrice } from '../../../schemas/price-book.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { book, KNOWN, plainPrices, price, usageEvent } from './pricing-fixtures.ts';

/** List: 2 USD in, 0.2 cached, 10 out per million tokens. The event: 1000 in, 100 out, 0.003 USD by the list. */
const LATER = '2026-12-01T00:00:00.000Z';
const from2026 = '2026-01-01T00:00:00.000Z';

const term = (rest: Partial<ContractPrice>): ContractPrice => ({
  id: 'term',
  valid_from: from2026,
  source: 'contract of 2026',
  retrieved_at: '2026-01-01',
  ...rest,
});
const contract = (prices: ContractPrice[], rest: Partial<ContractBook> = {}): ContractBook => ({
  contract: 'frame',
  provider: 'acme-ai',
  version: 1,
  known_from: KNOWN,
  accounts: ['acme-ai', 'acme-second'],
  prices,
  ...rest,
});
const batch = plainPrices({ when: { tier: ['batch'] } }).map((p) => ({
  ...p,
  unit_price: '0.000001',
}));
const cliff = price('input_uncached', '0.000004', {
  when: { context: { operator: '>', input_tokens: 200_000 } },
});
const list = book([...plainPrices(), ...batch, cliff]);

const rate = (contracts: ContractBook[], rest: Partial<UsageEvent> = {}, knownAt = KNOWN) =>
  rateUsage(usageEvent(rest), createPriceBooks([list], contracts), { knownAt });
const total = (contracts: ContractBook[], rest: Partial<UsageEvent> = {}, knownAt = KNOWN) =>
  rate(contracts, rest, knownAt).total_usd;

describe('a contract', () => {
  const fixed = term({ meters: ['input_uncached'], unit_price: '0.0000015' });

  it('changes the price it names and inherits the rest', () => {
    const rated = rate([contract([fixed])]);
    expect(rated.total_usd).toBe('0.0025'); // 1000 x 1.5 agreed + 100 x 10 list
    expect(rated.book).toBe('acme-ai@1+frame@1');
    expect(rated.charges[0]?.price_id).toMatch(/^frame@1\/term on /);
    expect(rated.charges[1]?.price_id).not.toContain('frame');
  });

  it('is for its accounts, its provider and its models only', () => {
    expect(total([contract([fixed])], { credential_pool_id: 'acme-second' })).toBe('0.0025');
    expect(rate([contract([fixed])], { credential_pool_id: 'stranger' })).toMatchObject({
      total_usd: '0.003',
      book: 'acme-ai@1',
    });
    expect(total([contract([fixed], { provider: 'elsewhere' })])).toBe('0.003');
    expect(total([contract([{ ...fixed, models: ['model-b'] }])])).toBe('0.003');
    expect(total([contract([{ ...fixed, models: ['model-a'] }])])).toBe('0.0025');
  });

  it('leaves tiers and context bands to the list when it fixes the plain price', () => {
    expect(total([contract([fixed])], { tier: 'batch' })).toBe('0.0011'); // 1100 x 1 list
    const long = { classes: { input_uncached: '300000' } };
    expect(total([contract([fixed])], long)).toBe('1.2'); // 300000 x 4 list
  });

  it('fixes a tier where it names the tier', () => {
    const agreed = term({ meters: ['input_uncached'], tier: ['batch'], unit_price: '0.0000005' });
    expect(total([contract([agreed])], { tier: 'batch' })).toBe('0.0006'); // 1000 x 0.5 + 100 x 1
    expect(total([contract([agreed])])).toBe('0.003');
  });

  it('takes a factor off every tier and band, exactly', () => {
    const discount = term({ factor: '0.85' });
    expect(total([contract([discount])])).toBe('0.00255'); // 0.003 x 0.85
    expect(total([contract([discount])], { tier: 'batch' })).toBe('0.000935'); // 0.0011 x 0.85
    const long = { classes: { input_uncached: '300000' } };
    expect(total([contract([discount])], long)).toBe('1.02'); // 1.2 x 0.85
    expect(total([contract([{ ...discount, tier: ['batch'] }])])).toBe('0.003');
  });

  it('leaves usage unrated where a factor would need more than 12 decimal places', () => {
    const rated = rate([contract([term({ factor: '0.333333333333' })])]);
    expect(rated).toMatchObject({ outcome: 'unrated', unrated_reason: 'precision' });
    expect(rated.unrated_detail).toContain('12 decimal places');
  });

  it('does not stack: a fixed price goes before a factor, a later term before an earlier one', () => {
    const discount = term({ id: 'discount', factor: '0.5' });
    expect(total([contract([discount, fixed])])).toBe('0.002'); // 1000 x 1.5 + 100 x 5
    const july = term({ id: 'july', factor: '0.1', valid_from: '2026-07-01T00:00:00.000Z' });
    for (const prices of [
      [discount, july],
      [july, discount],
    ]) {
      expect(total([contract(prices)])).toBe('0.0003'); // 0.003 x 0.1
      const june = { event_ts: '2026-06-30T23:59:59.999Z' };
      expect(total([contract(prices)], june)).toBe('0.0015'); // 0.003 x 0.5
    }
  });

  it('begins and ends by date, half-open', () => {
    const year = contract([term({ factor: '0.5', valid_to: '2026-11-21T12:00:00.000Z' })]);
    expect(total([year], { event_ts: '2026-11-21T11:59:59.999Z' })).toBe('0.0015');
    expect(total([year], { event_ts: '2026-11-21T12:00:00.000Z' })).toBe('0.003');
    const next = contract([term({ factor: '0.5', valid_from: '2026-11-21T12:00:00.001Z' })]);
    expect(total([next])).toBe('0.003');
  });

  it('is known from a time on, and a later version replaces the terms it states again', () => {
    const first = contract([
      term({ factor: '0.5' }),
      term({ id: 'other', meters: ['cache_read'], factor: '0.1' }),
    ]);
    const second = contract([term({ factor: '0.9' })], { version: 2, known_from: LATER });
    const versions = [first, second];
    expect(rate(versions)).toMatchObject({ total_usd: '0.0015', book: 'acme-ai@1+frame@1' });
    expect(rate(versions, {}, LATER)).toMatchObject({
      total_usd: '0.0027',
      book: 'acme-ai@1+frame@2',
    });
    const cached = { classes: { cache_read: '1000' } };
    expect(total(versions, cached, LATER)).toBe('0.00018'); // 1000 x 0.2 x 0.9: the later term first
    expect(rate(versions, {}, '2026-10-01T00:00:00.000Z').outcome).toBe('unrated'); // nothing was known yet
  });

  it('ends a term by stating it again with an end, and does not fall back to the open one', () => {
    const first = contract([term({ factor: '0.5' })]);
    const ended = contract([term({ factor: '0.5', valid_to: '2026-06-01T00:00:00.000Z' })], {
      version: 2,
      known_from: LATER,
    });
    expect(total([first, ended])).toBe('0.0015');
    expect(total([first, ended], {}, LATER)).toBe('0.003');
    const may = { event_ts: '2026-05-01T00:00:00.000Z' };
    expect(total([first, ended], may, LATER)).toBe('0.0015');
  });

  it('keeps terms of another contract of the same account, even of the same id', () => {
    const first = contract([term({ factor: '0.5' })]);
    const other = contract([term({ meters: ['output_text'], factor: '0.1' })], {
      contract: 'addendum',
      known_from: LATER,
    });
    expect(rate([first, other], {}, LATER)).toMatchObject({
      total_usd: '0.0011', // 1000 x 2 x 0.5 + 100 x 10 x 0.1
      book: 'acme-ai@1+frame@1+addendum@1',
    });
  });

  it('settles a disputed list price by a fixed price, not by a factor', () => {
    const dispute = ['0.000002', '0.000003'].map((unitPrice) =>
      price('input_uncached', unitPrice, {
        claim: 'which one?',
        valid_from: '2026-02-01T00:00:00.000Z',
        source: unitPrice,
        price_id: `claim-${unitPrice}`,
      }),
    );
    const disputed = (contracts: ContractBook[]) =>
      rateUsage(usageEvent(), createPriceBooks([book([...plainPrices(), ...dispute])], contracts), {
        knownAt: KNOWN,
      });
    expect(disputed([])).toMatchObject({ unrated_reason: 'unknown_price' });
    expect(disputed([]).unrated_detail).toContain('which one?');
    expect(disputed([contract([term({ factor: '0.5' })])]).outcome).toBe('unrated');
    expect(disputed([contract([fixed])]).total_usd).toBe('0.0025');
  });
});

describe('contracts that are refused', () => {
  it.each([
    ['a gap in the versions', [contract([], { version: 2 })], 'expected version 1, found 2'],
    [
      // Its terms would replace nothing, and entries would name it all the same.
      'a version that was known before the one it follows',
      [
        contract([term({ factor: '0.9' })], { known_from: LATER }),
        contract([term({ factor: '0.5' })], { version: 2 }),
      ],
      'version 2: known_from is not after that of version 1',
    ],
    [
      'two versions known from the same instant',
      [contract([term({ factor: '0.9' })]), contract([term({ factor: '0.5' })], { version: 2 })],
      'version 2: known_from is not after that of version 1',
    ],
    [
      'one id for two prices',
      [contract([term({ factor: '1' }), term({ factor: '2' })])],
      'one id stands for two',
    ],
    ['neither price nor factor', [contract([term({})])], 'either a unit_price or a factor'],
    [
      'price and factor',
      [contract([term({ factor: '1', unit_price: '1', meters: ['requests'] })])],
      'either a unit_price or a factor',
    ],
    ['a fixed price of no meter', [contract([term({ unit_price: '1' })])], 'names its meters'],
  ])('%s', (_, contracts, problem) => {
    expect(() => createPriceBooks([list], contracts)).toThrow(problem);
  });
});
