import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AllowanceUse } from '../../pricing/allowances.ts';
import { allowanceCredits } from '../../pricing/allowances.ts';
import { addAmounts, scaledAmount } from '../../pricing/money.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { rateUsage } from '../../pricing/rate-usage.ts';
import type { Allowance, PassThrough, Price, PriceBook } from '../../schemas/price-book.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import { RatedUsageSchema } from '../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { RatedEvent } from '../../services/rater/core/rerate.ts';
import { addDifferences, rerate } from '../../services/rater/core/rerate.ts';
import { book, KNOWN, plainPrices, price, usageEvent } from '../unit/pricing/pricing-fixtures.ts';

/** A count of 10^-places as a decimal: plain, without zeros at its end. */
const decimal = (value: bigint, places: number): string => {
  const digits = value.toString().padStart(places + 1, '0');
  const text = `${digits.slice(0, digits.length - places)}.${digits.slice(digits.length - places)}`;
  return text.replace(/\.?0+$/, '');
};
const micro = (most: number): fc.Arbitrary<string> =>
  fc.nat({ max: most }).map((value) => decimal(BigInt(value), 6));

describe('a cost that is stated', () => {
  const rule = (rest: Partial<PassThrough> = {}): PassThrough => ({
    valid_from: '2026-01-01T00:00:00.000Z',
    source: 'https://example.test/costs',
    retrieved_at: '2026-11-01',
    ...rest,
  });
  const exactly = createPriceBooks([book(plainPrices(), { pass_through: [rule()] })]);
  const rounding = createPriceBooks([
    book(plainPrices(), { pass_through: [rule({ rounding: 'half_even' })] }),
  ]);
  const rate = (raw: string, books = exactly): RatedUsage => {
    const rated = rateUsage(usageEvent({ raw_usage: raw }), books, { knownAt: KNOWN });
    expect(RatedUsageSchema.safeParse(rated).error).toBeUndefined();
    return rated;
  };
  const amountsOf = (rated: RatedUsage): string[] => rated.charges.map((c) => c.amount_usd);

  /** An amount as a count of 10^-places, two of which fit an amount, with one of the ways in which JSON may write it. */
  const stated = (mostPlaces: number) =>
    fc
      .record({
        value: fc.bigInt({ min: 0n, max: 4n * 10n ** 19n }),
        places: fc.integer({ min: 0, max: mostPlaces }),
        way: fc.constantFrom('plain', 'zeros', 'exponent'),
      })
      .map(({ value, places, way }) => {
        const digits = value.toString().padStart(places + 1, '0');
        const cut = digits.length - places;
        const plain = places === 0 ? digits : `${digits.slice(0, cut)}.${digits.slice(cut)}`;
        const text = {
          plain,
          zeros: places === 0 ? plain : `${plain}00`,
          exponent: `${value}e-${places}`,
        };
        return { value, places, text: text[way] };
      });
  const scaled = (amount: { value: bigint; places: number }): bigint =>
    amount.value * 10n ** BigInt(18 - amount.places);

  it('of at most 12 places is charged to the last of them, however it is written', () => {
    fc.assert(
      fc.property(stated(12), (cost) => {
        const rated = rate(`{"cost":${cost.text}}`);
        expect(scaledAmount(rated.total_usd ?? '')).toBe(scaled(cost));
        expect(scaledAmount(addAmounts(amountsOf(rated)))).toBe(scaled(cost));
        expect(rated.charges).toHaveLength(cost.value === 0n ? 0 : 1);
        expect(rate(`{"cost":${cost.text}}`, rounding).total_usd).toBe(rated.total_usd);
      }),
    );
  });

  it("is with the customer's own key what the provider and the vendor took, in a line each", () => {
    fc.assert(
      fc.property(stated(12), stated(12), (own, upstream) => {
        const rated = rate(
          `{"cost":${own.text},"is_byok":true,"cost_details":{"upstream_inference_cost":${upstream.text}}}`,
        );
        const taken = [own, upstream].filter(({ value }) => value > 0n).map(scaled);
        expect(amountsOf(rated).map(scaledAmount)).toEqual(taken);
        expect(scaledAmount(rated.total_usd ?? '')).toBe(scaled(own) + scaled(upstream));
      }),
    );
  });

  it('and is finer is refused, or by the rule of half to even within half of the last place, line by line', () => {
    const half = 10n ** 6n / 2n;
    fc.assert(
      fc.property(stated(18), stated(18), (own, upstream) => {
        const raw = `{"cost":${own.text},"is_byok":true,"cost_details":{"upstream_inference_cost":${upstream.text}}}`;
        const isFine = [own, upstream].some((cost) => scaled(cost) % 10n ** 6n !== 0n);
        expect(rate(raw).unrated_reason).toBe(isFine ? 'precision' : undefined);
        const rated = rate(raw, rounding);
        const charged = new Map(
          rated.charges.map((c) => [c.price_id.endsWith('/upstream'), scaledAmount(c.amount_usd)]),
        );
        for (const [isUpstream, cost] of [
          [false, own],
          [true, upstream],
        ] as const) {
          const one = charged.get(isUpstream) ?? 0n;
          const off = one - scaled(cost);
          expect(off <= half && off >= -half).toBe(true);
          expect(one % 10n ** 6n).toBe(0n);
          // A tie goes to the even neighbour.
          if (off === half || off === -half) expect((one / 10n ** 6n) % 2n).toBe(0n);
        }
        expect(scaledAmount(rated.total_usd ?? '')).toBe(
          [...charged.values()].reduce((sum, one) => sum + one, 0n),
        );
      }),
    );
  });
});

