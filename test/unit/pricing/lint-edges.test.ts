import { describe, expect, it } from 'vitest';
import { createPriceBooks, PriceBookError } from '../../../pricing/price-books.ts';
import type { ContractBook, Price, PriceBook } from '../../../schemas/price-book.ts';
import { book, KNOWN, NOON, plainPrices, price } from './pricing-fixtures.ts';

/** What the lint says, word for word, and where it stops saying it. */
const LATER = '2026-12-01T00:00:00.000Z';
const MARCH = '2026-03-01T00:00:00.000Z';

const errorOf = (
  books: readonly PriceBook[],
  contracts: readonly ContractBook[] = [],
): PriceBookError | null => {
  try {
    createPriceBooks(books, contracts);
    return null;
  } catch (error) {
    if (error instanceof PriceBookError) return error;
    throw error;
  }
};
const problems = (...books: PriceBook[]): readonly string[] => errorOf(books)?.problems ?? [];
const named = (id: string, meter: string, unitPrice: string, rest: Partial<Price> = {}): Price =>
  price(meter, unitPrice, { price_id: id, ...rest });
const tierAt = (unitPrice: string): Price[] => [
  price('input_uncached', unitPrice, { when: { tier: ['batch'] } }),
  price('output_text', '0.00001', { when: { tier: ['batch'] } }),
];

describe('what the lint says', () => {
  it('names price, number and what was probably meant', () => {
    expect(problems(book([...plainPrices(), named('p', 'cache_write_5m', '0.0025')]))).toEqual([
      'acme-ai version 1 price p: 0.0025 USD for one of cache_write_5m is above the plausible 0.001; was a price per million or per thousand typed?',
    ]);
    expect(problems(book([...plainPrices(), named('p', 'cache_write_5m', '0.001')]))).toEqual([]);
  });

  it('lets a price end only after it began', () => {
    const ending = (valid_to: string) =>
      book([
        ...plainPrices(),
        named('p', 'cache_write_5m', '0.000001', { valid_from: MARCH, valid_to }),
      ]);
    expect(problems(ending(MARCH))).toEqual([
      `acme-ai version 1 price p: valid_to ${MARCH} is not after valid_from ${MARCH}.`,
    ]);
    expect(problems(ending('2026-03-01T00:00:00.001Z'))).toEqual([]);
  });

  it('lets only requests be owed once a request', () => {
    expect(
      problems(book([...plainPrices(), named('p', 'tool_calls', '0.01', { per_request: true })])),
    ).toEqual([
      'acme-ai version 1 price p: only a price of the meter requests can be owed once a request.',
    ]);
    expect(
      problems(book([...plainPrices(), named('p', 'requests', '0.01', { per_request: true })])),
    ).toEqual([]);
  });

  it('names the meters a model has and those it needs, by tier and geography', () => {
    const input = price('input_uncached', '0.000001', { when: { tier: ['flex'], geo: ['us'] } });
    const cached = price('cache_read', '0.0000001', { when: { tier: ['flex'], geo: ['us'] } });
    expect(problems(book([...plainPrices(), input, cached]))).toEqual([
      'acme-ai model-a, tier flex, geo us: has input_uncached, cache_read; a model needs input_uncached and, unless it makes embeddings, output_text.',
    ]);
    expect(problems(book([price('output_text', '0.00001')]))).toEqual([
      'acme-ai model-a, tier standard, geo standard: has output_text; a model needs input_uncached and, unless it makes embeddings, output_text.',
    ]);
  });

  it('asks no output of embeddings and nothing of what sells no tokens', () => {
    expect(
      problems(book([price('input_uncached', '0.000001', { model: 'text-embed-1' })])),
    ).toEqual([]);
    expect(problems(book([price('images', '0.04', { model: 'painter' })]))).toEqual([]);
  });

  it('refuses a version that says it was known before the one it follows, and takes one known at the same instant', () => {
    const second = (known_from: string) => book([], { version: 2, known_from });
    expect(problems(book(plainPrices()), second('2026-10-31T23:59:59.999Z'))).toEqual([
      'acme-ai version 2: known_from is before that of version 1.',
    ]);
    expect(problems(book(plainPrices()), second(KNOWN))).toEqual([]);
  });

  it('takes the versions of several providers in any order', () => {
    const other = { provider: 'other-ai' };
    const books = [
      book([], { version: 2, known_from: LATER }),
      book([], { ...other, version: 2, known_from: LATER }),
      book(plainPrices(), other),
      book(plainPrices()),
    ];
    expect(problems(...books)).toEqual([]);
    const made = createPriceBooks(books);
    expect([made.versionAt('acme-ai', KNOWN), made.versionAt('acme-ai', LATER)]).toEqual([1, 2]);
    expect(made.books).toEqual(books);
    expect(made.newestKnownFrom).toBe(LATER);
  });

  it('names a book that is no book by its place, and one that has a name by its name', () => {
    const broken = { ...book(plainPrices()), version: 0 };
    expect(problems(broken)[0]).toMatch(/^acme-ai version 0: version: /);
    const nameless = [book(plainPrices()), {} as PriceBook];
    expect(errorOf(nameless)?.problems[0]).toMatch(/^book 2: provider: /);
    expect(errorOf([undefined as unknown as PriceBook])?.problems[0]).toMatch(/^book 1: : /);
  });

  it('shows twenty problems and counts the rest', () => {
    const slips = (count: number) =>
      book([
        ...plainPrices(),
        ...Array.from({ length: count }, (_, index) =>
          named(`p${index}`, 'tool_calls', '9', { model: `m${index}` }),
        ),
      ]);
    const message = (count: number) => errorOf([slips(count)])?.message ?? '';
    expect(message(20).split('\n')).toHaveLength(21);
    expect(message(20)).not.toContain('more');
    expect(message(21).split('\n')).toHaveLength(22);
    expect(message(23).split('\n').at(-1)).toBe('  and 3 more');
    expect(message(2).split('\n')[0]).toBe(
      'The price books have 2 problem(s); nothing was loaded:',
    );
    expect(errorOf([slips(1)])?.name).toBe('PriceBookError');
  });
});

