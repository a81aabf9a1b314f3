import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Money } from '../../pricing/money.ts';
import { priceUsage } from '../../pricing/price-usage.ts';
import type { ClassQuantities } from '../../schemas/usage-event.ts';
import { loadPriceBooks } from '../../services/platform/price-books.ts';

/**
 * Figures of other public price lists, typed from stored copies, against our books: what would one token of a class cost? Our
 * base is genai-prices, so a mistake of that one shows here. Every difference stands in the table with its reason; one that
 * is not there fails, and so does one that is there and no longer occurs.
 */
interface FigureRow {
  source: string;
  provider: string;
  models: string[];
  tier?: string;
  /** When the usage happened; AT where the figure is of today. */
  at?: string;
  /** Total input of the request, where the figure is of a context band. */
  input_tokens?: number;
  usd_per_million: Record<string, string>;
}
interface SecondSources {
  sources: Record<string, string>;
  reasons: Record<string, string>;
  differences: { reason: string; why: string; figures: string[] }[];
  figures: FigureRow[];
}

const table = JSON.parse(
  readFileSync(new URL('pricing-second-source.json', import.meta.url), 'utf8'),
) as SecondSources;
const books = loadPriceBooks(process.env['RECKONER_TEST_BOOKS']);
const AT = '2026-11-20T12:00:00.000Z';
/** Few enough to stay below every context band. */
const FEW = 1000;

/** Our unit price per million of one class in that situation, or why there is none. */
const ours = (row: FigureRow, model: string, meter: string): string => {
  const quantity = meter === 'input_uncached' ? (row.input_tokens ?? FEW) : FEW;
  const filler = (row.input_tokens ?? 0) - (/^(input|cache)/.test(meter) ? quantity : 0);
  const classes: ClassQuantities = {
    [meter]: String(quantity),
    ...(filler > 0 ? { input_uncached: String(filler) } : {}),
  };
  const priced = priceUsage(
    {
      provider: row.provider,
      tier: row.tier,
      at: row.at ?? AT,
      knownAt: books.newestKnownFrom,
      parts: [{ model, classes, units: {} }],
    },
    books,
  );
  if (!priced.ok) return priced.reason;
  const charge = priced.charges.find((candidate) => candidate.meter === meter);
  return charge === undefined ? 'no charge' : new Money(charge.unit_price).times(1e6).toFixed();
};

const situation = (row: FigureRow, model: string): string =>
  [
    `${row.source}: ${row.provider}/${model}`,
    row.tier,
    row.input_tokens === undefined ? undefined : `at ${row.input_tokens} input tokens`,
    row.at === undefined ? undefined : `on ${row.at.slice(0, 10)}`,
  ]
    .filter((part) => part !== undefined)
    .join(', ');

/** `litellm: openai/gpt-5.5, priority: input_uncached 10, ours 12.5; …` for every model of a row that differs. */
const differencesOf = (row: FigureRow): string[] =>
  row.models.flatMap((model) => {
    const classes = Object.entries(row.usd_per_million).flatMap(([meter, theirs]) => {
      const own = ours(row, model, meter);
      const same = /^\d/.test(own) && new Money(own).equals(theirs);
      return same ? [] : [`${meter} ${theirs}, ours ${own}`];
    });
    return classes.length === 0 ? [] : [`${situation(row, model)}: ${classes.join('; ')}`];
  });

const found = table.figures.flatMap(differencesOf);
const listed = table.differences.flatMap(({ figures }) => figures);

describe('our books against other public price lists', () => {
  it('compares at least 1,400 figures of 300 models with six sources', () => {
    const count = table.figures.reduce(
      (sum, row) => sum + row.models.length * Object.keys(row.usd_per_million).length,
      0,
    );
    const models = table.figures.flatMap(({ provider, models: names }) =>
      names.map((name) => `${provider}/${name}`),
    );
    expect(count).toBeGreaterThanOrEqual(1400);
    expect(new Set(models).size).toBeGreaterThanOrEqual(300);
    expect(new Set(table.figures.map(({ source }) => source))).toEqual(
      new Set(Object.keys(table.sources)),
    );
    expect(Object.keys(table.sources)).toHaveLength(6);
  });

  it('differs only as listed, and every listed difference still exists', () => {
    expect(
      found.filter((difference) => !listed.includes(difference)),
      'not listed',
    ).toEqual([]);
    expect(
      listed.filter((difference) => !found.includes(difference)),
      'listed, but gone',
    ).toEqual([]);
  });

  it('lists each difference once, with a reason of the closed list', () => {
    expect(new Set(listed).size).toBe(listed.length);
    for (const { reason, why } of table.differences) {
      expect(Object.keys(table.reasons)).toContain(reason);
      expect(why).not.toBe('');
    }
  });
});
