import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import { priceUsage } from '../../../pricing/price-usage.ts';
import type { ContractBook, PriceBook } from '../../../schemas/price-book.ts';
import type { FollowedPriceBooks } from '../../../services/platform/follow-price-books.ts';
import { followPriceBooks } from '../../../services/platform/follow-price-books.ts';
import { createMetrics } from '../../../services/platform/metrics.ts';
import type { PriceFolders } from '../../../services/platform/price-book-files.ts';
import { loadHousePrices, SHIPPED_BOOKS } from '../../../services/platform/price-books.ts';
import { book, KNOWN, NOON, plainPrices, price } from '../pricing/pricing-fixtures.ts';

const LATER = '2026-12-01T00:00:00.000Z';
/** 3 USD in a million instead of 2, approved later. */
const dearer = book(
  [price('input_uncached', '0.000003', { price_id: 'v2 in', known_from: LATER })],
  { version: 2, known_from: LATER },
);
const discount: ContractBook = {
  contract: 'acme-2026',
  provider: 'acme-ai',
  version: 1,
  known_from: KNOWN,
  accounts: ['main'],
  prices: [
    {
      id: 'fifteen-off',
      factor: '0.85',
      valid_from: '2026-01-01T00:00:00.000Z',
      source: 'order form',
      retrieved_at: '2026-10-01',
    },
    {
      id: 'input',
      meters: ['input_uncached'],
      unit_price: '0.000001',
      valid_from: '2026-01-01T00:00:00.000Z',
      source: 'order form',
      retrieved_at: '2026-10-01',
    },
  ],
};

const put = (directory: string, name: string, version: PriceBook | ContractBook): void => {
  mkdirSync(join(directory, name), { recursive: true });
  const file = `${String(version.version).padStart(4, '0')}.json`;
  writeFileSync(join(directory, name, file), JSON.stringify(version));
};

