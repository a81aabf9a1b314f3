import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { encodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { createSpendBook } from '../../services/budget/core/spend-book.ts';
import { readControlTotals } from '../../services/ledger/control-totals.ts';
import { startLedger } from '../../services/ledger/main.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { consumeBatches } from '../../services/platform/consume-batches.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { untilCommitted } from '../../services/platform/until-committed.ts';
import { rateEvent } from '../../services/rater/core/rate-event.ts';
import { rerate } from '../../services/rater/core/rerate.ts';
import { startRater } from '../../services/rater/main.ts';
import { ratedEntry } from '../../services/rater/supersessions.ts';
import { book, plainPrices, usageEvent } from '../unit/pricing/pricing-fixtures.ts';
import { uuid } from './ledger-facts.ts';
import { openTestWarehouse } from './ledger-rig.ts';
import { until } from './proxy-harness.ts';

const warehouse = await openTestWarehouse();
const books = createPriceBooks([book(plainPrices())]);

interface Story {
  tenant: string;
  events: UsageEvent[];
}

/**
 * One attempt as three facts, and another call beside it. First: estimated, 1000 in, 100 out = 0.002 + 0.001 = 0.003. Second: stated
 * in part, 1000 in, 150 out = 0.0035. Third: as the provider said in the end, 900 in, 200 out = 0.0018 + 0.002 = 0.0038.
 * The other call: 0.003.
 */
const story = (space: number, first: Partial<UsageEvent> = {}): Story => {
  const tenant = `tenant-${space}`;
  const fact = (number: number, rest: Partial<UsageEvent>): UsageEvent =>
    usageEvent({
      event_id: uuid(space, number),
      attempt_id: uuid(space + 0x100, 1),
      boot_id: uuid(space + 0x200, 1),
      dimensions: { tenant },
      sequence: number,
      ...rest,
    });
  const out = (input: string, output: string) => ({
    classes: { input_uncached: input, output_text: output },
  });
  return {
    tenant,
    events: [
      fact(1, { ending: 'estimated', ...out('1000', '100'), ...first }),
      fact(2, { ending: 'partial', ...out('1000', '150'), supersedes: uuid(space, 1) }),
      fact(3, { ending: 'reported', ...out('900', '200'), supersedes: uuid(space, 2) }),
      fact(4, { attempt_id: uuid(space + 0x100, 2) }),
    ],
  };
};

const publish = async (log: EventLog, events: readonly UsageEvent[]): Promise<void> => {
  for (const event of events) {
    const { tenant } = event.dimensions;
    const outer = { id: event.event_id, source: '/p', subject: tenant, time: event.event_ts };
    await log.append([
      {
        topic: TOPICS.usageEvents.name,
        key: tenant,
        value: encodeEnvelope('usageEvent', outer, event),
      },
    ]).stored;
  }
};

/** Runs rater and ledger over the events until `entries` of the tenants are in the ledger, and the budget's fold beside them. */
const run = async (events: readonly UsageEvent[], done: () => Promise<boolean>) => {
  const proxy = createMemoryEventLog('proxy');
  const office = createMemoryEventLog('office');
  await publish(proxy, events);
  const common = {
    usageEvents: [proxy],
    backOffice: office,
    warehouse,
    clock: systemClock,
    logger: createLogger('test', 'silent'),
  };
  const ledger = await startLedger({ ...common, rated: office, metrics: createMetrics('ledger') });
  const metrics = createMetrics('rater');
  const rater = await startRater({ ...common, books: () => books, metrics });
  const spend = createSpendBook();
  const fold = consumeBatches({
    logs: [office],
    topic: TOPICS.usageRated.name,
    kind: 'ratedUsage',
    deadLetters: office,
    clock: systemClock,
    onRecords: async (records) => {
      for (const { envelope } of records) spend.fold(envelope.data);
    },
  });
  try {
    await until(async () => ((await done()) ? true : undefined));
    await until(async () =>
      /rater_supersessions_waiting\{[^}]*\} 0/.test(await metrics.render()) ? true : undefined,
    );
    await until(() => (ledger.lag() === 0 && fold.lag() === 0 ? true : undefined));
    await ledger.flushRollups();
    return { status: ledger.status(), spend };
  } finally {
    for (const service of [rater, ledger, fold]) await service.close();
  }
};

const entriesOf = async (stories: readonly Story[]): Promise<number> => {
  const tenants = stories.map(({ tenant }) => `'${tenant}'`).join(',');
  const [row] = await warehouse.query<{ n: string }>(
    `SELECT count() AS n FROM ledger_entries FINAL WHERE tenant IN (${tenants})`,
  );
  return Number(row?.n);
};

