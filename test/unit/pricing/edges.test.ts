import { describe, expect, it } from 'vitest';
import {
  AmountError,
  addAmounts,
  canonicalAmount,
  compareAmounts,
  fitsAmount,
  multiplyExact,
  scaledAmount,
} from '../../../pricing/money.ts';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import { formatScaled, parseScaled, powerOfTen } from '../../../pricing/scaled-decimal.ts';
import { timeBandName } from '../../../pricing/time-band.ts';
import type { ContractBook, Price } from '../../../schemas/price-book.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { book, KNOWN, NOON, plainPrices, price, usageEvent } from './pricing-fixtures.ts';

/** Where a rule begins and ends, and exactly what is written. 2 USD in, 0.2 cached, 10 out per million tokens. */
const rate = (prices: Price[], rest: Partial<UsageEvent> = {}, contracts: ContractBook[] = []) =>
  rateUsage(usageEvent(rest), createPriceBooks([book(prices)], contracts), { knownAt: KNOWN });
const input = (tokens: string): Partial<UsageEvent> => ({ classes: { input_uncached: tokens } });
const amountError = (work: () => unknown): AmountError => {
  try {
    work();
  } catch (error) {
    if (error instanceof AmountError) return error;
  }
  throw new Error('no AmountError was thrown');
};