const twoFolders = (): { books: string; contracts: string } => {
  const root = mkdtempSync(join(tmpdir(), 'reckoner-follow-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const folders = { books: join(root, 'books'), contracts: join(root, 'contracts') };
  put(folders.books, 'acme-ai', book(plainPrices()));
  put(folders.contracts, 'acme-2026', discount);
  return folders;
};

const follow = (folders: PriceFolders) => {
  const metrics = createMetrics('test');
  const lines: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  // Tests look themselves: no timer comes in between.
  const prices = followPriceBooks({ folders, lookEveryMs: 3_600_000, logger, metrics });
  onTestFinished(() => prices.close());
  return { prices, metrics, lines };
};

const cost = (books: PriceBooks, account?: string, model = 'model-a'): string => {
  const { newestKnownFrom: knownAt } = books;
  const usage = { input_uncached: '1000', output_text: '100' };
  const parts = [{ model, classes: usage, units: {} }];
  const priced = priceUsage({ provider: 'acme-ai', at: NOON, knownAt, account, parts }, books);
  return priced.ok ? priced.total : priced.reason;
};
const failures = async (metrics: ReturnType<typeof createMetrics>): Promise<string> =>
  /reckoner_price_book_reload_failures_total\{[^}]*\} (\d+)/.exec(await metrics.render())?.[1] ??
  '';

describe('price books that are followed', () => {
  it('case 85 · a refreshed list is in force without a restart, and what was agreed stays agreed', async () => {
    const folders = twoFolders();
    const { prices } = follow(folders);
    expect(cost(prices.current())).toBe('0.003'); // 1000 x 2 / 1e6 + 100 x 10 / 1e6
    expect(cost(prices.current(), 'main')).toBe('0.00185'); // 1000 x 1 / 1e6 + 100 x 8.5 / 1e6
    put(folders.books, 'acme-ai', dearer);
    expect(await prices.look()).toBe('swapped');
    expect(cost(prices.current())).toBe('0.004'); // input at 3
    // The input is agreed, the output inherits list price and factor.
    expect(cost(prices.current(), 'main')).toBe('0.00185');
  });

  it('case 85 · a contract changed while running overrides one field and inherits the rest', async () => {
    const folders = twoFolders();
    const { prices } = follow(folders);
    const input = { ...discount.prices[1], unit_price: '0.0000005' };
    put(folders.contracts, 'acme-2026', {
      ...discount,
      version: 2,
      known_from: LATER,
      prices: [input] as ContractBook['prices'],
    });
    expect(await prices.look()).toBe('swapped');
    expect(cost(prices.current(), 'main')).toBe('0.00135'); // 1000 x 0.5 / 1e6 + 100 x 8.5 / 1e6
    expect(prices.current().contractAt('acme-ai', 'main', LATER)).toBe('acme-2026@2');
    expect(prices.current().contractAt('acme-ai', 'main', KNOWN)).toBe('acme-2026@1');
  });

  it('case 85 · a list that does not load is refused whole: the one before stays, counted and logged once', async () => {
    const folders = twoFolders();
    const { prices, metrics, lines } = follow(folders);
    const before = prices.current();
    // A price per million typed into a price per token.
    put(folders.books, 'acme-ai', {
      ...dearer,
      prices: [price('input_uncached', '3', { price_id: 'slip', known_from: LATER })],
    });
    expect(await prices.look()).toBe('refused');
    expect(prices.current()).toBe(before);
    expect(await failures(metrics)).toBe('1');
    expect(await prices.look()).toBe('unchanged');
    expect(await failures(metrics)).toBe('1');
    const refusals = lines.filter((line) => line.includes('above the plausible 0.001'));
    expect(refusals).toHaveLength(1);
    put(folders.books, 'acme-ai', dearer);
    expect(await prices.look()).toBe('swapped');
    expect(cost(prices.current())).toBe('0.004');
  });

  it('row 51 · a version in force that is edited or taken away is refused: what it rated must rate alike again', async () => {
    const folders = twoFolders();
    const { prices, lines } = follow(folders);
    const before = prices.current();
    put(
      folders.books,
      'acme-ai',
      book([...plainPrices().slice(1), price('input_uncached', '0.000009')]),
    );
    expect(await prices.look()).toBe('refused');
    expect(lines.at(-1)).toContain('acme-ai@1 was edited');
    rmSync(join(folders.books, 'acme-ai'), { recursive: true });
    expect(await prices.look()).toBe('refused');
    expect(lines.at(-1)).toContain('acme-ai@1 is gone');
    rmSync(join(folders.contracts, 'acme-2026'), { recursive: true });
    put(folders.books, 'acme-ai', book(plainPrices()));
    expect(await prices.look()).toBe('refused');
    expect(lines.at(-1)).toContain('contract acme-2026@1 is gone');
    expect(prices.current()).toBe(before);
    put(folders.contracts, 'acme-2026', discount);
    expect(await prices.look()).toBe('swapped');
  });

  it('makes only the providers again whose files changed, and tells who listens', async () => {
    const folders = twoFolders();
    const { prices } = follow(folders);
    const parts = prices.loaded().parts;
    let told = 0;
    prices.onSwap(() => {
      told += 1;
    });
    put(folders.books, 'acme-ai', dearer);
    await Promise.all([prices.look(), prices.look()]);
    expect(told).toBe(1);
    const after = prices.loaded().parts;
    expect([...after.keys()].filter((name) => after.get(name) !== parts.get(name))).toEqual([
      'acme-ai',
    ]);
  });

  it('looks by itself, and shows the versions in force as a metric', async () => {
    const folders = twoFolders();
    const metrics = createMetrics('test');
    const logger = pino({ level: 'silent' });
    const prices: FollowedPriceBooks = followPriceBooks({
      ...{ folders, logger, metrics },
      lookEveryMs: 20,
    });
    onTestFinished(() => prices.close());
    put(folders.books, 'acme-ai', dearer);
    await expect.poll(() => prices.current().versionAt('acme-ai', LATER)).toBe(2);
    expect(await metrics.render()).toMatch(
      /reckoner_price_book_info\{.*provider="acme-ai",version="2".*\} 1/,
    );
  });
});

describe('a folder of one’s own', () => {
  it('is laid over the shipped books: a new provider is added, one that is shipped too is taken whole from it', () => {
    const { books } = twoFolders();
    const shipped = loadHousePrices({}).books;
    expect(loadHousePrices({ books }).books.books.map(({ provider }) => provider)).toEqual(
      [...shipped.books.map(({ provider }) => provider), 'acme-ai'].sort(),
    );
    cpSync(join(SHIPPED_BOOKS, 'openai', '0001.json'), join(books, 'openai', '0001.json'));
    const own = loadHousePrices({ books }).books;
    expect(own.books.filter(({ provider }) => provider === 'openai')).toHaveLength(1);
    expect(shipped.books.filter(({ provider }) => provider === 'openai').length).toBeGreaterThan(1);
  });

  it('follows a link to a folder, which is how a folder is swapped at once, and refuses one that leads nowhere', () => {
    const { books } = twoFolders();
    const elsewhere = join(books, '..', 'released');
    cpSync(join(SHIPPED_BOOKS, 'openai', '0001.json'), join(elsewhere, '0001.json'));
    symlinkSync(elsewhere, join(books, 'openai'));
    // Left out without a word, its prices would be the shipped ones.
    const own = loadHousePrices({ books }).books;
    expect(own.books.filter(({ provider }) => provider === 'openai')).toHaveLength(1);
    rmSync(elsewhere, { recursive: true });
    expect(() => loadHousePrices({ books })).toThrow('cannot be read (ENOENT)');
  });

  it('does not displace a shipped provider by a draft alone', () => {
    const { books } = twoFolders();
    mkdirSync(join(books, 'openai'));
    writeFileSync(join(books, 'openai', '0001.draft.json'), '{}');
    const found = loadHousePrices({ books }).books.versionAt('openai', LATER);
    expect(found).toBe(loadHousePrices({}).books.versionAt('openai', LATER));
  });

  it('refuses a book that lies in the folder of another provider', () => {
    const { books } = twoFolders();
    put(books, 'acme', book(plainPrices()));
    expect(() => loadHousePrices({ books })).toThrow(
      'acme/0001.json: lies in the folder acme, but says provider "acme-ai"',
    );
  });
});
