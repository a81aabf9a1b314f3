import { expect, onTestFinished, test } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { readControlTotals } from '../../services/ledger/control-totals.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { startRater } from '../../services/rater/main.ts';
import { book, plainPrices, price } from '../unit/pricing/pricing-fixtures.ts';
import { putHouseBudget, withAppend } from './house-rig.ts';
import { uuid } from './ledger-facts.ts';
import { openTestWarehouse } from './ledger-rig.ts';
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
const B = { books: 'b' };

const tokens = (event: UsageEvent, meter: 'input_uncached' | 'output_text'): bigint =>
  BigInt(event.classes[meter] ?? '0');
/** Microdollars, in whole numbers: price per million times tokens. */
const sumOf = (events: readonly UsageEvent[], input: bigint, output: bigint): bigint =>
  events.reduce(
    (sum, event) =>
      sum + tokens(event, 'input_uncached') * input + tokens(event, 'output_text') * output,
    0n,
  );

/** Calls of two tenants over the end of October and the beginning of November. */
const month = (space: number, tenants: readonly string[], count: number): UsageEvent[] =>
  Array.from({ length: count }, (_, index) =>
    call(space, index + 1, {
      tenant: tenants[index % tenants.length] ?? '',
      event_ts: new Date(Date.UTC(2026, 9, 31, 12) + index * 1_237_001).toISOString(),
      closed_at: new Date(Date.UTC(2026, 9, 31, 12) + index * 1_237_001 + 900).toISOString(),
      classes: { input_uncached: String(1000 + 37 * index), output_text: String(3 + 11 * index) },
    }),
  );

const read = async <Row>(sql: string): Promise<Row[]> => warehouse.query<Row>(sql);
const charged = async (tenant: string): Promise<string> => {
  const [row] = await read<{ usd: string }>(
    `SELECT toString(sum(amount_usd)) AS usd FROM charges WHERE tenant = '${tenant}'`,
  );
  return row?.usd ?? '';
};
const rolledUp = async (tenant: string): Promise<string> => {
  const [row] = await read<{ usd: string }>(
    `SELECT toString(sum(amount_usd)) AS usd FROM spend_hourly WHERE tenant = '${tenant}'`,
  );
  return row?.usd ?? '';
};
const entryRows = (where: string): Promise<unknown[]> =>
  read(`SELECT entry_id, content_hash FROM ledger_entries FINAL WHERE ${where} ORDER BY entry_id`);

test('case 90 · a price corrected for the past changes what was charged by new entries; the dry run says by how much', {
  timeout: 60_000,
}, async () => {
  const tenants = ['past-one', 'past-two'];
  const events = month(0x1000, tenants, 120);
  const rig = await startRerateHouse(warehouse, live, folder);
  await putHouseBudget(rig.office, {
    id: 'past-budget',
    tenant: 'past-one',
    limit_usd: '1000',
    window: 'total',
    warn_at_percent: 80,
  });
  await rig.publish(events);
  await rig.house.settle();
  const of = (tenant: string) => events.filter(({ dimensions }) => dimensions.tenant === tenant);
  expect(await charged('past-one')).toBe(usd(sumOf(of('past-one'), 2n, 10n)));
  const before = await entryRows(`tenant IN ('past-one', 'past-two')`);
  expect(before).toHaveLength(120);

  const dry = await rig.rerate(B, { pageEvents: 25 });
  // 3 instead of 2 USD per million: each token in costs a microdollar more.
  expect(dry).toMatchObject({ dry_run: true, events_read: 120, changed: 120, unchanged: 0 });
  expect(dry.differences).toEqual(
    tenants.map((tenant) => ({
      tenant,
      cause: 'price',
      events: 60,
      before_usd: usd(sumOf(of(tenant), 2n, 10n)),
      after_usd: usd(sumOf(of(tenant), 3n, 10n)),
      difference_usd: usd(sumOf(of(tenant), 1n, 0n)),
    })),
  );
  expect(await entryRows(`tenant IN ('past-one', 'past-two')`)).toEqual(before);

  const applied = await rig.rerate({ ...B, apply: true }, { pageEvents: 25 });
  expect(applied).toEqual({ ...dry, dry_run: false });
  await rig.house.settle();
  for (const tenant of tenants) {
    expect(await charged(tenant)).toBe(usd(sumOf(of(tenant), 3n, 10n)));
    expect(await rolledUp(tenant)).toBe(usd(sumOf(of(tenant), 3n, 10n)));
  }
  // The old lines stand as they were; each call has its reversal and its second charge beside them.
  const after = await entryRows(`tenant IN ('past-one', 'past-two')`);
  expect(after).toHaveLength(360);
  expect(
    await entryRows(`tenant IN ('past-one', 'past-two') AND entry_id LIKE '%/1/charge'`),
  ).toEqual(before);
  expect(rig.house.budget.status()).toMatchObject([
    { budget_id: 'past-budget', spent_usd: usd(sumOf(of('past-one'), 3n, 10n)) },
  ]);
  const totals = await readControlTotals(warehouse);
  expect(totals.difference_usd).toBe('0');
  expect(BigInt(totals.events)).toBe(BigInt(totals.rated) + BigInt(totals.unrated));

  const again = await rig.rerate({ ...B, apply: true });
  expect(again).toMatchObject({ changed: 0, unchanged: 120, entries: 0, difference_usd: '0' });
  expect(await entryRows(`tenant IN ('past-one', 'past-two')`)).toEqual(after);
});

