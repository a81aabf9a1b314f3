import { expect, test } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { book, plainPrices } from '../unit/pricing/pricing-fixtures.ts';
import type { TestHouse } from './house-rig.ts';
import { openTestLog, startTestHouse } from './house-rig.ts';
import { usageEntry, uuid } from './ledger-facts.ts';
import { openTestWarehouse } from './ledger-rig.ts';
import { call } from './rerate-rig.ts';

const warehouse = await openTestWarehouse();
/** 2 USD in and 10 out per million tokens. */
const books = createPriceBooks([book(plainPrices())]);
const OCTOBER = '2026-10-31T23:00:00.000Z';

const startHouse = async (
  proxy: EventLog,
  closed: ReadonlySet<string>,
  name: string,
): Promise<TestHouse> =>
  startTestHouse({
    warehouse,
    office: await openTestLog(name),
    usageEvents: [proxy],
    books,
    closedPeriods: () => closed,
  });

const publish = async (log: EventLog, events: readonly UsageEvent[]): Promise<void> => {
  await log.append(events.map(usageEntry)).stored;
};

/** One call of October: 1000 in and 100 out, 0.002 + 0.001 = 0.003 USD. */
const october = (space: number, number: number, tenant: string): UsageEvent =>
  call(space, number, { tenant, event_ts: OCTOBER, closed_at: OCTOBER });

const postings = (tenant: string): Promise<unknown[]> =>
  warehouse.query(
    `SELECT kind, period, posting_period, toString(sum(total_usd)) AS usd, count() AS n FROM ledger_entries FINAL
     WHERE tenant = '${tenant}' GROUP BY ALL ORDER BY posting_period, kind`,
  );

test('a fact that comes after its month was closed is posted into the open month, and both are named', {
  timeout: 30_000,
}, async () => {
  const proxy = await openTestLog('proxy');
  const closed = new Set<string>();
  const house = await startHouse(proxy, closed, 'office');
  await publish(proxy, [october(0x7000, 1, 'late'), october(0x7000, 2, 'late')]);
  await house.settle();
  closed.add('2026-10');
  await publish(proxy, [october(0x7000, 3, 'late')]);
  await house.settle();
  expect(await postings('late')).toEqual([
    { kind: 'charge', period: '2026-10', posting_period: '2026-10', usd: '0.006', n: '2' },
    { kind: 'charge', period: '2026-10', posting_period: '2026-11', usd: '0.003', n: '1' },
  ]);
});

test('a fact that replaces one of a closed month leaves that month as it was: reversal and charge are posted into the open one', {
  timeout: 30_000,
}, async () => {
  const proxy = await openTestLog('proxy');
  const closed = new Set<string>();
  const house = await startHouse(proxy, closed, 'office');
  const first = october(0x7400, 1, 'replaced-late');
  await publish(proxy, [first]);
  await house.settle();
  closed.add('2026-10');
  await publish(proxy, [
    {
      ...first,
      event_id: uuid(0x7400, 2),
      sequence: 2,
      classes: { input_uncached: '900', output_text: '200' },
      supersedes: first.event_id,
    },
  ]);
  // Reversed: 0.003. Charged: 900 x 2 + 200 x 10 microdollars = 0.0038.
  await expect
    .poll(() => postings('replaced-late'), { timeout: 20_000 })
    .toEqual([
      { kind: 'charge', period: '2026-10', posting_period: '2026-10', usd: '0.003', n: '1' },
      { kind: 'charge', period: '2026-10', posting_period: '2026-11', usd: '0.0038', n: '1' },
      { kind: 'reversal', period: '2026-10', posting_period: '2026-11', usd: '-0.003', n: '1' },
    ]);
});

test('a batch that is rated again after its month was closed changes nothing and is no conflict', {
  timeout: 30_000,
}, async () => {
  const proxy = await openTestLog('proxy');
  const events = Array.from({ length: 20 }, (_, index) => october(0x7800, index + 1, 'repeated'));
  await publish(proxy, events);
  const before = await startHouse(proxy, new Set(), 'office-before');
  await before.settle();
  await before.close();
  const posted = await postings('repeated');
  // The same facts, delivered a second time.
  const repeated = await openTestLog('proxy-again');
  await publish(repeated, events);
  const after = await startHouse(repeated, new Set(['2026-10']), 'office-after');
  await after.settle();
  expect(after.ledger.status()).toMatchObject({ entries: 0, conflicts: 0, invalid: 0 });
  expect(await postings('repeated')).toEqual(posted);
  expect(posted).toEqual([
    { kind: 'charge', period: '2026-10', posting_period: '2026-10', usd: '0.06', n: '20' },
  ]);
});
