import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { PARTITIONS, partitionOf, TOPICS, type TopicName } from '../../schemas/topics.ts';
import type { EventLog, OffsetStore } from '../../services/platform/event-log.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { createMemoryEventLog, MemoryDisk } from '../../services/platform/memory-event-log.ts';

const FACTS = TOPICS.usageEvents.name;
const RECORDS = TOPICS.controlRecords.name;
const KEYS = ['a', 'b', 'c', 'd', 'e'];

type Log = EventLog & OffsetStore;
type Step =
  | { act: 'append'; entries: { topic: TopicName; key: string; value: string | null }[] }
  | { act: 'compact' }
  | { act: 'trim'; key: string; upTo: number }
  | { act: 'restart' }
  | { act: 'follow'; maxEntries: number };

interface Kept {
  offset: number;
  key: string;
  value: string | null;
}

/** The simplest log that keeps the promises: a list per partition, and how far one group has come in the facts. */
class Model {
  readonly kept = new Map<string, Kept[]>();
  readonly ends = new Map<string, number>();
  readonly starts = new Map<string, number>();
  readonly unread = new Map<number, string[]>();
  followed = false;

  append(topic: TopicName, key: string, value: string | null): void {
    const slot = `${topic}/${partitionOf(key)}`;
    const offset = this.ends.get(slot) ?? 0;
    this.ends.set(slot, offset + 1);
    const before = this.kept.get(slot) ?? [];
    const others = topic === RECORDS ? before.filter((entry) => entry.key !== key) : before;
    this.kept.set(slot, [...others, { offset, key, value }]);
    if (topic !== FACTS) return;
    const waiting = this.unread.get(partitionOf(key)) ?? [];
    this.unread.set(partitionOf(key), [...waiting, value ?? '']);
  }

  compact(): void {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const slot = `${RECORDS}/${partition}`;
      const live = (this.kept.get(slot) ?? []).filter((entry) => entry.value !== null);
      this.kept.set(slot, live);
    }
  }

  trim(key: string, before: number): void {
    const slot = `${FACTS}/${partitionOf(key)}`;
    this.starts.set(slot, Math.max(before, this.starts.get(slot) ?? 0));
    const kept = this.kept.get(slot) ?? [];
    this.kept.set(
      slot,
      kept.filter((entry) => entry.offset >= before),
    );
  }
}

const text = (value: Uint8Array | null): string | null =>
  value === null ? null : new TextDecoder().decode(value);

const expectSame = async (log: Log, model: Model, topic: TopicName): Promise<void> => {
  const ranges = await log.ranges(topic);
  for (const { partition, start, end } of ranges) {
    const slot = `${topic}/${partition}`;
    expect(start).toBe(model.starts.get(slot) ?? 0);
    expect(end).toBe(model.ends.get(slot) ?? 0);
    const read = await log.read({ topic, partition, offset: start }, 1000);
    const entries = read.map(({ offset, key, value }) => ({ offset, key, value: text(value) }));
    expect(entries).toEqual(model.kept.get(slot) ?? []);
  }
};

const follow = async (log: Log, model: Model, maxEntries: number): Promise<void> => {
  const seen = new Map<number, string[]>();
  const subscription = log.subscribe({
    topic: FACTS,
    group: 'rater',
    maxEntries,
    onBatch: async ({ entries }) => {
      expect(entries.length).toBeLessThanOrEqual(maxEntries);
      for (const { partition, value } of entries) {
        seen.set(partition, [...(seen.get(partition) ?? []), text(value) ?? '']);
      }
    },
  });
  await Promise.race([subscription.caughtUp, subscription.ended]);
  await subscription.close();
  const expected = [...model.unread].filter(([, values]) => values.length > 0);
  expect(new Map([...seen].sort())).toEqual(new Map(expected.sort()));
  model.unread.clear();
};

const run = async (steps: readonly Step[], open: () => Promise<Log>): Promise<void> => {
  const model = new Model();
  let log = await open();
  try {
    for (const step of steps) {
      if (step.act === 'append') {
        const entries = step.entries.map((entry) => ({
          ...entry,
          value: entry.value === null ? null : new TextEncoder().encode(entry.value),
        }));
        const positions = await log.append(entries).stored;
        expect(positions.length).toBe(entries.length);
        for (const { topic, key, value } of step.entries) model.append(topic, key, value);
      } else if (step.act === 'compact') {
        await log.compact(RECORDS);
        model.compact();
      } else if (step.act === 'restart') {
        await log.close();
        log = await open();
      } else if (step.act === 'follow') {
        await follow(log, model, step.maxEntries);
      } else {
        // Only what the group has handled may go, as the owner of a log would have it.
        const partition = partitionOf(step.key);
        const handled = (await log.committed('rater', FACTS)).get(partition) ?? 0;
        const offset = Math.min(handled, step.upTo);
        await log.trim({ topic: FACTS, partition, offset });
        model.trim(step.key, offset);
      }
      await expectSame(log, model, FACTS);
      await expectSame(log, model, RECORDS);
    }
  } finally {
    await log.close();
  }
};

const entry = fc.oneof(
  fc.record({
    topic: fc.constant(FACTS),
    key: fc.constantFrom(...KEYS),
    value: fc.string({ maxLength: 8 }),
  }),
  fc.record({
    topic: fc.constant(RECORDS),
    key: fc.constantFrom(...KEYS),
    value: fc.option(fc.string({ maxLength: 8 }), { freq: 3 }),
  }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      act: fc.constant('append' as const),
      entries: fc.array(entry, { maxLength: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('compact' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      act: fc.constant('trim' as const),
      key: fc.constantFrom(...KEYS),
      upTo: fc.nat({ max: 12 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('restart' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      act: fc.constant('follow' as const),
      maxEntries: fc.integer({ min: 1, max: 5 }),
    }),
  },
);
const steps = fc.array(step, { maxLength: 25 });

test('memory: any interleaving of append, compact, trim, subscribe and restart agrees with the model', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (taken) => {
      const disk = new MemoryDisk();
      await run(taken, async () => createMemoryEventLog('memory', disk));
    }),
    { numRuns: 200 },
  );
});

test('LMDB: any interleaving of append, compact, trim, subscribe and restart agrees with the model', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (taken) => {
      const directory = mkdtempSync(join(tmpdir(), 'reckoner-property-'));
      try {
        await run(taken, () => openLmdbEventLog({ directory, name: 'lmdb' }));
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }),
    { numRuns: 40 },
  );
}, 60_000);
