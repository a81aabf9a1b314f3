import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { activePrices } from '../../../pricing/active-prices.ts';
import { checkBooks } from '../../../pricing/book-findings.ts';
import { priceUsage } from '../../../pricing/price-usage.ts';
import type { Price, PriceBook } from '../../../schemas/price-book.ts';
import { diffPrices, nextVersion } from '../../../services/cli/commands/price-diff.ts';
import {
  prepareApproval,
  publish,
  publishedVersions,
  readDraft,
  writeDraft,
} from '../../../services/cli/commands/price-drafts.ts';
import { formatPriceBook } from '../../../services/cli/commands/prices-import.ts';
import { loadPriceBooks } from '../../../services/platform/price-books.ts';
import { book, KNOWN, plainPrices, price } from './pricing-fixtures.ts';

const LATER = '2026-12-01T00:00:00.000Z';
const first = book(plainPrices());
const dearer = book(
  [...plainPrices().slice(1), price('input_uncached', '0.000003')].map((p) => ({
    ...p,
    price_id: `v2 ${p.price_id}`,
  })),
  { version: 2, known_from: LATER },
);

const folder = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-review-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, 'acme-ai'));
  writeFileSync(join(directory, 'acme-ai', '0001.json'), formatPriceBook(first));
  return directory;
};
const draftIn = (directory: string): PriceBook => {
  const draft = nextVersion(publishedVersions(directory, 'acme-ai'), dearer);
  if (!draft) throw new Error('there is nothing new');
  writeDraft(directory, { ...draft, prepared_by: 'ann' });
  return draft;
};
const cost = (directory: string): string => {
  const books = loadPriceBooks(directory);
  const priced = priceUsage(
    {
      provider: 'acme-ai',
      at: LATER,
      knownAt: books.newestKnownFrom,
      parts: [{ model: 'model-a', classes: { input_uncached: '1000' }, units: {} }],
    },
    books,
  );
  return priced.ok ? priced.total : priced.detail;
};
const approval = { by: 'ben', now: LATER, fourEyes: false, approvalsMin: 1 as const };

describe('a draft', () => {
  it('holds only what changed, and prices nothing until it is approved', () => {
    const directory = folder();
    expect(draftIn(directory).prices.map(({ meter, unit_price }) => [meter, unit_price])).toEqual([
      ['input_uncached', '0.000003'],
    ]);
    expect(cost(directory)).toBe('0.002'); // 1000 x 2
    const path = publish(directory, prepareApproval(directory, 'acme-ai', approval));
    expect(path).toBe(join(directory, 'acme-ai', '0002.json'));
    expect(cost(directory)).toBe('0.003'); // 1000 x 3
    expect(readDraft(directory, 'acme-ai')).toBeNull();
    expect(existsSync(join(directory, 'acme-ai', '0002.draft.json'))).toBe(false);
  });

  it('is known from its approval on and says who approved it', () => {
    const directory = folder();
    draftIn(directory);
    publish(directory, prepareApproval(directory, 'acme-ai', approval));
    const [, second] = publishedVersions(directory, 'acme-ai');
    expect(second).toMatchObject({
      known_from: LATER,
      prepared_by: 'ann',
      approved: [{ by: 'ben', at: LATER }],
    });
    expect(second?.prices.every((p) => p.known_from === LATER)).toBe(true);
  });

  it('with four eyes is not approved by who prepared it', () => {
    const directory = folder();
    draftIn(directory);
    const alone = { ...approval, by: 'ann', fourEyes: true };
    expect(() => prepareApproval(directory, 'acme-ai', alone)).toThrow('somebody else');
    expect(() => prepareApproval(directory, 'acme-ai', { ...alone, by: 'ben' })).not.toThrow();
    expect(() =>
      prepareApproval(directory, 'acme-ai', { ...alone, fourEyes: false }),
    ).not.toThrow();
  });

  it('is refused with a unit slip, and nothing is published twice', () => {
    const directory = folder();
    writeDraft(directory, {
      ...dearer,
      prices: [price('input_uncached', '2', { price_id: 'slip' })],
    });
    expect(() => prepareApproval(directory, 'acme-ai', approval)).toThrow('above the plausible');
    draftIn(directory);
    const ready = prepareApproval(directory, 'acme-ai', approval);
    publish(directory, ready);
    expect(() => publish(directory, ready)).toThrow('published already');
    expect(() => prepareApproval(directory, 'acme-ai', approval)).toThrow('has no draft');
  });

  it('leaves the versions before it as they are, byte for byte', () => {
    const directory = folder();
    draftIn(directory);
    publish(directory, prepareApproval(directory, 'acme-ai', approval));
    expect(readFileSync(join(directory, 'acme-ai', '0001.json'), 'utf8')).toBe(
      formatPriceBook(first),
    );
  });
});

