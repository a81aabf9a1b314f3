import { expect, onTestFinished, test } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { PriceBook } from '../../schemas/price-book.ts';
import type { ReportLedger, ReportRecipe, ReportRequest } from '../../schemas/report.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { reportText } from '../../services/cli/commands/report-text.ts';
import { createHouseReporter } from '../../services/cli/house-reporter.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { untilCommitted } from '../../services/platform/until-committed.ts';
import type { Report } from '../../services/rater/core/compare-reports.ts';
import { compareReports } from '../../services/rater/core/compare-reports.ts';
import type { PublishedPrices } from '../../services/rater/core/report-books.ts';
import { book, KNOWN, plainPrices, price } from '../unit/pricing/pricing-fixtures.ts';
import { uuid } from './ledger-facts.ts';
import { openTestWarehouse } from './ledger-rig.ts';
import type { RerateHouse } from './rerate-rig.ts';
import { call, startRerateHouse, usd } from './rerate-rig.ts';

const warehouse = await openTestWarehouse();

const LATER = '2026-12-01T00:00:00.000Z';
/** 2 USD in and 10 out per million tokens. */
const bookA = book(plainPrices());
/** Input always did cost 3, and model-b has a price: 1 in, 4 out. */
const bookB = book(
  [
    price('input_uncached', '0.000003', { known_from: LATER }),
    price('input_uncached', '0.000001', { model: 'model-b', known_from: LATER }),
    price('output_text', '0.000004', { model: 'model-b', known_from: LATER }),
  ],
  { version: 2, known_from: LATER },
);
const live = createPriceBooks([bookA]);
const folder = new Map([['b', createPriceBooks([bookA, bookB])]]);

type Made = Report & { ledger: ReportLedger };

/** Reports over a house with the given books on disk. */
const reporterOf = (house: RerateHouse, prices: PublishedPrices, pageEvents?: number) => {
  const reporter = createHouseReporter({
    warehouse,
    usageEvents: [house.proxy],
    prices: () => prices,
    logger: createLogger('report', 'silent'),
    ...(pageEvents === undefined ? {} : { pageEvents }),
  });
  return async (request: ReportRequest | ReportRecipe): Promise<Made> => {
    const made: Partial<Made> = { rows: [] };
    for await (const step of reporter.run(request)) {
      if (step.step === 'recipe') made.recipe = step.recipe;
      else if (step.step === 'row') made.rows?.push(step.row);
      else if (step.step === 'totals') made.totals = step.totals;
      else if (step.step === 'ledger') made.ledger = step.ledger;
    }
    return made as Made;
  };
};

const archived = (house: RerateHouse): Promise<void> =>
  untilCommitted(house.proxy, { group: 'archive', topic: TOPICS.usageEvents.name }, 20_000);

/** An hour of calls of model-a from 14 October on, a second apart. */
const calls = (space: number, tenant: string, count: number, from = 1): UsageEvent[] =>
  Array.from({ length: count }, (_, index) => {
    const number = from + index;
    const at = new Date(Date.UTC(2026, 9, 14) + number * 61_000).toISOString();
    return call(space, number, {
      tenant,
      event_ts: at,
      closed_at: at,
      classes: { input_uncached: String(1000 + number), output_text: String(10 * number) },
    });
  });

/** Microdollars at prices per million tokens. */
const cost = (events: readonly UsageEvent[], input: bigint, output: bigint): bigint =>
  events.reduce(
    (sum, { classes }) =>
      sum +
      BigInt(classes.input_uncached ?? '0') * input +
      BigInt(classes.output_text ?? '0') * output,
    0n,
  );

const october = (tenant: string): ReportRequest => ({
  slice: { period: '2026-10', tenant },
  by: ['model', 'day'],
});