const sumsOf = async (table: string, tenant: string): Promise<string> => {
  const [row] = await warehouse.query<{ usd: string }>(
    `SELECT toString(sum(amount_usd)) AS usd FROM ${table} WHERE tenant = '${tenant}'`,
  );
  return row?.usd ?? '';
};

test('facts and the facts that supersede them come to the same ledger in any order and with any repetition', {
  timeout: 60_000,
}, async () => {
  const orders = fc.sample(
    fc
      .array(fc.integer({ min: 0, max: 3 }), { maxLength: 4 })
      .chain((again) =>
        fc.shuffledSubarray([0, 1, 2, 3, ...again], { minLength: 4 + again.length }),
      ),
    { numRuns: 24, seed: 4 },
  );
  const stories = orders.map((_, index) => story(0x1000 + index));
  // Interleaved, so that facts of one attempt are in different batches of the rater as well as in one.
  const events: UsageEvent[] = [];
  for (let turn = 0; turn < 8; turn += 1) {
    for (const [index, order] of orders.entries()) {
      const event = stories[index]?.events[order[turn] ?? -1];
      if (event) events.push(event);
    }
  }
  // Of each story: four charges, two reversals.
  const { status, spend } = await run(
    events,
    async () => (await entriesOf(stories)) >= 6 * stories.length,
  );
  expect(await entriesOf(stories)).toBe(6 * stories.length);
  expect(status).toMatchObject({ conflicts: 0, invalid: 0 });
  for (const { tenant } of stories) {
    // 0.0038 for the attempt as it is known in the end, 0.003 for the other call.
    expect(await sumsOf('charges', tenant)).toBe('0.0068');
    expect(await sumsOf('spend_hourly', tenant)).toBe('0.0068');
    expect(spend.spendOf(tenant, 'month 2026-11')).toMatchObject({
      spent: 6_800_000_000_000_000n,
      settledEvents: 2,
    });
    const usage = await warehouse.query<{ ending: string }>(
      `SELECT ending FROM usage WHERE tenant = '${tenant}' ORDER BY sequence`,
    );
    expect(usage.map(({ ending }) => ending)).toEqual(['reported', 'reported']);
  }
  const totals = await readControlTotals(warehouse);
  expect(totals.difference_usd).toBe('0');
  expect(totals.events_without_entry).toBe('0');
  expect(totals.entries_without_event).toBe('0');
  expect(BigInt(totals.events)).toBe(BigInt(totals.rated) + BigInt(totals.unrated));

  // All of it again through another log: nothing is taken twice, nothing conflicts.
  const replay = await run(
    stories.flatMap((one) => one.events),
    async () => true,
  );
  expect(replay.status).toMatchObject({ entries: 0, conflicts: 0, invalid: 0 });
  expect(await entriesOf(stories)).toBe(6 * stories.length);
});

test('case 29 · a call that turns out to cost nothing takes nothing off the others of its request', {
  timeout: 30_000,
}, async () => {
  const { tenant, events } = story(0x3000);
  const [first, , last] = events as [UsageEvent, UsageEvent, UsageEvent];
  const other = { ...first, event_id: uuid(0x3000, 5), attempt_id: uuid(0x3100, 2), sequence: 5 };
  const facts: UsageEvent[] = [
    first,
    other,
    // The first attempt was served from a cache, say; the second was not.
    { ...first, event_id: uuid(0x3000, 6), supersedes: first.event_id, sequence: 6 },
    { ...last, event_id: uuid(0x3000, 7), supersedes: other.event_id, sequence: 7 },
  ];
  const [, , free] = facts as [UsageEvent, UsageEvent, UsageEvent];
  Object.assign(free, { ending: 'not_billed', classes: {} });
  await run(facts, async () => (await entriesOf([{ tenant, events }])) >= 4);
  // 0.003 - 0.003 + 0 for the one, 0.003 - 0.003 + 0.0038 for the other.
  expect(await sumsOf('charges', tenant)).toBe('0.0038');
});