test('usage is not changed by the books it was rated with', { timeout: 30_000 }, async () => {
  const rig = await startRerateHouse(warehouse, live, folder);
  await rig.publish(month(0x1800, ['same'], 30));
  await rig.house.settle();
  const report = await rig.rerate({ books: 'live', slice: { tenant: 'same' }, apply: true });
  expect(report).toMatchObject({ events_read: 30, changed: 0, unchanged: 30, entries: 0 });
});

test('case 90 · what belongs to a closed month is posted into the open one, and both are named', {
  timeout: 30_000,
}, async () => {
  const events = month(0x2000, ['closed'], 60);
  const rig = await startRerateHouse(warehouse, live, folder);
  await rig.publish(events);
  await rig.house.settle();
  const october = events.filter(({ event_ts: at }) => at < '2026-11');
  const november = events.filter(({ event_ts: at }) => at >= '2026-11');
  expect(october.length * november.length).toBeGreaterThan(0);
  const slice = { tenant: 'closed' };
  const report = await rig.rerate({ ...B, slice, apply: true }, { closed: ['2026-10'] });
  expect(report.postings).toEqual([
    {
      period: '2026-10',
      posting_period: '2026-11',
      entries: 2 * october.length,
      amount_usd: usd(sumOf(october, 1n, 0n)),
    },
    {
      period: '2026-11',
      posting_period: '2026-11',
      entries: 2 * november.length,
      amount_usd: usd(sumOf(november, 1n, 0n)),
    },
  ]);
  const posted = await read(
    `SELECT period, posting_period, toString(sum(amount_usd)) AS usd FROM charges WHERE tenant = 'closed'
     GROUP BY period, posting_period ORDER BY period, posting_period`,
  );
  // The closed month says what it said; the correction stands in the next.
  expect(posted).toEqual([
    { period: '2026-10', posting_period: '2026-10', usd: usd(sumOf(october, 2n, 10n)) },
    { period: '2026-10', posting_period: '2026-11', usd: usd(sumOf(october, 1n, 0n)) },
    { period: '2026-11', posting_period: '2026-11', usd: usd(sumOf(november, 3n, 10n)) },
  ]);
  // Corrected back: the correction is reversed where it stands, not in the month that is closed.
  await rig.rerate({ books: 'live', slice, apply: true }, { closed: ['2026-10'] });
  expect(await charged('closed')).toBe(usd(sumOf(events, 2n, 10n)));
  const [row] = await read<{ usd: string }>(
    `SELECT toString(sum(amount_usd)) AS usd FROM charges WHERE tenant = 'closed' AND posting_period = '2026-10'`,
  );
  expect(row?.usd).toBe(usd(sumOf(october, 2n, 10n)));
});