describe('the bytes of a rating', () => {
  it('are these, field by field', () => {
    const event = usageEvent({
      supersedes: '0193a5b2-7c1d-7009-8a4f-1b2c3d4e5f60',
      reservation_id: '0193a5b2-7c1d-700a-8a4f-1b2c3d4e5f60',
      provider_request_id: 'req_1',
      geo: 'global',
      tags: { team: 'blue' },
    });
    const rated = rateUsage(event, createPriceBooks([book(plainPrices())]), { knownAt: KNOWN });
    const [inputPrice, outputPrice] = plainPrices()
      .filter(({ meter }) => meter === 'input_uncached' || meter === 'output_text')
      .map(({ price_id }) => JSON.stringify(price_id));
    expect(JSON.stringify(rated)).toBe(
      `{"entry_id":"${event.event_id}/1/charge","event_id":"${event.event_id}","revision":1,"kind":"charge","outcome":"rated",` +
        `"attempt_id":"${event.attempt_id}","request_id":"${event.request_id}","supersedes":"0193a5b2-7c1d-7009-8a4f-1b2c3d4e5f60",` +
        `"event_ts":"${NOON}","closed_at":"2026-11-21T12:00:01.000Z","period":"2026-11","posting_period":"2026-11",` +
        `"proxy_id":"proxy-1","boot_id":"${event.boot_id}","sequence":1,"provider":"acme-ai","upstream":"acme-ai","model":"model-a",` +
        `"tier":"standard","geo":"global","ending":"reported","key_id":"acme-chat","credential_pool_id":"acme-ai","byo_key":false,` +
        `"reservation_id":"0193a5b2-7c1d-700a-8a4f-1b2c3d4e5f60","provider_request_id":"req_1",` +
        `"dimensions":{"tenant":"acme","feature":"chat"},"tags":{"team":"blue"},"book":"acme-ai@1","charges":[` +
        `{"meter":"input_uncached","model":"model-a","quantity":"1000","unit_price":"0.000002","amount_usd":"0.002","price_id":${inputPrice}},` +
        `{"meter":"output_text","model":"model-a","quantity":"100","unit_price":"0.00001","amount_usd":"0.001","price_id":${outputPrice}}],` +
        `"total_usd":"0.003"}`,
    );
  });

  it('leave out what was not stated: no empty flags, no empty book', () => {
    const rated = rate(plainPrices(), {});
    expect(Object.keys(rated)).not.toContain('assumed');
    expect(Object.keys(rated)).not.toContain('supersedes');
    expect(Object.keys(rated)).not.toContain('geo');
    expect(Object.values(rated)).not.toContain(undefined);
    const nobody = rate(plainPrices(), { provider: 'elsewhere' });
    expect(Object.keys(nobody)).not.toContain('book');
    expect(Object.keys(nobody)).not.toContain('total_usd');
  });

  it('name nothing as assumed where neither reply nor request stated it', () => {
    const { model: _, requested_model: __, tier: ___, ...silent } = usageEvent();
    const rated = rateUsage(silent, createPriceBooks([book(plainPrices())]), { knownAt: KNOWN });
    expect(rated).toMatchObject({ model: 'unknown', unrated_reason: 'unknown_model' });
    expect(rated.assumed).toBeUndefined();
  });

  it('say in full why there is no price', () => {
    expect(rate(plainPrices(), { model: 'model-z' }).unrated_detail).toBe(
      `no book of acme-ai names the model model-z; tier standard, geo not stated, at ${NOON}, known at ${KNOWN}`,
    );
    const { tier: _, ...untiered } = usageEvent({ geo: 'moon' });
    const books = createPriceBooks([book(plainPrices())]);
    expect(rateUsage(untiered, books, { knownAt: KNOWN }).unrated_detail).toBe(
      `model model-a has no price of input_uncached; tier not stated, geo moon, at ${NOON}, known at ${KNOWN}`,
    );
  });

  it('rate an event of units alone, and one whose list of parts is empty', () => {
    const prices = [...plainPrices(), price('web_search_requests', '0.01')];
    const units = { web_search_requests: '3' };
    expect(rate(prices, { classes: {}, units }).total_usd).toBe('0.03'); // 3 x 0.01
    expect(rate(prices, { parts: [] }).total_usd).toBe('0.003');
    expect(rate(prices, { classes: {}, units: {}, parts: [] }).unrated_reason).toBe(
      'unknown_usage',
    );
    const part = { model: 'model-a', classes: { input_uncached: '1000' }, units: {} };
    expect(rate(prices, { classes: {}, units: {}, parts: [part] }).total_usd).toBe('0.002');
  });

  it('price InvokeModel by the profile that was asked for, other calls by the model of the reply', () => {
    const prices = [
      ...plainPrices({ model: 'us.vendor.model-a-v1:0' }),
      ...plainPrices().map((one) => ({ ...one, unit_price: '0.000001' })),
    ];
    const names = { requested_model: 'us.vendor.model-a-v1:0', model: 'model-a' };
    expect(rate(prices, { ...names, flavour: 'bedrock.invoke' })).toMatchObject({
      model: 'us.vendor.model-a-v1:0',
      total_usd: '0.003', // 1000 x 2 + 100 x 10
    });
    expect(rate(prices, { ...names, flavour: 'bedrock.converse' })).toMatchObject({
      model: 'model-a',
      total_usd: '0.0011', // 1100 x 1
    });
  });

  it('spell every quantity once: no trailing zeros, no sign', () => {
    const rated = rate(plainPrices(), {
      classes: { input_uncached: '10.500000', output_text: '2.0' },
    });
    expect(rated.charges.map(({ quantity, amount_usd }) => [quantity, amount_usd])).toEqual([
      ['10.5', '0.000021'], // 10.5 x 2
      ['2', '0.00002'], // 2 x 10
    ]);
  });

  it('come in the order of the meters, in whatever order they were stated', () => {
    const classes = {
      output_reasoning: '1',
      output_text: '2',
      cache_read: '3',
      input_uncached: '4',
    };
    expect(
      rate(plainPrices(), { classes }).charges.map(({ meter, quantity }) => [meter, quantity]),
    ).toEqual([
      ['input_uncached', '4'],
      ['cache_read', '3'],
      ['output_text', '2'],
      ['output_reasoning', '1'],
    ]);
  });

  it('refuse a charge beyond 38 digits by its meter, before any sum', () => {
    const rated = rate(plainPrices(), input('99999999999999999999999999999999'));
    expect(rated.unrated_detail).toBe('the charge of input_uncached needs more than 38 digits');
  });

  it('name the contract, in a name of at most 100 characters', () => {
    const names = ['a', 'b', 'c'].map((letter) => letter.repeat(40));
    const contracts = names.map((contract) => ({
      contract,
      provider: 'acme-ai',
      version: 1,
      known_from: KNOWN,
      accounts: ['acme-ai'],
      prices: [],
    }));
    const { book: name = '' } = rate(plainPrices(), {}, contracts);
    expect(name).toHaveLength(100);
    expect(name.startsWith(`acme-ai@1+${'a'.repeat(40)}@1+${'b'.repeat(40)}@1`)).toBe(true);
  });
});