describe('bands and sets', () => {
  const cliff = (unitPrice: string, rest: Partial<Price> = {}): Price =>
    price('input_uncached', unitPrice, {
      when: { context: { operator: '>', input_tokens: 200_000 } },
      ...rest,
    });

  it('a set that leaves out the band of the one before is refused, unless that band has ended', () => {
    const change = price('input_uncached', '0.000001', { valid_from: MARCH });
    expect(problems(book([...plainPrices(), cliff('0.000004'), change]))).toEqual([
      `acme-ai model-a input_uncached||: the prices from ${MARCH} leave out the band >200000 of the prices before; state it again or end it.`,
    ]);
    expect(
      problems(book([...plainPrices(), cliff('0.000004', { valid_to: MARCH }), change])),
    ).toEqual([]);
    const lateEnd = cliff('0.000004', { valid_to: '2026-03-01T00:00:00.001Z' });
    expect(problems(book([...plainPrices(), lateEnd, change]))).toHaveLength(1);
    expect(
      problems(
        book([
          ...plainPrices(),
          cliff('0.000004'),
          change,
          cliff('0.000003', { valid_from: MARCH }),
        ]),
      ),
    ).toEqual([]);
  });

  it('a set of bands alone leaves out what holds elsewhere', () => {
    const banded = cliff('0.000003', { valid_from: MARCH });
    expect(problems(book([...plainPrices(), banded]))).toEqual([
      `acme-ai model-a input_uncached||: the prices from ${MARCH} leave out the band without a context condition of the prices before; state it again or end it.`,
    ]);
  });

  it('hours may go with a price list', () => {
    const peak = price('input_uncached', '0.000004', {
      when: { time: { windows: [{ from: '01:00', to: '04:00' }] } },
    });
    const change = price('input_uncached', '0.000001', { valid_from: MARCH });
    expect(problems(book([...plainPrices(), peak, change]))).toEqual([]);
  });

  it('two prices for the same conditions are refused, with hours and context told apart', () => {
    const twice = [named('a', 'tool_calls', '0.01'), named('b', 'tool_calls', '0.02')];
    expect(problems(book([...plainPrices(), ...twice]))).toEqual([
      `acme-ai model-a tool_calls||: two prices from 2026-01-01T00:00:00.000Z, known from ${KNOWN}, for the same conditions.`,
    ]);
    const context = { operator: '>' as const, input_tokens: 10 };
    const time = { windows: [{ from: '01:00', to: '04:00' }] };
    const apart = [
      named('a', 'tool_calls', '0.01'),
      named('b', 'tool_calls', '0.02', { when: { context } }),
      named('c', 'tool_calls', '0.03', { when: { time } }),
      named('d', 'tool_calls', '0.04', { when: { context, time } }),
      named('e', 'tool_calls', '0.05', { when: { context: { ...context, input_tokens: 11 } } }),
    ];
    expect(problems(book([...plainPrices(), ...apart]))).toEqual([]);
  });

  it('a claim stands with another claim of the same conditions', () => {
    const claim = (id: string, rest: Partial<Price> = {}) =>
      named(id, 'tool_calls', '0.01', { claim: 'which one?', ...rest });
    const context = { operator: '>' as const, input_tokens: 10 };
    expect(problems(book([...plainPrices(), claim('a'), claim('b')]))).toEqual([]);
    expect(
      problems(book([...plainPrices(), claim('a'), claim('b', { when: { context } })])),
    ).toEqual([
      'acme-ai model-a tool_calls||: the claim b stands alone; a dispute states every claim, or is none.',
      'acme-ai model-a tool_calls||: the claim a stands alone; a dispute states every claim, or is none.',
    ]);
  });
});