describe('a diff', () => {
  const options = { now: LATER, flagBeyondPercent: 20 };

  it('names what is added, changed and removed, by how much, and what a person must look at', () => {
    const candidate = [
      price('input_uncached', '0.0000022'), // 10 % more
      price('output_text', '0.00002'), // 100 % more
      price('output_reasoning', '0.00001'),
      price('web_search_requests', '0.01'),
      price('input_uncached', '0.000009', { valid_from: '2027-01-01T00:00:00.000Z' }),
    ];
    const rows = diffPrices(activePrices([first]), candidate, options);
    expect(rows.map((r) => [r.kind, r.meter, r.percent, r.flag])).toEqual([
      ['changed', 'input_uncached', '10', ''],
      ['changed', 'output_text', '100', 'beyond 20 %'],
      ['added', 'web_search_requests', '', ''],
      ['added', 'input_uncached', '309.1', 'waits until 2027-01-01, beyond 20 %'], // 9 / 2.2 - 1
      ['removed', 'cache_read', '', 'stays in force until it is ended by hand'],
    ]);
  });

  it('shows a price from a date on beside the one it takes over from, flagged when it is far from it', () => {
    const from = '2026-11-01T00:00:00.000Z';
    const added = (more: Partial<Price>) => price('input_uncached', '0.00001', more);
    const rows = diffPrices(
      activePrices([first]),
      [
        added({ valid_from: from }), // five times 0.000002
        added({ valid_from: from, when: { tier: ['batch'] } }),
        price('output_text', '0.00001', { valid_from: from }),
        price('input_uncached', '0.60', { valid_from: '2026-11-02T00:00:00.000Z' }),
      ],
      options,
    ).filter(({ kind }) => kind === 'added');
    expect(rows.map((r) => [r.conditions, r.before, r.after, r.percent, r.flag])).toEqual([
      ['', '0.000002', '0.00001', '400', 'beyond 20 %'],
      ['batch', '', '0.00001', '', ''],
      ['', '0.00001', '0.00001', '0', ''],
      ['', '0.00001', '0.60', '5999900', 'above the plausible 0.001, beyond 20 %'],
    ]);
  });

  it('of a price that begins where another ends shows that one, and none that ended before', () => {
    const ended = (validTo: string) =>
      activePrices([book([price('input_uncached', '0.000002', { valid_to: validTo })])]);
    const next = [price('input_uncached', '0.000003', { valid_from: '2026-11-01T00:00:00.000Z' })];
    const shownBefore = (validTo: string) =>
      diffPrices(ended(validTo), next, options).map((row) => row.before)[0];
    expect(shownBefore('2026-11-01T00:00:00.000Z')).toBe('0.000002');
    expect(shownBefore('2026-10-31T00:00:00.000Z')).toBe('');
  });

  it('restates all bands of a price of which one changed', () => {
    const context = { operator: '>' as const, input_tokens: 200_000 };
    const cliff = price('input_uncached', '0.000004', { when: { context } });
    const published = book([...plainPrices(), cliff]);
    const changed = { ...cliff, unit_price: '0.000005' };
    const draft = nextVersion([published], book([...plainPrices(), changed], { version: 2 }));
    expect(draft?.prices.map(({ unit_price }) => unit_price)).toEqual(['0.000002', '0.000005']);
  });

  it('is empty for the same prices of another day and source, and sees a changed alias', () => {
    const again = plainPrices({
      source: 'elsewhere',
      retrieved_at: '2026-12-24',
      known_from: LATER,
    });
    expect(diffPrices(activePrices([first]), again, options)).toEqual([]);
    expect(nextVersion([first], book(again, { version: 2 }))).toBeNull();
    const aliases = [{ alias: 'a', model: 'model-a', source: 's' }];
    expect(nextVersion([first], book(again, { version: 2, aliases }))?.aliases).toEqual(aliases);
  });
});

describe('the check', () => {
  const of = (versions: PriceBook[], now: string) =>
    checkBooks(versions, { now, staleAfterDays: 30, soonDays: 30 }).map(({ finding, what }) => [
      finding,
      what.slice(what.lastIndexOf(':') + 2),
    ]);

  it('finds announced prices whose day has come, until a version lets them in', () => {
    const rise = price('input_uncached', '0.000004', { valid_from: '2026-11-10T00:00:00.000Z' });
    const announced = book([...plainPrices(), rise]);
    expect(of([announced], '2026-11-09T00:00:00.000Z')).toEqual([]);
    expect(of([announced], '2026-11-10T00:00:00.000Z')).toEqual([['announced_due', 'model-a']]);
    const confirmed = book([], { version: 2, known_from: '2026-11-11T00:00:00.000Z' });
    expect(of([announced, confirmed], '2026-11-12T00:00:00.000Z')).toEqual([]);
  });

  it('finds prices that end soon without another after them, and open conflicts', () => {
    const end = '2026-11-20T00:00:00.000Z';
    const ending = plainPrices({ valid_to: end });
    expect(of([book(ending)], KNOWN)).toEqual([['ends_soon', 'model-a']]);
    expect(of([book(ending)], '2026-10-01T00:00:00.000Z')).toEqual([]);
    const next = plainPrices({ valid_from: end });
    expect(of([book([...ending, ...next])], KNOWN)).toEqual([]);
    const claims = ['0.000001', '0.000002'].map((unitPrice) =>
      price('input_uncached', unitPrice, { claim: 'which?', price_id: unitPrice }),
    );
    expect(of([book([...plainPrices(), ...claims])], KNOWN)).toEqual([
      ['open_conflict', 'model-a'],
    ]);
  });
});
