import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Fact } from '../../services/ledger/core/fact.ts';
import { cutBlocks, sortFacts } from '../../services/ledger/core/fact.ts';
import type { EventLog, LogEntry } from '../../services/platform/event-log.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent } from '../integration/ledger-facts.ts';
import { openTestWarehouse, rig } from '../integration/ledger-rig.ts';

const fact = (id: number, hash: number, month: number): Fact => ({
  id: `id-${id}`,
  hash: `hash-${hash}`,
  tenant: 'acme',
  eventTs: `2026-0${month}-01T00:00:00.000Z`,
  place: { log: 'proxy', topic: 'usage.events.v1', partition: 0, offset: id },
  json: 'x'.repeat(10),
  bytes: 10,
  row: [],
  problem: null,
});
const factArbitrary = fc
  .tuple(fc.nat(8), fc.nat(2), fc.integer({ min: 1, max: 3 }))
  .map(([id, hash, month]) => fact(id, hash, month));

test('however a stream is split into batches, the same facts are accepted', () => {
  fc.assert(
    fc.property(
      fc.array(factArbitrary, { maxLength: 40 }),
      fc.array(fc.nat(40)),
      (stream, cuts) => {
        const whole = sortFacts(stream, new Map()).accepted;
        const table = new Map<string, string>();
        const accepted: Fact[] = [];
        const edges = [...new Set([0, ...cuts, stream.length])]
          .filter((at) => at <= stream.length)
          .sort((a, b) => a - b);
        for (const [index, from] of edges.entries()) {
          const sorted = sortFacts(stream.slice(from, edges[index + 1] ?? stream.length), table);
          for (const one of sorted.accepted) table.set(one.id, one.hash);
          accepted.push(...sorted.accepted);
        }
        expect(accepted).toEqual(whole);
      },
    ),
  );
});

test('blocks hold every accepted fact once, each block one month and within its limits', () => {
  fc.assert(
    fc.property(
      fc.array(factArbitrary, { maxLength: 60 }),
      fc.integer({ min: 1, max: 7 }),
      (facts, maxRows) => {
        const blocks = cutBlocks(facts, { maxRows, maxBytes: 45 });
        expect(new Set(blocks.flatMap((block) => block.facts))).toEqual(new Set(facts));
        expect(blocks.flatMap((block) => block.facts)).toHaveLength(facts.length);
        for (const block of blocks) {
          expect(block.facts.length).toBeLessThanOrEqual(Math.min(maxRows, 4));
          expect(new Set(block.facts.map(({ eventTs }) => eventTs.slice(0, 7)))).toEqual(
            new Set([block.month]),
          );
        }
      },
    ),
  );
});

const warehouse = await openTestWarehouse();
const EVENTS = 12;

/** Any order, repetition and overlap of the facts, cut into appends of any size; every fact at least once. */
const delivery = fc
  .tuple(
    fc.shuffledSubarray([...Array(EVENTS).keys()], { minLength: EVENTS }),
    fc.array(fc.nat(EVENTS - 1), { maxLength: 20 }),
    fc.integer({ min: 1, max: 10 }),
  )
  .map(([all, repeats, size]) => ({ order: [...repeats, ...all, ...repeats.slice(0, 5)], size }));

const appendInParts = async (
  log: EventLog,
  entries: readonly LogEntry[],
  size: number,
): Promise<void> => {
  for (let from = 0; from < entries.length; from += size) {
    await log.append(entries.slice(from, from + size)).stored;
  }
};

test('any order, overlap and repetition of the log gives the same ledger and rollups', {
  timeout: 120_000,
}, async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(delivery, delivery, async (usage, rated) => {
      run += 1;
      const tenant = `order-${run}`;
      const events = Array.from({ length: EVENTS }, (_, index) =>
        usageEvent({
          tenant,
          number: index + 1,
          space: 0x1000 + run * 4,
          eventTs: `2026-1${index % 3}-0${1 + (index % 2)}T00:30:00.000Z`,
          outputTokens: String(100 + index),
        }),
      );
      const pick = (order: readonly number[]) => order.flatMap((index) => events[index] ?? []);
      const started = await rig(warehouse);
      const ledger = await started.start();
      await appendInParts(started.proxy, pick(usage.order).map(usageEntry), usage.size);
      await appendInParts(
        started.backOffice,
        pick(rated.order).map((event) => ratedEntry(ratedUsage(event))),
        rated.size,
      );
      await expect.poll(() => ledger.lag(), { timeout: 20_000, interval: 5 }).toBe(0);
      await ledger.close();
      expect(ledger.status()).toMatchObject({
        archived: EVENTS,
        entries: EVENTS,
        conflicts: 0,
        invalid: 0,
      });
      // 12 x 1000 x 0.00000025 + (100 + 101 + ... + 111) x 0.000002 = 0.003 + 1266 x 0.000002 = 0.005532
      expect(
        await warehouse.query(`SELECT (SELECT sum(amount_usd) FROM charges WHERE tenant = '${tenant}') AS charges,
          (SELECT sum(amount_usd) FROM spend_hourly WHERE tenant = '${tenant}') AS hourly,
          (SELECT count() FROM usage WHERE tenant = '${tenant}') AS events,
          (SELECT count() FROM ledger_entries WHERE tenant = '${tenant}') AS rows_without_final`),
      ).toEqual([
        { charges: '0.005532', hourly: '0.005532', events: '12', rows_without_final: '12' },
      ]);
    }),
    { numRuns: 15 },
  );
});