test('a report is made again byte for byte after late events, corrections, re-rating and a new book version', {
  timeout: 120_000,
}, async () => {
  const house = await startRerateHouse(warehouse, live, folder);
  const first = calls(0x2000, 'again', 60);
  const guess = call(0x2100, 1, {
    tenant: 'again',
    event_ts: '2026-10-15T10:00:00.000Z',
    ending: 'estimated',
    classes: { input_uncached: '500000', output_text: '0' },
  });
  const unknown = call(0x2100, 2, {
    tenant: 'again',
    event_ts: '2026-10-15T11:00:00.000Z',
    model: 'model-b',
    requested_model: 'model-b',
    classes: { input_uncached: '1000000', output_text: '2000000' },
  });
  await house.publish([...first, guess, unknown]);
  await house.house.settle();
  await archived(house);

  const report = reporterOf(house, { books: [bookA], contracts: [] });
  const kept = await report(october('again'));
  // 2 in, 10 out; the guess is 500,000 x 2 microdollars = 1 USD.
  expect(kept.totals.amount_usd).toBe(usd(cost(first, 2n, 10n) + 1_000_000n));
  expect(kept.totals).toMatchObject({
    events: 62,
    groups: 3,
    superseded: 0,
    unrated: { unknown_model: 1 },
    unpriced: { input_uncached: '1000000', output_text: '2000000' },
    endings: { estimated: { events: 1, amount_usd: '1' }, reported: { events: 61 } },
  });
  expect(kept.recipe).toMatchObject({
    slice: { period: '2026-10', tenant: 'again' },
    by: ['model', 'day'],
    known_at: KNOWN,
    books: [{ provider: 'acme-ai', version: 1 }],
  });
  expect(kept.ledger).toEqual({
    ledger_usd: kept.totals.amount_usd,
    difference_usd: '0',
    not_in_ledger: 0,
  });

  // Late events, a correction of the guess, and the books corrected: what was unknown has a price, input cost 3 all along.
  const late = calls(0x2000, 'again', 5, 61);
  const stated = call(0x2100, 3, {
    tenant: 'again',
    attempt_id: guess.attempt_id,
    event_ts: guess.event_ts,
    supersedes: guess.event_id,
    classes: { input_uncached: '400000', output_text: '0' },
  });
  await house.publish([...late, stated]);
  await house.house.settle();
  await archived(house);
  // The statement takes the guess's place a moment later; what is not in the ledger yet re-rating leaves to the rater.
  await expect
    .poll(() =>
      warehouse.query(`SELECT event_id FROM charges WHERE event_id = '${stated.event_id}'`),
    )
    .not.toEqual([]);
  const applied = await house.rerate(
    { books: 'b', slice: { tenant: 'again' }, apply: true },
    { closed: ['2026-10'] },
  );
  expect(applied.changed).toBeGreaterThan(60);
  await house.house.settle();
  // A restart: another ledger, rater and reporter over the same logs.
  await house.house.close();

  const both = { books: [bookA, bookB], contracts: [] };
  for (const pageEvents of [7, 2_000]) {
    const again = await reporterOf(house, both, pageEvents)(kept.recipe);
    for (const format of ['json', 'csv', 'table'] as const) {
      expect(reportText(again, format)).toBe(reportText(kept, format));
    }
  }

  // A fresh report: the late events are in, the guess is replaced, and everything has its new price.
  const fresh = await reporterOf(house, both)(october('again'));
  const all = [...first, ...late, stated];
  // model-b: 1,000,000 x 1 + 2,000,000 x 4 microdollars = 9 USD.
  expect(fresh.totals.amount_usd).toBe(usd(cost(all, 3n, 10n) + 9_000_000n));
  expect(fresh.totals).toMatchObject({ events: 67, superseded: 1, unrated: {} });
  expect(fresh.recipe.books).toMatchObject([{ provider: 'acme-ai', version: 2 }]);
  expect(fresh.ledger).toMatchObject({ difference_usd: '0' });

  // The new state, taken apart: the old events by the new prices, then the events that came.
  const between = await reporterOf(
    house,
    both,
  )({
    ...october('again'),
    known_at: LATER,
    up_to: kept.recipe.logs.map(({ log, partition, up_to }) => ({ log, partition, up_to })),
  });
  const comparison = compareReports(kept, between, fresh);
  const tokens = cost([...first, guess], 1n, 0n);
  expect(comparison.totals).toMatchObject({
    before_usd: kept.totals.amount_usd,
    // A microdollar more for each token in, and the 9 USD of model-b.
    by_prices_usd: usd(tokens + 9_000_000n),
    // The late events by the new prices; the guess of 500,000 tokens at 3 became 400,000: -0.3 USD.
    by_events_usd: usd(cost(late, 3n, 10n) - 300_000n),
    after_usd: fresh.totals.amount_usd,
    events_before: 62,
    events_after: 67,
    unrated_before: 1,
    unrated_after: 0,
  });
  expect(comparison.differs).toBe(true);
  expect(compareReports(kept, kept, kept)).toMatchObject({ differs: false, rows: [] });
});