describe('context bands', () => {
  const banded = (operator: '>' | '>=' | '<' | '<=', unitPrice: string, edge = 1000): Price =>
    price('input_uncached', unitPrice, { when: { context: { operator, input_tokens: edge } } });

  // 0.000004 where the band holds, else 0.000002
  it.each([
    ['<', '999', '0.003996'],
    ['<', '1000', '0.002'],
    ['<', '1000.000001', '0.002000000002'],
    ['<=', '999', '0.003996'],
    ['<=', '1000', '0.004'],
    ['<=', '1000.000001', '0.002000000002'],
    ['>=', '999.999999', '0.001999999998'],
    ['>=', '1000', '0.004'],
    ['>', '1000', '0.002'],
    ['>', '1000.000001', '0.004000000004'],
  ] as const)('%s 1,000 at %s tokens costs %s', (operator, tokens, total) => {
    const rated = rate([...plainPrices(), banded(operator, '0.000004')], input(tokens));
    expect(rated.total_usd).toBe(total);
  });

  it('the outermost band that holds is meant, in whatever order they are listed', () => {
    const bands = [
      banded('>', '0.000003', 1000),
      banded('>', '0.000004', 2000),
      banded('<', '0.000001', 500),
      banded('<', '0.0000005', 100),
    ];
    for (const listed of [bands, [...bands].reverse()]) {
      const at = (tokens: string) =>
        rate([...listed, ...plainPrices()], input(tokens)).charges[0]?.unit_price;
      expect([at('50'), at('200'), at('700'), at('1500'), at('2500')]).toEqual([
        '0.0000005',
        '0.000001',
        '0.000002',
        '0.000003',
        '0.000004',
      ]);
    }
  });

  it('a price with hours goes before the one without, in whatever order they are listed', () => {
    const noon = price('input_uncached', '0.000008', {
      when: { time: { windows: [{ from: '12:00', to: '13:00' }] } },
    });
    expect(rate([noon, ...plainPrices()], input('1000')).total_usd).toBe('0.008');
    expect(rate([...plainPrices(), noon], input('1000')).total_usd).toBe('0.008');
    const later = { ...input('1000'), event_ts: '2026-11-21T13:00:00.000Z' };
    expect(rate([noon, ...plainPrices()], later).total_usd).toBe('0.002');
  });

  it('a claim goes before a plain price of the same set: what is disputed is not charged', () => {
    const claims = ['0.000003', '0.000004'].map((unitPrice) =>
      price('input_uncached', unitPrice, {
        claim: 'which one?',
        price_id: unitPrice,
        source: unitPrice,
      }),
    );
    for (const prices of [
      [...claims, ...plainPrices()],
      [...plainPrices(), ...claims],
    ]) {
      expect(rate(prices, input('1')).unrated_detail).toBe(
        'the price of input_uncached of model model-a is disputed and none of the claims is approved: which one?',
      );
    }
  });
});

describe('which of two prices holds', () => {
  it('the one that became valid later, in whatever order they are listed', () => {
    const march = price('input_uncached', '0.000003', { valid_from: '2026-03-01T00:00:00.000Z' });
    const june = price('input_uncached', '0.000004', { valid_from: '2026-06-01T00:00:00.000Z' });
    for (const prices of [
      [march, june, ...plainPrices()],
      [...plainPrices(), june, march],
      [june, ...plainPrices(), march],
    ]) {
      const at = (event_ts: string) => rate(prices, { ...input('1'), event_ts }).total_usd;
      expect(at('2026-02-28T23:59:59.999Z')).toBe('0.000002');
      expect(at('2026-03-01T00:00:00.000Z')).toBe('0.000003');
      expect(at('2026-05-31T23:59:59.999Z')).toBe('0.000003');
      expect(at('2026-06-01T00:00:00.000Z')).toBe('0.000004');
    }
  });

  it('one that begins at the very instant its version was published has begun', () => {
    const now = price('input_uncached', '0.000005', { valid_from: KNOWN });
    expect(rate([...plainPrices(), now], input('1')).total_usd).toBe('0.000005');
  });

  it('one that has ended gives way to the one before it', () => {
    const summer = price('input_uncached', '0.000001', {
      valid_from: '2026-06-01T00:00:00.000Z',
      valid_to: '2026-09-01T00:00:00.000Z',
    });
    const at = (event_ts: string) =>
      rate([...plainPrices(), summer], { ...input('1'), event_ts }).total_usd;
    expect(at('2026-08-31T23:59:59.999Z')).toBe('0.000001');
    expect(at('2026-09-01T00:00:00.000Z')).toBe('0.000002');
  });
});

