import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PARTITIONS, partitionOf, TOPICS } from '../../schemas/topics.ts';
import type {
  EventLog,
  LogBatch,
  LogEntry,
  OffsetStore,
  Position,
  StoredEntry,
  SubscribeOptions,
  Subscription,
} from '../../services/platform/event-log.ts';

/** A log as the contract wants it: empty, and one that can be closed and opened again. */
export interface OpenedLog {
  log: EventLog;
  /** Closes the log and opens the same one again, as a restart of the process would. */
  reopen(): Promise<EventLog>;
}

/** Where adapters may differ, because their port says so. */
export interface LogTraits {
  /** One append over several topics is all or nothing, and visible all at once. */
  atomicOverTopics: boolean;
  /** `compact` does its work before it resolves, instead of leaving it to a broker. */
  compactsAtOnce: boolean;
  /** The log is an OffsetStore too: it keeps how far its owner has come in other logs. */
  keepsOffsets: boolean;
  /** How long a condition may take to come true. */
  patienceMs?: number;
}

const FACTS = TOPICS.usageEvents.name;
const RATED = TOPICS.usageRated.name;
const RECORDS = TOPICS.controlRecords.name;
const ATTEMPTS = TOPICS.attempts.name;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array | null): string | null =>
  value === null ? null : new TextDecoder().decode(value);
const fact = (key: string, value: string): LogEntry => ({ topic: FACTS, key, value: bytes(value) });
const record = (key: string, value: string | null): LogEntry => ({
  topic: RECORDS,
  key,
  value: value === null ? null : bytes(value),
});
const texts = (entries: readonly StoredEntry[]): (string | null)[] =>
  entries.map((entry) => text(entry.value));

/** Waits for a condition; says what it waited for when it never came. */
export const eventually = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  patienceMs = 15_000,
): Promise<void> => {
  const until = performance.now() + patienceMs;
  while (!(await condition())) {
    if (performance.now() > until) throw new Error(`waited ${patienceMs} ms in vain for: ${what}`);
    await delay(5);
  }
};

/** A subscriber that remembers what it was given. */
export const collect = (
  log: EventLog,
  options: Omit<SubscribeOptions, 'onBatch'>,
): { subscription: Subscription; seen: StoredEntry[]; batches: LogBatch[] } => {
  const seen: StoredEntry[] = [];
  const batches: LogBatch[] = [];
  const subscription = log.subscribe({
    ...options,
    onBatch: async (batch) => {
      batches.push(batch);
      seen.push(...batch.entries);
    },
  });
  onTestFinished(() => subscription.close());
  return { subscription, seen, batches };
};