describe('tiers far from the standard price', () => {
  it.each([
    ['0.00002', 0], // ten times 0.000002
    ['0.000020000001', 1],
    ['0.00000002', 0], // a hundredth
    ['0.000000019999', 1],
    ['0', 0], // free is stated, not slipped
  ])('at %s there are %i problems', (unitPrice, count) => {
    const found = problems(book([...plainPrices(), ...tierAt(unitPrice)]));
    expect(found).toHaveLength(count);
    if (count > 0)
      expect(found[0]).toMatch(/^acme-ai model-a input_uncached\|batch\|: .*implausibly far/);
  });

  it('are not judged where the standard tier has no price', () => {
    expect(problems(book(tierAt('0.0005')))).toEqual([]);
    expect(
      problems(
        book([...plainPrices().map((one) => ({ ...one, unit_price: '0' })), ...tierAt('0.0005')]),
      ),
    ).toEqual([]);
  });
});

describe('the index', () => {
  const query = {
    provider: 'acme-ai',
    model: 'model-a',
    scaledInputTokens: 0n,
    at: NOON,
    knownAt: KNOWN,
  };

  it('knows nothing before anybody did: no version, no model, no alias', () => {
    const aliases = [{ alias: 'latest', model: 'model-a', source: 'https://example.test' }];
    const books = createPriceBooks([
      book(plainPrices()),
      book(plainPrices({ model: 'model-b', known_from: LATER }), {
        version: 2,
        known_from: LATER,
        aliases,
      }),
    ]);
    const before = '2026-10-01T00:00:00.000Z';
    expect(books.versionAt('acme-ai', before)).toBeNull();
    expect(books.modelOf('acme-ai', 'model-a', before)).toBeNull();
    expect(books.pricesOf({ ...query, knownAt: before })).toBeNull();
    expect(books.modelOf('acme-ai', 'model-b', KNOWN)).toBeNull();
    expect(books.modelOf('acme-ai', 'model-b', LATER)).toBe('model-b');
    expect(books.modelOf('acme-ai', 'latest', KNOWN)).toBeNull();
    expect(books.modelOf('acme-ai', 'latest', LATER)).toBe('model-a');
    expect(books.modelOf('elsewhere', 'model-a', LATER)).toBeNull();
    expect(books.versionAt('elsewhere', LATER)).toBeNull();
    expect(books.pricesOf({ ...query, provider: 'elsewhere' })).toBeNull();
    expect(books.pricesOf({ ...query, model: 'model-z' })).toBeNull();
  });

  it('takes the newest target of an alias that moved, and the old one as known before', () => {
    const alias = (model: string) => [{ alias: 'latest', model, source: 'https://example.test' }];
    const books = createPriceBooks([
      book([...plainPrices(), ...plainPrices({ model: 'model-b' })], { aliases: alias('model-a') }),
      book([], { version: 2, known_from: LATER, aliases: alias('model-b') }),
    ]);
    expect(books.modelOf('acme-ai', 'latest', KNOWN)).toBe('model-a');
    expect(books.modelOf('acme-ai', 'latest', LATER)).toBe('model-b');
  });

  it('counts a price that a later version repeats word for word once', () => {
    const books = [book(plainPrices()), book(plainPrices(), { version: 2, known_from: KNOWN })];
    expect(createPriceBooks(books).pricesOf(query)?.('input_uncached')?.price.unit_price).toBe(
      '0.000002',
    );
  });

  it('knows a model from the earliest of its prices on, in whatever order they stand', () => {
    const later = plainPrices({ known_from: LATER, valid_from: MARCH });
    const books = createPriceBooks([book([...later, ...plainPrices()])]);
    expect(books.modelOf('acme-ai', 'model-a', KNOWN)).toBe('model-a');
  });

  it('is known from its newest book or contract', () => {
    const contract: ContractBook = {
      contract: 'frame',
      provider: 'acme-ai',
      version: 1,
      known_from: LATER,
      accounts: ['acme-ai'],
      prices: [],
    };
    expect(createPriceBooks([book(plainPrices())]).newestKnownFrom).toBe(KNOWN);
    expect(createPriceBooks([book(plainPrices())], [contract]).newestKnownFrom).toBe(LATER);
    expect(createPriceBooks([]).newestKnownFrom).toBe('1970-01-01T00:00:00.000Z');
    const books = createPriceBooks([book(plainPrices())], [contract]);
    expect(books.contractAt('acme-ai', 'acme-ai', LATER)).toBe('frame@1');
    expect(books.contractAt('acme-ai', 'acme-ai', KNOWN)).toBeNull();
    expect(books.contractAt('acme-ai', 'stranger', LATER)).toBeNull();
    expect(
      createPriceBooks([book(plainPrices())]).contractAt('acme-ai', 'acme-ai', LATER),
    ).toBeNull();
  });

  it('judges a tier of long requests by the standard list of the same geography', () => {
    const when = { context: { operator: '>' as const, input_tokens: 10 } };
    const prices = [
      ...plainPrices(),
      price('input_uncached', '0.000004', { when }),
      ...tierAt('0.000001'),
      ...plainPrices({ when: { geo: ['us'] } }),
      price('input_uncached', '0.000001', { when: { tier: ['batch'], geo: ['us'] } }),
      price('output_text', '0.000001', { when: { tier: ['batch'], geo: ['us'] } }),
    ];
    const at = (scaledInputTokens: bigint, rest: { tier?: string; geo?: string }) =>
      createPriceBooks([book(prices)]).pricesOf({ ...query, scaledInputTokens, ...rest })?.(
        'input_uncached',
      )?.price.unit_price ?? null;
    expect(at(10_000_000n, { tier: 'batch' })).toBe('0.000001');
    expect(at(10_000_001n, { tier: 'batch' })).toBeNull();
    expect(at(10_000_001n, {})).toBe('0.000004');
    expect(at(10_000_001n, { tier: 'batch', geo: 'us' })).toBe('0.000001');
  });
});