const MODELS = ['model-a', 'model-b'] as const;
const METERS = ['input_uncached', 'output_text'] as const;
const TIERS = ['standard', 'priority', 'batch'] as const;
/** From 1 to 10 USD per million: what is further apart within a book is refused as implausible. */
const unitPrice = fc
  .integer({ min: 1_000_000, max: 9_999_999 })
  .map((value) => decimal(BigInt(value), 12));

/** Prices of two models, two meters, three tiers, each with a band for long requests. */
const smallBook: fc.Arbitrary<Price[]> = fc
  .array(unitPrice, { minLength: 24, maxLength: 24 })
  .map((usd) =>
    MODELS.flatMap((model) =>
      TIERS.flatMap((tier) =>
        METERS.flatMap((meter) => [null, 1_000].map((above) => ({ model, tier, meter, above }))),
      ),
    ).map(({ model, tier, meter, above }, index) => {
      const when = {
        ...(tier === 'standard' ? {} : { tier: [tier] }),
        ...(above === null ? {} : { context: { operator: '>' as const, input_tokens: above } }),
      };
      return price(meter, usd[index] ?? '0', {
        model,
        ...(Object.keys(when).length === 0 ? {} : { when }),
      });
    }),
  );
const tokens = fc.oneof(fc.nat({ max: 2_000 }), fc.nat({ max: 2_000_000 })).map(String);

describe('a ceiling', () => {
  it('is what no model, tier or length of the same book goes beyond', () => {
    let rated = 0;
    fc.assert(
      fc.property(smallBook, tokens, tokens, (prices, input, output) => {
        const books = createPriceBooks([book(prices)]);
        const of = (rest: Partial<UsageEvent>) =>
          rateUsage(
            usageEvent({ classes: { input_uncached: input, output_text: output }, ...rest }),
            books,
            { knownAt: KNOWN },
          );
        const { ceiling_usd: ceiling = '' } = of({ model: 'model-x', unknown_price: 'ceiling' });
        for (const model of MODELS) {
          for (const tier of TIERS) {
            const { total_usd: total } = of({ model, tier });
            expect(total).toBeDefined();
            expect(scaledAmount(ceiling)).toBeGreaterThanOrEqual(scaledAmount(total ?? ''));
            rated += 1;
          }
        }
      }),
    );
    expect(rated).toBeGreaterThanOrEqual(600);
  });
});

