import { describe, expect, it } from 'vitest';
import { activePrices } from '../../../pricing/active-prices.ts';
import { checkBooks } from '../../../pricing/book-findings.ts';
import { createPriceBooks, PriceBookError } from '../../../pricing/price-books.ts';
import { rateUsage } from '../../../pricing/rate-usage.ts';
import type { PriceBook } from '../../../schemas/price-book.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { diffPrices, nextVersion } from '../../../services/cli/commands/price-diff.ts';
import { book, KNOWN, NOON, plainPrices, price, usageEvent } from './pricing-fixtures.ts';

/** Prices gone wrong in the field, one test a case. 2 USD in, 0.2 cached, 10 out per million tokens unless a test says otherwise. */
const LATER = '2026-12-01T00:00:00.000Z';

const rate = (books: PriceBook[], rest: Partial<UsageEvent>, knownAt = KNOWN) =>
  rateUsage(usageEvent(rest), createPriceBooks(books), { knownAt });

const tiers = (...factors: [tier: string, input: string, output: string][]) =>
  factors.flatMap(([tier, input, output]) => [
    price('input_uncached', input, { when: { tier: [tier] } }),
    price('output_text', output, { when: { tier: [tier] } }),
  ]);

describe('wrong price', () => {
  it('case 73 · cached reads and writes are neither added to input nor taken from it twice', () => {
    const books = [book([...plainPrices(), price('cache_write_5m', '0.0000025')])];
    const classes = {
      input_uncached: '100',
      cache_read: '4000',
      cache_write_5m: '2000',
      output_text: '10',
    };
    // 100 x 2 + 4000 x 0.2 + 2000 x 2.5 + 10 x 10 = 200 + 800 + 5000 + 100 micro-dollars
    expect(rate(books, { classes }).total_usd).toBe('0.0061');
  });

  it('case 74 · the same quantities cost the same whichever dialect the call spoke', () => {
    const books = [book(plainPrices())];
    const of = (flavour: UsageEvent['flavour']) => rate(books, { flavour }).total_usd;
    expect(of('openai.chat')).toBe('0.003'); // 1000 x 2 + 100 x 10 micro-dollars
    expect(of('anthropic.messages')).toBe(of('openai.chat'));
    expect(of('openai.responses')).toBe(of('openai.chat'));
  });

  it('case 75 · five-minute and one-hour writes are priced apart, in streams also', () => {
    const books = [
      book([
        ...plainPrices(),
        price('cache_write_5m', '0.0000025'),
        price('cache_write_1h', '0.000004'),
      ]),
    ];
    const classes = { cache_write_5m: '1000', cache_write_1h: '3000' };
    const rated = rate(books, { classes, streamed: true });
    // 1000 x 2.5 + 3000 x 4 = 14500 micro-dollars
    expect(rated.total_usd).toBe('0.0145');
    expect(rate(books, { classes, streamed: false }).charges).toEqual(rated.charges);
  });

  it('case 76 · cached tokens are not at the full input price', () => {
    // 10000 x 0.2 micro-dollars; at the full price it would be 0.02
    expect(rate([book(plainPrices())], { classes: { cache_read: '10000' } }).total_usd).toBe(
      '0.002',
    );
  });

  it('case 77 · reasoning is counted once, and at the price of the tier that served', () => {
    const reasoning = price('output_reasoning', '0.000005', { when: { tier: ['batch'] } });
    const books = [
      book([...plainPrices(), ...tiers(['batch', '0.000001', '0.000005']), reasoning]),
    ];
    const classes = { output_text: '100', output_reasoning: '900' };
    expect(rate(books, { classes }).total_usd).toBe('0.01'); // 1000 x 10 micro-dollars
    expect(rate(books, { classes, tier: 'batch' }).total_usd).toBe('0.005'); // 1000 x 5
  });

  it('case 78 · the tier of the reply decides, not the one requested', () => {
    const books = [
      book([
        ...plainPrices(),
        ...tiers(['flex', '0.000001', '0.000005'], ['priority', '0.000004', '0.00002']),
      ]),
    ];
    const served = (tier: string, requested: string) =>
      rate(books, { tier, requested_tier: requested }).total_usd;
    expect(served('standard', 'priority')).toBe('0.003'); // 1000 x 2 + 100 x 10
    expect(served('flex', 'standard')).toBe('0.0015'); // 1000 x 1 + 100 x 5
    expect(served('priority', 'flex')).toBe('0.006'); // 1000 x 4 + 100 x 20
  });

  it.each([
    ['>', 199_999, '0.399998'],
    ['>', 200_000, '0.4'],
    ['>', 200_001, '0.800004'],
    ['>=', 199_999, '0.399998'],
    ['>=', 200_000, '0.8'],
    ['>=', 200_001, '0.800004'],
  ] as const)(
    'case 79 · a cliff %s 200,000 reprices the whole request at %i tokens',
    (operator, count, total) => {
      const context = { operator, input_tokens: 200_000 };
      const books = [
        book([
          ...plainPrices(),
          price('input_uncached', '0.000004', { when: { context } }),
          price('input_uncached', '0.000001', { when: { tier: ['batch'] } }),
          price('input_uncached', '0.000002', { when: { tier: ['batch'], context } }),
          price('output_text', '0.000005', { when: { tier: ['batch'] } }),
        ]),
      ];
      const classes = { input_uncached: String(count) };
      expect(rate(books, { classes }).total_usd).toBe(total); // count x 2, or beyond the cliff count x 4
      const half = count * (total === '0.399998' || total === '0.4' ? 1 : 2);
      expect(rate(books, { classes, tier: 'batch' }).total_usd).toBe(
        `0.${String(half).padStart(6, '0').replace(/0+$/, '')}`,
      );
    },
  );

  it('case 80 · 35 USD for a search is refused, 0.035 is taken', () => {
    const search = (unitPrice: string) => [
      book([...plainPrices(), price('web_search_requests', unitPrice)]),
    ];
    expect(() => createPriceBooks(search('35'))).toThrow('above the plausible');
    expect(() => createPriceBooks(search('0.035'))).not.toThrow();
  });

  it('case 81 · a price per million typed into a price per token is refused at load', () => {
    expect(() =>
      createPriceBooks([book([price('input_uncached', '2'), price('output_text', '10')])]),
    ).toThrow(PriceBookError);
  });

  it('case 82 · an unknown model is unrated, and rated by replay once its price is known', () => {
    const first = book(plainPrices());
    const second = book(plainPrices({ model: 'model-z', known_from: LATER }), {
      version: 2,
      known_from: LATER,
    });
    const event = { model: 'model-z' };
    expect(rate([first], event)).toMatchObject({
      outcome: 'unrated',
      unrated_reason: 'unknown_model',
    });
    expect(rate([first, second], event, LATER).total_usd).toBe('0.003');
    expect(rate([first, second], event, KNOWN).outcome).toBe('unrated');
  });

  it('case 83 · what the provider says it served is priced, not the name asked for', () => {
    const cheap = plainPrices({ model: 'model-a-mini' }).map((p) => ({
      ...p,
      unit_price: '0.0000001',
    }));
    const books = [book([...plainPrices(), ...cheap])];
    // 1100 x 0.1 micro-dollars
    expect(rate(books, { requested_model: 'model-a', model: 'model-a-mini' }).total_usd).toBe(
      '0.00011',
    );
  });

  it('case 84 · a new book published in the middle of the stream leaves no event unpriced', () => {
    const first = book(plainPrices());
    const second = book([price('input_uncached', '0.000001', { known_from: LATER })], {
      version: 2,
      known_from: LATER,
    });
    const before = createPriceBooks([first]);
    const after = createPriceBooks([first, second]);
    const outcomes = Array.from({ length: 200 }, (_, index) => {
      const books = index < 100 ? before : after;
      return rateUsage(usageEvent(), books, { knownAt: books.newestKnownFrom });
    });
    expect(outcomes.every(({ outcome }) => outcome === 'rated')).toBe(true);
    expect(new Set(outcomes.map(({ book: name }) => name))).toEqual(
      new Set(['acme-ai@1', 'acme-ai@2']),
    );
  });

  it('case 85 · a refreshed list keeps the contract, and an agreed input price inherits everything else', () => {
    const contract = {
      contract: 'frame',
      provider: 'acme-ai',
      version: 1,
      known_from: KNOWN,
      accounts: ['acme-ai'],
      prices: [
        {
          id: 'input',
          models: ['model-a'],
          meters: ['input_uncached' as const],
          unit_price: '0.000001',
          valid_from: '2026-01-01T00:00:00.000Z',
          source: 'contract of 2026',
          retrieved_at: '2026-01-01',
        },
      ],
    };
    const refreshed = book([price('output_text', '0.000008', { known_from: LATER })], {
      version: 2,
      known_from: LATER,
    });
    const books = createPriceBooks([book(plainPrices()), refreshed], [contract]);
    const total = (knownAt: string, pool = 'acme-ai') =>
      rateUsage(usageEvent({ credential_pool_id: pool }), books, { knownAt }).total_usd;
    expect(total(KNOWN)).toBe('0.002'); // 1000 x 1 agreed + 100 x 10 list
    expect(total(LATER)).toBe('0.0018'); // 1000 x 1 agreed + 100 x 8 new list
    expect(total(LATER, 'another-account')).toBe('0.0028'); // 1000 x 2 + 100 x 8
  });

  it('case 86 · the same books give the same amount wherever the event is rated', () => {
    const books = [book(plainPrices())];
    const attempt = (rest: Partial<UsageEvent>) => rate(books, rest).charges;
    expect(attempt({ attempt_role: 'fallback', streamed: true })).toEqual(attempt({}));
    expect(attempt({ ending: 'drained' })).toEqual(attempt({ ending: 'reported' }));
  });

  it('case 88 · image, audio and text tokens are priced by modality', () => {
    const books = [
      book([
        ...plainPrices(),
        price('input_uncached.audio', '0.00004'),
        price('output_text.audio', '0.00008'),
        price('input_uncached.image', '0.000005'),
      ]),
    ];
    const classes = {
      input_uncached: '10',
      'input_uncached.audio': '20',
      'input_uncached.image': '30',
      'output_text.audio': '40',
    };
    // 10 x 2 + 20 x 40 + 30 x 5 + 40 x 80 = 20 + 800 + 150 + 3200 micro-dollars
    expect(rate(books, { classes }).total_usd).toBe('0.00417');
  });

  it('case 89 · a feed whose unit changed or whose rows vanished is seen in the diff before anything is in force', () => {
    const published = book(plainPrices());
    const feed = book(
      [
        price('input_uncached', '0.002', { known_from: LATER }),
        price('output_text', '0.00001', { known_from: LATER }),
      ],
      { version: 2, known_from: LATER },
    );
    const changes = diffPrices(activePrices([published]), feed.prices, {
      now: LATER,
      flagBeyondPercent: 20,
    });
    expect(changes.map(({ kind, meter, flag }) => [kind, meter, flag])).toEqual([
      ['changed', 'input_uncached', 'above the plausible 0.001, beyond 20 %'], // 0.000002 to 0.002: a thousandfold
      ['removed', 'cache_read', 'stays in force until it is ended by hand'],
      ['removed', 'output_reasoning', 'stays in force until it is ended by hand'],
    ]);
    expect(nextVersion([published], feed)?.prices.map(({ meter }) => meter)).toEqual([
      'input_uncached',
    ]);
    expect(() => createPriceBooks([published, feed])).toThrow('above the plausible');
  });

  it('case 90 · a price corrected for the past reprices as known now, and still as it was known then', () => {
    const correction = book([price('input_uncached', '0.000003', { known_from: LATER })], {
      version: 2,
      known_from: LATER,
    });
    const books = [book(plainPrices()), correction];
    expect(rate(books, {}, KNOWN)).toMatchObject({ total_usd: '0.003', book: 'acme-ai@1' });
    expect(rate(books, {}, LATER)).toMatchObject({ total_usd: '0.004', book: 'acme-ai@2' }); // 1000 x 3 + 100 x 10
  });

  it('case 93 · a usage key without a price is reported by name, not priced at zero', () => {
    const rated = rate([book(plainPrices())], {
      classes: { input_uncached: '1', cache_write_12h: '7' },
    });
    expect(rated).toMatchObject({
      outcome: 'unrated',
      unrated_reason: 'unknown_price',
      charges: [],
    });
    expect(rated.unrated_detail).toContain('cache_write_12h');
  });

  it('case 94 · history is costed at the price of its own time', () => {
    const fall = '2026-06-01T00:00:00.000Z';
    const books = [
      book([...plainPrices(), price('input_uncached', '0.000001', { valid_from: fall })]),
    ];
    expect(rate(books, { event_ts: '2026-05-31T23:59:59.999Z' }).total_usd).toBe('0.003'); // 1000 x 2 + 100 x 10
    expect(rate(books, { event_ts: fall }).total_usd).toBe('0.002'); // 1000 x 1 + 100 x 10
  });

  it('says when a book was not compared with its sources for long', () => {
    const check = (now: string) =>
      checkBooks([book(plainPrices())], { now, staleAfterDays: 30, soonDays: 30 }).map(
        ({ finding }) => finding,
      );
    expect(check(NOON)).toEqual([]); // retrieved on 2026-11-01
    expect(check('2026-12-02T00:00:00.000Z')).toEqual(['stale']);
  });
});
