import { describe, expect, test } from 'vitest';
import { partitionOf } from '../../schemas/topics.ts';
import type {
  EventLog,
  LogEntry,
  Position,
  StoredEntry,
} from '../../services/platform/event-log.ts';
import type { LogTraits, OpenedLog } from './event-log-kit.ts';
import {
  ATTEMPTS,
  asOffsetStore,
  bytes,
  collect,
  eventually,
  FACTS,
  fact,
  promise,
  RATED,
  RECORDS,
  record,
  rejection,
  text,
  texts,
} from './event-log-kit.ts';

/** The second half of the event log's contract: what is kept, for whom, and until when. */
export const eventLogKeepingContract = (
  name: string,
  open: () => Promise<OpenedLog>,
  traits: LogTraits,
): void => {
  const patienceMs = traits.patienceMs ?? 15_000;
  const wait = (what: string, condition: () => boolean | Promise<boolean>) =>
    eventually(what, condition, patienceMs);

  const put = (log: EventLog, ...entries: LogEntry[]): Promise<readonly Position[]> =>
    log.append(entries).stored;

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

    promise(
      traits.keepsOffsets,
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

    promise(
      traits.compactsAtOnce,
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

    promise(
      traits.compactsAtOnce,
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