test('a report that misses something of what it was made of is refused and names it', {
  timeout: 60_000,
}, async () => {
  const house = await startRerateHouse(warehouse, live, folder);
  await house.publish(calls(0x2400, 'missing', 20));
  await house.house.settle();
  await archived(house);
  const both = { books: [bookA, bookB], contracts: [] };
  const kept = await reporterOf(house, both)(october('missing'));

  const withBooks = (books: PriceBook[]) =>
    reporterOf(house, { books, contracts: [] })(kept.recipe);
  await expect(withBooks([bookA])).rejects.toThrow('book acme-ai@2 is not there');
  const edited = { ...bookA, prices: bookA.prices.map((p) => ({ ...p, unit_price: '0.000001' })) };
  await expect(withBooks([edited, bookB])).rejects.toThrow(
    'book acme-ai, versions 1 to 2, does not say what it said',
  );

  const [log] = kept.recipe.logs.filter(({ events }) => events > 0);
  if (!log) throw new Error('expected a log with events');
  await warehouse.command(
    `ALTER TABLE usage_archive DELETE WHERE event_id = '${uuid(0x2400, 7)}' SETTINGS mutations_sync = 2`,
  );
  await expect(reporterOf(house, both)(kept.recipe)).rejects.toThrow(
    `log proxy, partition ${log.partition}, offsets below ${log.up_to}: 19 event(s) counted and 0 replaced by later facts, where the report had 20 event(s) counted`,
  );
});

test('a report of what had arrived by an instant leaves out what came later', {
  timeout: 60_000,
}, async () => {
  const house = await startRerateHouse(warehouse, live, folder);
  const early = calls(0x2500, 'arrived', 10);
  await house.publish(early);
  await house.house.settle();
  await archived(house);
  const [row] = await warehouse.query<{ at: string }>(
    `SELECT max(ingested_at) AS at FROM usage_archive WHERE tenant = 'arrived'`,
  );
  const by = row?.at ?? '';
  await expect.poll(() => new Date().toISOString() > by).toBe(true);
  await house.publish(calls(0x2500, 'arrived', 4, 11));
  await house.house.settle();
  await archived(house);
  const report = reporterOf(house, { books: [bookA], contracts: [] });
  const then = await report({ ...october('arrived'), arrived_by: by });
  expect(then.totals).toMatchObject({ events: 10, amount_usd: usd(cost(early, 2n, 10n)) });
  expect((await report(october('arrived'))).totals.events).toBe(14);
});

test('a provider without a book at the time is unrated then, whatever book is published since', {
  timeout: 60_000,
}, async () => {
  const house = await startRerateHouse(warehouse, live, folder);
  onTestFinished(() => house.house.close());
  await house.publish(calls(0x2600, 'bookless', 3));
  await house.house.settle();
  await archived(house);
  const kept = await reporterOf(house, { books: [], contracts: [] })({
    ...october('bookless'),
    known_at: LATER,
  });
  expect(kept.totals).toMatchObject({ amount_usd: '0', unrated: { unknown_model: 3 } });
  expect(kept.recipe.books).toEqual([{ provider: 'acme-ai', version: null, sha256: null }]);
  const again = await reporterOf(house, { books: [bookA], contracts: [] })(kept.recipe);
  expect(reportText(again, 'json')).toBe(reportText(kept, 'json'));
});