test('case 82 · usage of a model nobody knew is rated when its price has arrived', {
  timeout: 30_000,
}, async () => {
  const events = month(0x2800, ['unknown-model'], 40).map((event, index) =>
    index % 2 === 0 ? { ...event, model: 'model-b', requested_model: 'model-b' } : event,
  );
  const rig = await startRerateHouse(warehouse, live, folder);
  await rig.publish(events);
  await rig.house.settle();
  const unknown = events.filter(({ model }) => model === 'model-b');
  const slice = { tenant: 'unknown-model', model: 'model-b' };
  const unrated = `SELECT count() AS n FROM unrated WHERE tenant = 'unknown-model'`;
  expect(await read(unrated)).toEqual([{ n: '20' }]);
  const report = await rig.rerate({ ...B, slice, apply: true });
  expect(report).toMatchObject({ events_read: 20, newly_rated: 20, changed: 20, still_unrated: 0 });
  expect(report.differences).toEqual([
    {
      tenant: 'unknown-model',
      cause: 'newly_rated',
      events: 20,
      before_usd: '0',
      after_usd: usd(sumOf(unknown, 1n, 4n)),
      difference_usd: usd(sumOf(unknown, 1n, 4n)),
    },
  ]);
  expect(await read(unrated)).toEqual([{ n: '0' }]);
  const known = events.filter(({ model }) => model !== 'model-b');
  const whole = usd(sumOf(unknown, 1n, 4n) + sumOf(known, 2n, 10n));
  expect(await charged('unknown-model')).toBe(whole);
  expect(await rolledUp('unknown-model')).toBe(whole);
});

test('case 94 · history is rated by the price of its own day, not by the newest', {
  timeout: 30_000,
}, async () => {
  const events = month(0x3000, ['own-day'], 60);
  // From November on input costs 7; October stays at 2.
  const raised = book(
    [
      price('input_uncached', '0.000007', {
        valid_from: '2026-11-01T00:00:00.000Z',
        known_from: LATER,
      }),
    ],
    { version: 2, known_from: LATER },
  );
  const rig = await startRerateHouse(
    warehouse,
    live,
    new Map([['raised', createPriceBooks([bookA, raised])]]),
  );
  await rig.publish(events);
  await rig.house.settle();
  const october = events.filter(({ event_ts: at }) => at < '2026-11');
  const november = events.filter(({ event_ts: at }) => at >= '2026-11');
  const slice = { tenant: 'own-day' };
  const report = await rig.rerate({ books: 'raised', slice, apply: true });
  expect(report).toMatchObject({ changed: november.length, unchanged: october.length });
  expect(await charged('own-day')).toBe(usd(sumOf(october, 2n, 10n) + sumOf(november, 7n, 10n)));
  // As it was known before, nothing is raised.
  const known = await rig.rerate({ books: 'raised', knownAt: bookA.known_from, slice });
  expect(known.difference_usd).toBe(usd(-sumOf(november, 5n, 0n)));
});

test('slices that meet at an instant hold each event once, whatever clocks said of it', {
  timeout: 30_000,
}, async () => {
  const rig = await startRerateHouse(warehouse, live, folder);
  // The provider's clock is behind ours, and counts whole seconds: its work is done before it was asked for.
  const skewed = call(0x3900, 1, {
    tenant: 'skewed',
    event_ts: '2026-11-01T00:00:00.300Z',
    closed_at: '2026-11-01T00:00:02.000Z',
    provider_completed_at: '2026-10-31T23:59:59.000Z',
  });
  await rig.publish([skewed]);
  await rig.house.settle();
  const at = '2026-11-01T00:00:00.000Z';
  const readIn = async (slice: object): Promise<number> =>
    (await rig.rerate({ ...B, slice: { tenant: 'skewed', ...slice } })).events_read;
  expect([await readIn({ to: at }), await readIn({ from: at })]).toEqual([1, 0]);
  expect(await readIn({ period: '2026-10' })).toBe(1);
});

test('a fact that a later one has replaced is left out', { timeout: 30_000 }, async () => {
  const rig = await startRerateHouse(warehouse, live, folder);
  const first = call(0x3800, 1, { tenant: 'replaced', ending: 'estimated' });
  const later = {
    ...first,
    event_id: uuid(0x3800, 2),
    sequence: 2,
    ending: 'reported' as const,
    classes: { input_uncached: '900', output_text: '200' },
    supersedes: first.event_id,
  };
  await rig.publish([first, later]);
  await expect.poll(() => charged('replaced'), { timeout: 20_000 }).toBe('0.0038');
  await rig.house.settle();
  const slice = { tenant: 'replaced' };
  const report = await rig.rerate({ ...B, slice, apply: true });
  expect(report).toMatchObject({ events_read: 2, superseded: 1, changed: 1, entries: 2 });
  // 900 x 3 + 200 x 10, in microdollars.
  expect(await charged('replaced')).toBe('0.0047');
});