describe('allowances', () => {
  const allowance: fc.Arbitrary<Allowance> = fc
    .record({
      quantity: micro(500_000_000),
      per: fc.constantFrom('day', 'month'),
      models: fc.option(fc.constantFrom(['model-a'], ['model-b']), { nil: undefined }),
      valid_from: fc.constantFrom('2026-01-01T00:00:00.000Z', '2026-11-10T12:00:00.000Z'),
    })
    .map(({ models, ...rest }) => ({
      ...rest,
      ...(models === undefined ? {} : { models: [...models] }),
      meter: 'web_search_requests',
      source: 'https://example.test/free',
      retrieved_at: '2026-11-01',
    }));
  const use: fc.Arbitrary<AllowanceUse> = fc
    .record({
      at: fc
        .nat({ max: 39 })
        .map((days) => new Date(Date.UTC(2026, 10, 1, 6) + days * 43_200_000).toISOString()),
      model: fc.constantFrom('model-a', 'model-b', 'model-x'),
      meter: fc.constantFrom('web_search_requests', 'web_search_requests', 'images'),
      quantity: fc.oneof(
        micro(200_000_000),
        micro(9_000_000).map((text) => `-${text}`),
      ),
      unit_price: unitPrice,
    })
    .map((one) => ({ ...one, quantity: one.quantity === '-0' ? '0' : one.quantity }));
  const prices = MODELS.flatMap((model) => [
    ...plainPrices({ model }),
    price('web_search_requests', '0.01', { model }),
  ]);
  /** Both have at most 18 places together. */
  const product = (quantity: string, usd: string): bigint =>
    (scaledAmount(quantity) * scaledAmount(usd)) / 10n ** 18n;

  it('credit what was used at its list price: never more, never less than nothing, never more than is free', () => {
    let credited = 0;
    fc.assert(
      fc.property(
        fc.uniqueArray(allowance, {
          minLength: 1,
          maxLength: 3,
          selector: ({ per, models, valid_from: from }) => JSON.stringify([per, models, from]),
        }),
        fc.array(use, { minLength: 8, maxLength: 25, size: 'max' }),
        (allowances, uses) => {
          const books = createPriceBooks([book(prices, { allowances })]);
          const credits = allowanceCredits({ provider: 'acme-ai', uses, knownAt: KNOWN }, books);
          credited += credits.length;
          const windows = new Map<string, bigint>();
          for (const credit of credits) {
            const amount = scaledAmount(credit.credit_usd);
            expect(amount).toBeGreaterThan(0n);
            expect(amount).toBe(product(credit.quantity, credit.unit_price));
            const key = `${credit.allowance} ${credit.window}`;
            windows.set(key, (windows.get(key) ?? 0n) + scaledAmount(credit.quantity));
          }
          for (const [key, taken] of windows) {
            const number = Number(/allowance\/(\d+) /.exec(key)?.[1]);
            expect(taken).toBeLessThanOrEqual(
              scaledAmount(allowances[number - 1]?.quantity ?? '0'),
            );
          }
          const keyOf = (one: { model: string; meter: string; unit_price: string }) =>
            JSON.stringify([one.model, one.meter, one.unit_price]);
          for (const key of new Set(credits.map(keyOf))) {
            const used = uses.filter((one) => keyOf(one) === key && !one.quantity.startsWith('-'));
            const most = used.reduce((sum, one) => sum + product(one.quantity, one.unit_price), 0n);
            const given = credits.filter((one) => keyOf(one) === key);
            expect(
              scaledAmount(addAmounts(given.map((one) => one.credit_usd))),
            ).toBeLessThanOrEqual(most);
          }
        },
      ),
    );
    expect(credited).toBeGreaterThan(50);
  });
});