test('case 24 · pending work that is completed in the next month is charged there, at the price of then', {
  timeout: 60_000,
}, async () => {
  const dear = createPriceBooks([
    book([
      ...plainPrices(),
      // From November on input costs 4 instead of 2 USD per million.
      ...plainPrices({ valid_from: '2026-11-01T00:00:00.000Z' }).map((price) => ({
        ...price,
        unit_price: price.meter === 'input_uncached' ? '0.000004' : price.unit_price,
      })),
    ]),
  ]);
  const { tenant, events } = story(0x2000, { ending: 'pending', classes: {} });
  const [pending, , last] = events.map((event) => ({
    ...event,
    event_ts: '2026-10-31T23:50:00.000Z',
  })) as [UsageEvent, UsageEvent, UsageEvent];
  const completed: UsageEvent = {
    ...last,
    supersedes: pending.event_id,
    provider_completed_at: '2026-11-01T06:00:00.000Z',
  };
  const proxy = createMemoryEventLog('proxy');
  const office = createMemoryEventLog('office');
  await publish(proxy, [completed, pending]);
  const common = {
    usageEvents: [proxy],
    backOffice: office,
    warehouse,
    clock: systemClock,
    logger: createLogger('test', 'silent'),
  };
  const ledger = await startLedger({ ...common, rated: office, metrics: createMetrics('ledger') });
  const rater = await startRater({ ...common, books: () => dear, metrics: createMetrics('rater') });
  await until(async () => ((await entriesOf([{ tenant, events }])) >= 3 ? true : undefined));
  await ledger.flushRollups();
  const rows = await warehouse.query(
    `SELECT kind, ending, outcome, period, toString(total_usd) AS usd FROM ledger_entries FINAL WHERE tenant = '${tenant}' ORDER BY ending, kind`,
  );
  // 900 x 4 / 1e6 + 200 x 10 / 1e6 = 0.0036 + 0.002
  expect(rows).toEqual([
    { kind: 'charge', ending: 'pending', outcome: 'unrated', period: '2026-10', usd: null },
    { kind: 'reversal', ending: 'pending', outcome: 'unrated', period: '2026-10', usd: null },
    { kind: 'charge', ending: 'reported', outcome: 'rated', period: '2026-11', usd: '0.0056' },
  ]);
  expect(await sumsOf('spend_hourly', tenant)).toBe('0.0056');
  expect(await warehouse.query(`SELECT * FROM unrated WHERE tenant = '${tenant}'`)).toEqual([]);
  await rater.close();
  await ledger.close();
});

test('case 24 · a later fact takes back what usage was rated again to, though the ledger has not taken that yet', {
  timeout: 60_000,
}, async () => {
  const { tenant, events } = story(0x4000);
  const [first, , last] = events as [UsageEvent, UsageEvent, UsageEvent];
  const proxy = createMemoryEventLog('proxy');
  const office = createMemoryEventLog('office');
  const common = {
    ...{ usageEvents: [proxy], backOffice: office, warehouse, clock: systemClock },
    logger: createLogger('test', 'silent'),
  };
  const startOwnLedger = () =>
    startLedger({ ...common, rated: office, metrics: createMetrics('ledger') });
  const stopped = await startOwnLedger();
  await publish(proxy, [first]);
  const asked = Promise.withResolvers<void>();
  const inLedger = () =>
    untilCommitted(office, { group: 'ledger', topic: TOPICS.usageRated.name }, 20_000);
  const metrics = createMetrics('rater');
  const rater = await startRater({
    ...{ ...common, books: () => books, metrics },
    untilInLedger: () => {
      asked.resolve();
      return inLedger();
    },
  });
  await until(async () => ((await entriesOf([{ tenant, events }])) === 1 ? true : undefined));
  await inLedger();
  await stopped.close();
  // Input costs 4 instead of 2 USD per million now: 0.004 + 0.001. The ledger stands still while that is appended.
  const dearer = plainPrices().map((price) => ({
    ...price,
    unit_price: price.meter === 'input_uncached' ? '0.000004' : price.unit_price,
  }));
  const knownAt = books.newestKnownFrom;
  const again = rerate(
    [{ event: first, entries: [rateEvent(first, books, { knownAt }).rated] }],
    createPriceBooks([book(dearer)]),
    { knownAt, postingPeriodOf: (period) => period },
  );
  expect(again.differences).toMatchObject([{ before_usd: '0.003', after_usd: '0.005' }]);
  await office.append(again.entries.map(ratedEntry)).stored;
  await publish(proxy, [{ ...last, supersedes: first.event_id }]);
  const isWaiting = async (count: number): Promise<true | undefined> =>
    new RegExp(`rater_supersessions_waiting\\{[^}]*\\} ${count}`).test(await metrics.render())
      ? true
      : undefined;
  await until(async () => (rater.lag() === 0 ? true : undefined));
  await Promise.race([asked.promise, until(() => isWaiting(0))]);
  const ledger = await startOwnLedger();
  await until(() => isWaiting(0));
  await inLedger();
  // 0.003 - 0.003 + 0.005 - 0.005 + 0.0038.
  expect(await sumsOf('charges', tenant)).toBe('0.0038');
  expect(await entriesOf([{ tenant, events }])).toBe(5);
  expect(ledger.status()).toMatchObject({ duplicates: 0, conflicts: 0, invalid: 0 });
  await rater.close();
  await ledger.close();
});
