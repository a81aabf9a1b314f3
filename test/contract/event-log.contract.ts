import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PARTITIONS, partitionOf } from '../../schemas/topics.ts';
import type { EventLog, LogEntry, Position } from '../../services/platform/event-log.ts';
import { eventLogKeepingContract } from './event-log-keeping.contract.ts';
import type { LogTraits, OpenedLog } from './event-log-kit.ts';
import {
  ATTEMPTS,
  bytes,
  collect,
  eventually,
  FACTS,
  fact,
  promise,
  RATED,
  text,
  texts,
} from './event-log-kit.ts';

/** The promises of `services/platform/event-log.ts`, to be run on every adapter. */
export const eventLogContract = (
  name: string,
  open: () => Promise<OpenedLog>,
  traits: LogTraits,
): void => {
  const patienceMs = traits.patienceMs ?? 15_000;
  const wait = (what: string, condition: () => boolean | Promise<boolean>) =>
    eventually(what, condition, patienceMs);

  const put = (log: EventLog, ...entries: LogEntry[]): Promise<readonly Position[]> =>
    log.append(entries).stored;

  describe(`${name}: appending`, () => {
    test('a key always goes to its partition, and offsets grow by one from nought', async () => {
      const { log } = await open();
      const first = await put(log, fact('acme', '1'), fact('acme', '2'));
      const second = await put(log, fact('acme', '3'), fact('zeta', '4'));
      const partition = partitionOf('acme');
      expect(first).toEqual([
        { topic: FACTS, partition, offset: 0 },
        { topic: FACTS, partition, offset: 1 },
      ]);
      expect(second[0]).toEqual({ topic: FACTS, partition, offset: 2 });
      expect(second[1]?.partition).toBe(partitionOf('zeta'));
    });

    test('entries come back exactly, with key and value, in the order of the calls', async () => {
      const { log } = await open();
      const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      await Promise.all([
        put(log, { topic: FACTS, key: 'Zürich/東京', value: all }),
        put(log, { topic: FACTS, key: 'Zürich/東京', value: new Uint8Array() }),
        put(log, { topic: FACTS, key: 'Zürich/東京', value: bytes('x'.repeat(100_000)) }),
      ]);
      const at = { topic: FACTS, partition: partitionOf('Zürich/東京'), offset: 0 };
      const read = await log.read(at, 10);
      expect(read.map((entry) => entry.offset)).toEqual([0, 1, 2]);
      expect(read.map((entry) => entry.key)).toEqual(Array(3).fill('Zürich/東京'));
      expect(Buffer.from(read[0]?.value ?? []).equals(Buffer.from(all))).toBe(true);
      expect(read[1]?.value?.byteLength).toBe(0);
      expect(read[2]?.value?.byteLength).toBe(100_000);
    });

    test('an entry does not change when its writer goes on using the memory', async () => {
      const { log } = await open();
      const value = bytes('before');
      const { stored } = log.append([{ topic: FACTS, key: 'acme', value }]);
      value.fill(0);
      await stored;
      await put(log, fact('acme', 'after'));
      const at = { topic: FACTS, partition: partitionOf('acme'), offset: 0 };
      const [first] = await log.read(at, 1);
      await log.read({ ...at, offset: 1 }, 1);
      expect(text(first?.value ?? null)).toBe('before');
    });

    test('both stages are answered, and what is stored can be read at once', async () => {
      const { log } = await open();
      const appended = log.append([fact('acme', 'one')]);
      const [position] = await appended.stored;
      if (position === undefined) throw new Error('no position');
      expect(texts(await log.read(position, 1))).toEqual(['one']);
      expect(await appended.durable).toBeUndefined();
    });

    test('an append of nothing is stored and durable', async () => {
      const { log } = await open();
      const appended = log.append([]);
      expect(await appended.stored).toEqual([]);
      expect(await appended.durable).toBeUndefined();
    });

    promise(
      traits.atomicOverTopics,
      'an append over several topics appears all at once',
      async () => {
        const { log } = await open();
        await put(log, { topic: ATTEMPTS, key: 'attempt-1', value: bytes('opened') });
        const [closing] = await put(
          log,
          fact('acme', 'closed'),
          { topic: ATTEMPTS, key: 'attempt-1', value: null },
          { topic: RATED, key: 'acme', value: bytes('rated') },
        );
        expect(closing?.offset).toBe(0);
        const partition = partitionOf('acme');
        expect(texts(await log.read({ topic: FACTS, partition, offset: 0 }, 9))).toEqual([
          'closed',
        ]);
        expect(texts(await log.read({ topic: RATED, partition, offset: 0 }, 9))).toEqual(['rated']);
        const opened = { topic: ATTEMPTS, partition: partitionOf('attempt-1'), offset: 0 };
        expect(texts((await log.read(opened, 9)).filter((e) => e.value !== null))).toEqual([]);
      },
    );

    test('ranges tell where each partition begins and ends, also of a topic never written', async () => {
      const { log } = await open();
      await put(log, fact('acme', '1'), fact('acme', '2'));
      const ranges = await log.ranges(FACTS);
      expect(ranges.map((range) => range.partition)).toEqual([...Array(PARTITIONS).keys()]);
      expect(ranges[partitionOf('acme')]).toEqual({
        partition: partitionOf('acme'),
        start: 0,
        end: 2,
      });
      const empty = await log.ranges(RATED);
      expect(empty.every((range) => range.start === 0 && range.end === 0)).toBe(true);
    });

    test('reading at the end gives nothing; a bound on entries is kept', async () => {
      const { log } = await open();
      await put(log, ...['1', '2', '3'].map((value) => fact('acme', value)));
      const at = { topic: FACTS, partition: partitionOf('acme'), offset: 0 };
      expect(texts(await log.read(at, 2))).toEqual(['1', '2']);
      expect(texts(await log.read({ ...at, offset: 2 }, 2))).toEqual(['3']);
      expect(await log.read({ ...at, offset: 3 }, 2)).toEqual([]);
    });
  });

  describe(`${name}: subscribing`, () => {
    const keys = Array.from({ length: 30 }, (_, index) => `tenant-${index}`);

    test('everything is delivered once, per partition in order, old entries and new ones', async () => {
      const { log } = await open();
      await put(log, ...keys.map((key) => fact(key, `${key}/old`)));
      const { subscription, seen } = collect(log, { topic: FACTS });
      await subscription.caughtUp;
      expect(seen.length).toBe(30);
      await put(log, ...keys.map((key) => fact(key, `${key}/new`)));
      await wait('60 entries', () => seen.length >= 60);
      expect(new Set(texts(seen)).size).toBe(60);
      for (let partition = 0; partition < PARTITIONS; partition += 1) {
        const offsets = seen.filter((e) => e.partition === partition).map((e) => e.offset);
        expect(offsets).toEqual([...offsets.keys()]);
      }
    });

    test('batches are bounded and come one at a time', async () => {
      const { log } = await open();
      await put(log, ...keys.map((key) => fact(key, key)));
      const sizes: number[] = [];
      let running = 0;
      let mostRunning = 0;
      const subscription = log.subscribe({
        topic: FACTS,
        maxEntries: 7,
        onBatch: async (batch) => {
          running += 1;
          mostRunning = Math.max(mostRunning, running);
          sizes.push(batch.entries.length);
          await delay(1);
          running -= 1;
        },
      });
      onTestFinished(() => subscription.close());
      await subscription.caughtUp;
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(30);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(7);
      expect(Math.min(...sizes)).toBeGreaterThan(0);
      expect(mostRunning).toBe(1);
    });

    test('a busy partition does not keep the others waiting', async () => {
      const { log } = await open();
      await put(log, ...Array.from({ length: 500 }, (_, index) => fact('busy', `${index}`)));
      const quiet = keys.find((key) => partitionOf(key) !== partitionOf('busy')) ?? '';
      await put(log, fact(quiet, 'quiet'));
      const { subscription, seen } = collect(log, { topic: FACTS, maxEntries: 50 });
      await subscription.caughtUp;
      expect(seen.length).toBe(501);
      if (traits.atomicOverTopics) {
        expect(texts(seen).indexOf('quiet')).toBeLessThan(100);
      }
    });

    test('a batch names its log and topic, and where each of its partitions goes on', async () => {
      const { log } = await open();
      await put(log, fact('acme', '1'), fact('acme', '2'));
      const { subscription, batches } = collect(log, { topic: FACTS });
      await subscription.caughtUp;
      const last = batches.at(-1);
      expect(last?.log).toBe(log.name);
      expect(last?.topic).toBe(FACTS);
      expect(last?.next).toEqual(new Map([[partitionOf('acme'), 2]]));
    });

    test('caught up on an empty topic at once; the lag is what is not yet handled', async () => {
      const { log } = await open();
      let release: () => void = () => undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      const subscription = log.subscribe({ topic: FACTS, onBatch: () => held });
      onTestFinished(() => subscription.close());
      await subscription.caughtUp;
      await put(log, fact('acme', '1'), fact('acme', '2'));
      await wait('a lag of 2', () => subscription.lag() === 2);
      release();
      await wait('a lag of 0', () => subscription.lag() === 0);
    });

    test('closing waits for the batch in hand and commits it', async () => {
      const { log } = await open();
      await put(log, fact('acme', '1'));
      let handled = false;
      let started: () => void = () => undefined;
      const begun = new Promise<void>((resolve) => {
        started = resolve;
      });
      const subscription = log.subscribe({
        topic: FACTS,
        group: 'rater',
        onBatch: async () => {
          started();
          await delay(20);
          handled = true;
        },
      });
      await begun;
      await subscription.close();
      expect(handled).toBe(true);
      await subscription.ended;
      expect((await log.committed('rater', FACTS)).get(partitionOf('acme'))).toBe(1);
    });
  });

  eventLogKeepingContract(name, open, traits);
};