test('a run that was killed between any two steps is taken up again, and nothing is doubled', {
  timeout: 60_000,
}, async () => {
  const events = month(0x4000, ['killed'], 90);
  const rig = await startRerateHouse(warehouse, live, folder);
  await rig.publish(events);
  await rig.house.settle();
  const request = { ...B, slice: { tenant: 'killed' }, apply: true };
  const killed = (): never => {
    throw new Error('killed');
  };
  let appends = 0;
  // Killed before the third page is written.
  const into = withAppend(rig.office, (entries) => {
    appends += 1;
    return appends === 3 ? killed() : rig.office.append(entries);
  });
  await expect(rig.rerate(request, { pageEvents: 20, into })).rejects.toThrow('killed');
  // Killed with a page in the log that nobody has seen in the ledger.
  const cut = withAppend(rig.office, (entries) => {
    rig.office.append(entries);
    return killed();
  });
  await expect(rig.rerate(request, { pageEvents: 20, into: cut })).rejects.toThrow('killed');
  // Killed before anything is read.
  await expect(rig.rerate(request, { pageEvents: 20, onWait: killed })).rejects.toThrow('killed');
  const rest = await rig.rerate(request, { pageEvents: 20 });
  expect(rest.changed).toBeGreaterThan(0);
  expect(rest.changed).toBeLessThan(90);
  expect(await charged('killed')).toBe(usd(sumOf(events, 3n, 10n)));
  expect(await rolledUp('killed')).toBe(usd(sumOf(events, 3n, 10n)));
  expect(await entryRows(`tenant = 'killed'`)).toHaveLength(270);
  expect(rig.house.ledger.status()).toMatchObject({ conflicts: 0, invalid: 0, duplicates: 0 });
});

test('case 84 · books that are swapped while usage streams in leave no call without its price', {
  timeout: 60_000,
}, async () => {
  const events = month(0x5000, ['streaming'], 400);
  const rig = await startRerateHouse(warehouse, live, folder);
  await rig.publish(events.slice(0, 200));
  await rig.house.settle();
  const streaming = (async () => {
    for (let at = 200; at < 400; at += 10) await rig.publish(events.slice(at, at + 10));
  })();
  const request = { ...B, slice: { tenant: 'streaming' }, apply: true };
  await rig.rerate(request, { pageEvents: 15 });
  await streaming;
  await rig.house.settle();
  const rest = await rig.rerate(request);
  expect(rest).toMatchObject({ events_read: 400, not_rated_yet: 0 });
  expect(await charged('streaming')).toBe(usd(sumOf(events, 3n, 10n)));
  expect((await readControlTotals(warehouse)).events_without_entry).toBe('0');
  expect(rig.house.ledger.status()).toMatchObject({ conflicts: 0, invalid: 0, duplicates: 0 });
});

test('case 84 · usage that the rater has not come to yet is left to it, and rated again afterwards', {
  timeout: 60_000,
}, async () => {
  const events = month(0x6000, ['not-yet'], 30);
  const rig = await startRerateHouse(warehouse, live, folder);
  await rig.publish(events.slice(0, 20));
  await rig.house.settle();
  await rig.house.rater.close();
  await rig.publish(events.slice(20));
  const archived = `SELECT count() AS n FROM usage WHERE tenant = 'not-yet'`;
  await expect.poll(() => read(archived), { timeout: 20_000 }).toEqual([{ n: '30' }]);
  const request = { ...B, slice: { tenant: 'not-yet' }, apply: true };
  const first = await rig.rerate(request);
  expect(first).toMatchObject({ events_read: 30, changed: 20, not_rated_yet: 10 });
  const rater = await startRater({
    usageEvents: [rig.proxy],
    backOffice: rig.office,
    warehouse,
    books: () => live,
    clock: systemClock,
    logger: createLogger('rater', 'silent'),
    metrics: createMetrics('rater'),
  });
  onTestFinished(() => rater.close());
  await rater.caughtUp;
  expect(await rig.rerate(request)).toMatchObject({ changed: 10, unchanged: 20, not_rated_yet: 0 });
  expect(await charged('not-yet')).toBe(usd(sumOf(events, 3n, 10n)));
  expect(rig.house.ledger.status()).toMatchObject({ conflicts: 0, invalid: 0, duplicates: 0 });
});