describe('amounts at their limits', () => {
  const LARGEST = '99999999999999999999.999999999999999999';

  it('say what was found and what was expected', () => {
    const malformed = amountError(() => scaledAmount('1e3'));
    expect([malformed.name, malformed.reason, malformed.message]).toEqual([
      'AmountError',
      'malformed',
      'Expected an amount as a plain decimal string with at most 18 fraction digits, found "1e3".',
    ]);
    const long = amountError(() => scaledAmount(`${'1'.repeat(100)}x`));
    expect(long.message).toContain(`found "${'1'.repeat(60)}".`);
    const large = amountError(() => canonicalAmount('100000000000000000000'));
    expect([large.reason, large.message]).toEqual([
      'overflow',
      'The amount needs more than the 38 digits that an amount has (20 before the point, 18 after); nothing was rounded.',
    ]);
    expect(amountError(() => addAmounts([LARGEST, LARGEST])).message).toBe(
      'The sum of 2 amounts needs more than the 38 digits that an amount has (20 before the point, 18 after); nothing was rounded.',
    );
  });

  it('fit up to the last digit, on both sides of zero', () => {
    const limit = 10n ** 38n;
    expect([fitsAmount(limit - 1n), fitsAmount(limit)]).toEqual([true, false]);
    expect([fitsAmount(1n - limit), fitsAmount(-limit)]).toEqual([true, false]);
    expect(canonicalAmount(LARGEST)).toBe(LARGEST);
    expect(canonicalAmount(`-${LARGEST}`)).toBe(`-${LARGEST}`);
  });

  it('compare as less, equal and more', () => {
    expect([
      compareAmounts('1', '2'),
      compareAmounts('2', '2.0'),
      compareAmounts('3', '2'),
    ]).toEqual([-1, 0, 1]);
  });

  it('multiply where only zeros lie beyond the eighteenth place', () => {
    // 0.5 x 0.0000000000000000020 = 0.000000000000000001, written with twenty places
    expect(multiplyExact('0.5', '0.0000000000000000020')).toEqual({
      ok: true,
      amount: '0.000000000000000001',
    });
    expect(multiplyExact('1', '0.000000000000000001')).toEqual({
      ok: true,
      amount: '0.000000000000000001',
    });
    expect(multiplyExact('10', '0.000000000000000001')).toEqual({
      ok: true,
      amount: '0.00000000000000001',
    });
  });

  it('are read and written at any size', () => {
    expect(powerOfTen(79)).toBe(10n ** 79n);
    expect(powerOfTen(100)).toBe(10n ** 100n);
    expect(formatScaled(0n, 5)).toBe('0');
    expect(formatScaled(-5n, 0)).toBe('-5');
    expect(formatScaled(-500n, 2)).toBe('-5');
    expect(formatScaled(100n, 2)).toBe('1');
    expect(formatScaled(1n, 3)).toBe('0.001');
    for (const text of ['', '00', '01', '-', '1.', '.1', '+1', ' 1', '1 ', '1a', '/', ':', '1e1']) {
      expect(parseScaled(text), text).toBeNull();
    }
    expect(parseScaled('0')).toEqual({ value: 0n, places: 0 });
    expect(parseScaled('907')).toEqual({ value: 907n, places: 0 });
    expect(parseScaled('-0.50')).toEqual({ value: -50n, places: 2 });
  });

  it('a band of hours has one name', () => {
    expect(timeBandName({ windows: [{ from: '01:00', to: '04:00' }] })).toBe('01:00-04:00');
    expect(
      timeBandName({
        windows: [{ from: '01:00', to: '04:00' }],
        days: [1, 2],
        except_days: ['2026-10-01'],
      }),
    ).toBe('01:00-04:00 days 12 but 2026-10-01');
  });
});