/** What was known in the end is known from the fourth version on; each states some prices again, for the past too. */
const versions: fc.Arbitrary<PriceBook[]> = fc
  .array(
    fc.array(
      fc.record({
        model: fc.constantFrom(...MODELS),
        meter: fc.constantFrom(...METERS),
        usd: unitPrice,
        from: fc.constantFrom('2026-01-01T00:00:00.000Z', '2026-11-15T00:00:00.000Z'),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    { minLength: 3, maxLength: 3 },
  )
  .map((changes) =>
    changes.map((stated, index) => {
      const known = `2026-12-0${index + 1}T00:00:00.000Z`;
      const once = new Map(stated.map((one) => [`${one.model} ${one.meter} ${one.from}`, one]));
      return book(
        [...once.values()].map(({ model, meter, usd, from }) =>
          price(meter, usd, { model, valid_from: from, known_from: known }),
        ),
        { version: index + 2, known_from: known },
      );
    }),
  );
const usage: fc.Arbitrary<UsageEvent[]> = fc.uniqueArray(
  fc
    .record({
      id: fc.uuid({ version: 7 }),
      tenant: fc.constantFrom('acme', 'globex'),
      model: fc.constantFrom(...MODELS, 'model-x'),
      input: tokens,
      output: tokens,
      day: fc.integer({ min: 10, max: 20 }),
    })
    .map(({ id, tenant, model, input, output, day }) =>
      usageEvent({
        event_id: id,
        model,
        dimensions: { tenant },
        event_ts: `2026-11-${day}T12:00:00.000Z`,
        classes: { input_uncached: input, output_text: output },
      }),
    ),
  { maxLength: 15, selector: ({ event_id: id }) => id },
);
const base = book([...plainPrices(), ...plainPrices({ model: 'model-b' })]);
const known = (index: number) => (index === 0 ? KNOWN : `2026-12-0${index}T00:00:00.000Z`);
const chain = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 5 });

type Ledger = Map<string, RatedEvent & { entries: RatedUsage[] }>;

describe('re-rating through any chain of books', () => {
  const rateFirst = (
    events: readonly UsageEvent[],
    books: ReturnType<typeof createPriceBooks>,
  ): Ledger =>
    new Map(
      events.map((event) => [
        event.event_id,
        { event, entries: [rateUsage(event, books, { knownAt: KNOWN })] },
      ]),
    );
  const run = (
    ledger: Ledger,
    books: ReturnType<typeof createPriceBooks>,
    { knownAt, only = [...ledger.keys()] }: { knownAt: string; only?: readonly string[] },
  ) => {
    const rated = only.flatMap((id) => ledger.get(id) ?? []);
    const result = rerate(rated, books, { knownAt, postingPeriodOf: (period) => period });
    for (const entry of result.entries) ledger.get(entry.event_id)?.entries.push(entry);
    return result;
  };
  const standing = (entries: readonly RatedUsage[]): bigint =>
    entries.reduce((sum, { total_usd: usd }) => sum + scaledAmount(usd ?? '0'), 0n);

  it('leaves of every event what the last books say: the sum of all its entries', () => {
    fc.assert(
      fc.property(usage, versions, chain, (events, later, steps) => {
        const books = createPriceBooks([base, ...later]);
        const ledger = rateFirst(events, books);
        for (const step of steps) run(ledger, books, { knownAt: known(step) });
        const knownAt = known(steps.at(-1) ?? 0);
        for (const { event, entries } of ledger.values()) {
          const fresh = rateUsage(event, books, { knownAt });
          expect(standing(entries)).toBe(scaledAmount(fresh.total_usd ?? '0'));
          // Every charge but the last is taken back by a reversal of its own, to the last line.
          const charges = entries.filter(({ kind }) => kind === 'charge');
          const reversals = entries.filter(({ kind }) => kind === 'reversal');
          expect(reversals).toHaveLength(charges.length - 1);
          for (const [index, reversal] of reversals.entries()) {
            expect(standing([charges[index] ?? reversal, reversal])).toBe(0n);
            expect(reversal.revision).toBe(charges[index]?.revision);
          }
          expect(new Set(entries.map(({ entry_id: id }) => id)).size).toBe(entries.length);
        }
      }),
    );
  });

  it('is the same in whatever order the events come, and cut into whatever slices', () => {
    fc.assert(
      fc.property(
        usage,
        versions,
        chain,
        fc.infiniteStream(fc.nat({ max: 3 })),
        (events, later, steps, cuts) => {
          const books = createPriceBooks([base, ...later]);
          const whole = rateFirst(events, books);
          const sliced = rateFirst([...events].reverse(), books);
          for (const step of steps) {
            const knownAt = known(step);
            const { differences } = run(whole, books, { knownAt });
            const slices: string[][] = [[], [], [], []];
            for (const id of sliced.keys()) slices[cuts.next().value ?? 0]?.push(id);
            const parts = slices.map((only) => run(sliced, books, { knownAt, only }));
            expect(addDifferences(parts.flatMap((part) => part.differences))).toEqual(differences);
          }
          for (const [id, { entries }] of whole) expect(sliced.get(id)?.entries).toEqual(entries);
        },
      ),
    );
  });
});