const asOffsetStore = (log: EventLog): OffsetStore => {
  if (!('saveOffsets' in log)) throw new TypeError(`${log.name} keeps no offsets`);
  return log as EventLog & OffsetStore;
};

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error as { code?: string }).code ?? error,
  );

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

    test.runIf(traits.atomicOverTopics)(
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

  describe(`${name}: groups`, () => {
    const acme = partitionOf('acme');

    test('a group that never ran has committed nothing', async () => {
      const { log } = await open();
      expect(await log.committed('nobody', FACTS)).toEqual(new Map());
    });

    test('a group goes on where it stopped, also after a restart', async () => {
      const { log, reopen } = await open();
      await put(log, fact('acme', '1'), fact('acme', '2'));
      const first = collect(log, { topic: FACTS, group: 'rater' });
      await first.subscription.caughtUp;
      await first.subscription.close();
      expect((await log.committed('rater', FACTS)).get(acme)).toBe(2);
      const again = await reopen();
      await put(again, fact('acme', '3'));
      const second = collect(again, { topic: FACTS, group: 'rater' });
      await second.subscription.caughtUp;
      expect(texts(first.seen)).toEqual(['1', '2']);
      expect(texts(second.seen)).toEqual(['3']);
    });

    test('a handler that fails stops the subscription, commits nothing, and sees the batch again', async () => {
      const { log } = await open();
      await put(log, fact('acme', '1'));
      const failing = log.subscribe({
        topic: FACTS,
        group: 'rater',
        onBatch: async () => {
          throw new Error('the warehouse is away');
        },
      });
      await expect(failing.ended).rejects.toThrow('the warehouse is away');
      expect((await log.committed('rater', FACTS)).get(acme) ?? 0).toBe(0);
      await failing.close();
      const { subscription, seen } = collect(log, { topic: FACTS, group: 'rater' });
      await subscription.caughtUp;
      expect(texts(seen)).toEqual(['1']);
    });

    test('two groups are independent, and without a group reading begins at the start', async () => {
      const { log } = await open();
      await put(log, fact('acme', '1'));
      const rater = collect(log, { topic: FACTS, group: 'rater' });
      await rater.subscription.caughtUp;
      await rater.subscription.close();
      await put(log, fact('acme', '2'));
      const ledger = collect(log, { topic: FACTS, group: 'ledger' });
      const nobody = collect(log, { topic: FACTS });
      await Promise.all([ledger.subscription.caughtUp, nobody.subscription.caughtUp]);
      expect(texts(ledger.seen)).toEqual(['1', '2']);
      expect(texts(nobody.seen)).toEqual(['1', '2']);
      expect((await log.committed('rater', FACTS)).get(acme)).toBe(1);
      expect((await log.committed('ledger', FACTS)).get(acme)).toBe(2);
    });

    test.runIf(traits.keepsOffsets)(
      'offsets in another log are kept per group, log and topic, and merged per partition',
      async () => {
        const { log, reopen } = await open();
        const owner = { group: 'rater', log: 'proxy-1', topic: FACTS };
        await asOffsetStore(log).saveOffsets(owner, new Map([[0, 5]]));
        await asOffsetStore(log).saveOffsets(owner, new Map([[3, 7]]));
        await asOffsetStore(log).saveOffsets({ ...owner, log: 'proxy-2' }, new Map([[0, 1]]));
        const kept = asOffsetStore(await reopen());
        const both = new Map([
          [0, 5],
          [3, 7],
        ]);
        expect(await kept.loadOffsets('rater', 'proxy-1', FACTS)).toEqual(both);
        expect(await kept.loadOffsets('rater', 'proxy-2', FACTS)).toEqual(new Map([[0, 1]]));
        expect(await kept.loadOffsets('rater', 'proxy-1', RATED)).toEqual(new Map());
      },
    );
  });

  describe(`${name}: compacted topics`, () => {
    const fold = (entries: readonly StoredEntry[]): Record<string, string> => {
      const newest: Record<string, string> = {};
      for (const { key, value } of entries) {
        if (value === null) delete newest[key];
        else newest[key] = text(value) ?? '';
      }
      return newest;
    };

    test('who follows live learns of every key’s newest value and of its deletion', async () => {
      const { log } = await open();
      await put(log, record('key/a', '1'), record('key/b', '1'));
      const { subscription, seen } = collect(log, { topic: RECORDS });
      await subscription.caughtUp;
      await put(log, record('key/a', '2'), record('key/b', null));
      await wait('the deletion', () => seen.some((entry) => entry.value === null));
      await wait('a = 2', () => fold(seen)['key/a'] === '2');
      expect(fold(seen)).toEqual({ 'key/a': '2' });
    });

    test('who comes later sees the newest of each key, and after compaction no tombstone', async () => {
      const { log, reopen } = await open();
      await put(log, record('key/a', '1'), record('key/b', '1'), record('key/c', '1'));
      await put(log, record('key/a', '2'), record('key/b', null));
      await log.compact(RECORDS);
      const again = await reopen();
      await put(again, record('key/c', '2'));
      const { subscription, seen } = collect(again, { topic: RECORDS });
      await subscription.caughtUp;
      expect(fold(seen)).toEqual({ 'key/a': '2', 'key/c': '2' });
      if (traits.compactsAtOnce) expect(texts(seen).sort()).toEqual(['2', '2']);
    });

    test('an offset is never used again, also when the newest entry has been swept', async () => {
      const { log, reopen } = await open();
      const written = [
        ...(await put(log, record('key/a', '1'))),
        ...(await put(log, record('key/a', null))),
      ];
      await log.compact(RECORDS);
      const again = await reopen();
      const [next] = await put(again, record('key/a', '2'));
      expect(written.map((position) => position.offset)).toEqual([0, 1]);
      expect(next?.offset).toBe(2);
    });

    test.runIf(traits.compactsAtOnce)(
      'an opened attempt that was closed leaves nothing behind',
      async () => {
        const { log } = await open();
        const partition = partitionOf('attempt-1');
        for (let turn = 0; turn < 3; turn += 1) {
          await put(log, { topic: ATTEMPTS, key: 'attempt-1', value: bytes('opened') });
          await put(log, { topic: ATTEMPTS, key: 'attempt-1', value: null });
        }
        expect(await log.read({ topic: ATTEMPTS, partition, offset: 0 }, 9)).toEqual([]);
        expect((await log.ranges(ATTEMPTS))[partition]?.end).toBe(6);
      },
    );

    test.runIf(traits.compactsAtOnce)(
      'a reader that may have missed a swept deletion is told, not left with the deleted key',
      async () => {
        const { log } = await open();
        await put(log, record('key/a', '1'));
        const reader = collect(log, { topic: RECORDS, group: 'history' });
        await reader.subscription.caughtUp;
        await reader.subscription.close();
        await put(log, record('key/a', null));
        await log.compact(RECORDS);
        const { ended } = collect(log, { topic: RECORDS, group: 'history' }).subscription;
        expect(await rejection(ended)).toBe('LOG_TRIMMED');
      },
    );
  });

  describe(`${name}: trimming`, () => {
    const partition = partitionOf('acme');
    const at = (offset: number): Position => ({ topic: FACTS, partition, offset });

    test('what was trimmed is gone and said to be gone; the rest stays where it was', async () => {
      const { log, reopen } = await open();
      await put(log, ...['1', '2', '3', '4'].map((value) => fact('acme', value)));
      await log.trim(at(2));
      const again = await reopen();
      expect((await again.ranges(FACTS))[partition]).toEqual({ partition, start: 2, end: 4 });
      expect(texts(await again.read(at(2), 9))).toEqual(['3', '4']);
      expect(await rejection(again.read(at(1), 9))).toBe('LOG_TRIMMED');
    });

    test('a log trimmed to its end goes on counting', async () => {
      const { log, reopen } = await open();
      await put(log, fact('acme', '1'), fact('acme', '2'));
      await log.trim(at(2));
      const again = await reopen();
      expect((await put(again, fact('acme', '3')))[0]?.offset).toBe(2);
    });

    test('a group whose place was trimmed is told and never jumps', async () => {
      const { log } = await open();
      await put(log, fact('acme', '1'));
      const rater = collect(log, { topic: FACTS, group: 'rater' });
      await rater.subscription.caughtUp;
      await rater.subscription.close();
      await put(log, fact('acme', '2'), fact('acme', '3'));
      await log.trim(at(2));
      const late = collect(log, { topic: FACTS, group: 'rater' });
      expect(await rejection(late.subscription.ended)).toBe('LOG_TRIMMED');
      expect(late.seen).toEqual([]);
    });

    test('a new group begins at what is kept', async () => {
      const { log } = await open();
      await put(log, ...['1', '2', '3'].map((value) => fact('acme', value)));
      await log.trim(at(1));
      const { subscription, seen } = collect(log, { topic: FACTS, group: 'new' });
      await subscription.caughtUp;
      expect(texts(seen)).toEqual(['2', '3']);
    });
  });

  describe(`${name}: closing`, () => {
    test('after close every call is refused with LOG_CLOSED', async () => {
      const { log } = await open();
      await put(log, fact('acme', '1'));
      await log.close();
      await log.close();
      const at = { topic: FACTS, partition: 0, offset: 0 };
      const appended = log.append([fact('acme', '2')]);
      const subscription = log.subscribe({ topic: FACTS, onBatch: async () => undefined });
      const owner = { group: 'g', log: 'l', topic: FACTS };
      const kept = traits.keepsOffsets
        ? [
            asOffsetStore(log).loadOffsets('g', 'l', FACTS),
            asOffsetStore(log).saveOffsets(owner, new Map()),
          ]
        : [];
      const calls = [
        appended.stored,
        appended.durable,
        log.read(at, 1),
        log.committed('g', FACTS),
        log.ranges(FACTS),
        log.compact(RECORDS),
        log.trim(at),
        subscription.ended,
        ...kept,
      ];
      expect(await Promise.all(calls.map(rejection))).toEqual(calls.map(() => 'LOG_CLOSED'));
    });

    test('closing the log ends its subscriptions and keeps what was appended', async () => {
      const { log, reopen } = await open();
      const { subscription } = collect(log, { topic: FACTS, group: 'rater' });
      const appended = log.append([fact('acme', '1')]);
      const again = await reopen();
      await subscription.ended;
      await appended.durable;
      const at = { topic: FACTS, partition: partitionOf('acme'), offset: 0 };
      expect(texts(await again.read(at, 9))).toEqual(['1']);
    });
  });
};