describe('a contract at its edges', () => {
  const contract = (
    prices: ContractBook['prices'],
    rest: Partial<ContractBook> = {},
  ): ContractBook => ({
    contract: 'frame',
    provider: 'acme-ai',
    version: 1,
    known_from: KNOWN,
    accounts: ['acme-ai'],
    prices,
    ...rest,
  });
  const term = (rest: Partial<ContractBook['prices'][number]>): ContractBook['prices'][number] => ({
    id: 'term',
    valid_from: '2026-01-01T00:00:00.000Z',
    source: 'contract of 2026',
    retrieved_at: '2026-01-01',
    ...rest,
  });

  it('holds from the very instant it names', () => {
    const agreed = term({ factor: '0.5', valid_from: NOON });
    expect(rate(plainPrices(), {}, [contract([agreed])]).total_usd).toBe('0.0015');
  });

  it('may make a price of exactly 12 places, not of 13', () => {
    const of = (factor: string) =>
      rate([price('input_uncached', '0.000001'), price('output_text', '0.00001')], input('1'), [
        contract([term({ factor })]),
      ]);
    expect(of('0.000001').total_usd).toBe('0.000000000001'); // 1e-6 x 1e-6
    expect(of('0.0000001').unrated_reason).toBe('precision');
  });

  it('does not make a tier of its own apply to a price without one', () => {
    const prices = [...plainPrices(), ...plainPrices({ when: { tier: ['batch'] } })];
    const batch = term({ factor: '0.5', tier: ['batch'] });
    expect(rate(prices, {}, [contract([batch])]).total_usd).toBe('0.003');
    expect(rate(prices, { tier: 'batch' }, [contract([batch])]).total_usd).toBe('0.0015');
  });

  it('goes by what was known later where two terms begin together, whatever their order', () => {
    const older = contract([term({ id: 'older', factor: '0.5' })], {
      contract: 'older',
      known_from: '2026-10-01T00:00:00.000Z',
    });
    const newer = contract([term({ id: 'newer', factor: '0.1' })], { contract: 'newer' });
    expect(rate(plainPrices(), {}, [older, newer]).total_usd).toBe('0.0003'); // 0.003 x 0.1
    expect(rate(plainPrices(), {}, [newer, older]).total_usd).toBe('0.0003');
  });

  it('keeps the terms that a later version does not state again', () => {
    const later = '2026-11-10T00:00:00.000Z';
    const first = contract([term({ id: 'input', meters: ['input_uncached'], factor: '0.5' })]);
    const second = contract([term({ id: 'output', meters: ['output_text'], factor: '0.1' })], {
      version: 2,
      known_from: later,
    });
    const books = createPriceBooks([book(plainPrices())], [first, second]);
    // 1000 x 2 x 0.5 + 100 x 10 x 0.1 micro-dollars
    expect(rateUsage(usageEvent(), books, { knownAt: later }).total_usd).toBe('0.0011');
  });

  it('is not in the name of the book before anybody knew it', () => {
    const unknown = contract([], { known_from: '2026-12-01T00:00:00.000Z' });
    expect(rate(plainPrices(), {}, [unknown]).book).toBe('acme-ai@1');
  });

  it('makes price ids of at most 300 characters', () => {
    const long = plainPrices().map((one) => ({
      ...one,
      price_id: `${one.meter}${'x'.repeat(270)}`,
    }));
    const rated = rate(long, {}, [contract([term({ id: 'i'.repeat(64), factor: '0.5' })])]);
    expect(rated.charges[0]?.price_id).toHaveLength(300);
  });

  it('that cannot be read is refused by its name and the place', () => {
    const broken = { ...contract([]), accounts: [] } as unknown as ContractBook;
    expect(() => createPriceBooks([book(plainPrices())], [broken])).toThrow(
      /contract frame: accounts: /,
    );
    const nothing = undefined as unknown as ContractBook;
    expect(() => createPriceBooks([book(plainPrices())], [nothing])).toThrow(
      /contract undefined: : /,
    );
  });
});
