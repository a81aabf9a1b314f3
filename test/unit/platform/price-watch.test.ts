import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { createMetrics } from '../../../services/platform/metrics.ts';
import { startPriceWatch } from '../../../services/platform/price-watch.ts';
import { book, plainPrices, price } from '../pricing/pricing-fixtures.ts';

const DAY_MS = 86_400_000;

/** Compared with its sources on 1 November; a rise announced for 20 November. */
const announced = price('input_uncached', '0.000003', {
  price_id: 'announced',
  valid_from: '2026-11-20T00:00:00.000Z',
});

const watch = (from: string, prices = [...plainPrices(), announced]) => {
  let nowMs = Date.parse(from);
  let current = createPriceBooks([book(prices)]);
  const listeners: (() => void)[] = [];
  const lines: { level: number; finding?: string; provider?: string }[] = [];
  const metrics = createMetrics('test');
  const started = startPriceWatch({
    prices: {
      current: () => current,
      onSwap: (listener) => void listeners.push(() => listener({} as never)),
    },
    staleAfterDays: 45,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    metrics,
  });
  onTestFinished(() => started.close());
  return {
    started,
    said: () => lines.splice(0).map(({ finding }) => finding),
    pass: (days: number) => {
      nowMs += days * DAY_MS;
      started.look();
    },
    swap: (next: typeof current) => {
      current = next;
      for (const listener of listeners) listener();
    },
    count: async (finding: string) =>
      new RegExp(
        `price_book_findings\\{[^}]*provider="acme-ai",finding="${finding}"[^}]*\\} (\\d+)`,
      ).exec(await metrics.render())?.[1],
  };
};

it('a price announced for later waits on its day for an approval, and the watch says so that day', async () => {
  const { said, pass, count, swap } = watch('2026-11-19T12:00:00.000Z');
  expect(said()).toEqual([]);
  expect(await count('announced_due')).toBe('0');
  pass(1);
  expect(said()).toEqual(['announced_due']);
  expect(await count('announced_due')).toBe('1');
  const approved = book(
    [{ ...announced, price_id: 'v2', known_from: '2026-11-20T12:30:00.000Z' }],
    {
      version: 2,
      known_from: '2026-11-20T12:30:00.000Z',
    },
  );
  swap(createPriceBooks([book([...plainPrices(), announced]), approved]));
  expect(await count('announced_due')).toBe('0');
  expect(said()).toEqual([]);
});

it('a book that nobody compared with its sources for 45 days is stale: told once a day, not one a look', async () => {
  const { said, pass, count } = watch('2026-12-16T12:00:00.000Z', plainPrices());
  expect(said()).toEqual([]); // 45 days after 1 November
  pass(1);
  expect(said()).toEqual(['stale']);
  expect(await count('stale')).toBe('1');
  pass(0);
  expect(said()).toEqual([]);
  pass(1);
  expect(said()).toEqual(['stale']);
});
