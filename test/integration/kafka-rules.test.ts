import pino from 'pino';
import { describe, expect, test } from 'vitest';
import type { TopicName } from '../../schemas/topics.ts';
import { PARTITIONS, partitionOf, TOPICS } from '../../schemas/topics.ts';
import type { LogBatch, OffsetRange } from '../../services/platform/event-log.ts';
import type { ProduceAck, ProduceSession } from '../../services/platform/kafka-appender.ts';
import { KafkaAppender } from '../../services/platform/kafka-appender.ts';
import type { Fetched } from '../../services/platform/kafka-delivery.ts';
import { KafkaDelivery } from '../../services/platform/kafka-delivery.ts';

const FACTS: TopicName = TOPICS.usageEvents.name;
const logger = pino({ level: 'silent' });
const fact = (key: string, value: string) => ({ topic: FACTS, key, value: Buffer.from(value) });
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error as { code?: string }).code,
  );

type Send = ProduceSession['send'];

/** A broker in memory that answers as it is told to; keeps what it stored and what happened. */
const createBroker = (script: ((store: () => ReturnType<Send>) => ReturnType<Send>)[] = []) => {
  const stored = new Map<number, string[]>();
  const happened: string[] = [];
  let running = 0;
  let mostRunning = 0;
  const store: Send = async (batches) => {
    const acks = new Map<number, ProduceAck>();
    for (const { topic, messages } of batches) {
      for (const { partition, value } of messages) {
        const kept = stored.get(partition) ?? [];
        stored.set(partition, kept);
        if (!acks.has(partition)) {
          acks.set(partition, { topicName: topic, partition, baseOffset: String(kept.length) });
        }
        kept.push(value?.toString() ?? '');
      }
    }
    return [...acks.values()];
  };
  const openSession = async (signal: AbortSignal): Promise<ProduceSession> => {
    happened.push('open');
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('aborted')));
    });
    aborted.catch(() => undefined);
    return {
      send: async (batches) => {
        happened.push('send');
        running += 1;
        mostRunning = Math.max(mostRunning, running);
        await new Promise((resolve) => setImmediate(resolve));
        try {
          const next = script.shift();
          return await Promise.race([next ? next(() => store(batches)) : store(batches), aborted]);
        } finally {
          running -= 1;
        }
      },
      close: async () => void happened.push('close'),
    };
  };
  const appender = new KafkaAppender({
    name: 'kafka',
    openSession,
    topicOnCluster: (topic) => `house.${topic}`,
    logger,
    maxQueuedBytes: 1_000_000,
  });
  return { appender, stored, happened, mostRunning: () => mostRunning };
};

const fail = (message: string, type?: string) => async (): Promise<never> => {
  throw Object.assign(new Error(message), type === undefined ? {} : { type });
};

describe('the queue in front of the producer', () => {
  test('never has two requests in flight, and gives every entry the offset it has', async () => {
    const { appender, stored, mostRunning } = createBroker();
    const appends = Array.from({ length: 200 }, (_, turn) => ({
      turn: `${turn}`,
      stored: appender.append([fact(`tenant-${turn % 7}`, `${turn}`)]).stored,
    }));
    for (const { turn, stored: positions } of appends) {
      const [position] = await positions;
      expect(stored.get(position?.partition ?? -1)?.[position?.offset ?? -1]).toBe(turn);
    }
    expect(mostRunning()).toBe(1);
  });

  test('a producer whose request failed is replaced before anything else is sent, and the same entries go first', async () => {
    const { appender, stored, happened } = createBroker([fail('lost answer')]);
    const first = appender.append([fact('acme', '1')]).stored;
    const second = appender.append([fact('acme', '2')]).stored;
    await Promise.all([first, second]);
    expect(stored.get(partitionOf('acme'))).toEqual(['1', '2']);
    expect(happened).toEqual(['open', 'send', 'close', 'open', 'send']);
  });

  test('an answer that leaves a partition out is no ack for it: its entries are sent again, the others are not', async () => {
    const left = partitionOf('acme');
    const other = ['beta', 'zeta', 'iota'].find((key) => partitionOf(key) !== left) ?? '';
    const answerWithout =
      (partition: number) =>
      async (store: () => ReturnType<Send>): Promise<readonly ProduceAck[]> =>
        (await store()).filter((ack) => ack.partition !== partition);
    const { appender, stored, happened } = createBroker([answerWithout(left)]);
    const positions = await appender.append([fact('acme', 'a'), fact(other, 'z')]).stored;
    // The fake stored both at first and answered for one; the entry not answered for comes a second time.
    expect(stored.get(partitionOf(other))).toEqual(['z']);
    expect(stored.get(left)).toEqual(['a', 'a']);
    expect(positions.map(({ offset }) => offset)).toEqual([1, 0]);
    expect(happened).toEqual(['open', 'send', 'close', 'open', 'send']);
  });

  test('what the broker refuses for good is refused alone', async () => {
    const { appender, stored } = createBroker([
      fail('too large', 'MESSAGE_TOO_LARGE'),
      fail('too large', 'MESSAGE_TOO_LARGE'),
    ]);
    const bad = appender.append([fact('acme', 'bad')]).stored;
    const good = appender.append([fact('acme', 'good')]).stored;
    expect(await codeOf(bad)).toBe('LOG_APPEND_FAILED');
    expect((await good)[0]?.offset).toBe(0);
    expect(stored.get(partitionOf('acme'))).toEqual(['good']);
  });

  test('closing does not wait for a broker that never answers', async () => {
    const { appender } = createBroker([() => new Promise(() => undefined)]);
    const { stored, durable } = appender.append([fact('acme', '1')]);
    await appender.close(20);
    expect(await codeOf(stored)).toBe('LOG_CLOSED');
    expect(await codeOf(durable)).toBe('LOG_CLOSED');
    expect(await codeOf(appender.append([fact('acme', '2')]).stored)).toBe('LOG_CLOSED');
  });

  test('bytes that wait are counted down when they are answered', async () => {
    const { appender } = createBroker();
    const large = () => appender.append([fact('acme', 'x'.repeat(600_000))]).stored;
    const first = large();
    expect(await codeOf(large())).toBe('LOG_FULL');
    await first;
    expect(await codeOf(large())).toBe('resolved');
  });
});

const PARTITION = 3;
const fetched = (from: number, offsets: readonly number[]): Fetched => ({
  partition: PARTITION,
  from,
  records: offsets.map((offset) => ({
    offset: String(offset),
    key: Buffer.from('acme'),
    value: Buffer.from(`${offset}`),
  })),
  next: (offsets.at(-1) ?? from - 1) + 1,
  end: 100,
});

const createReader = (topic: TopicName = FACTS) => {
  const seen: number[] = [];
  const commits: number[] = [];
  let during: () => void = () => undefined;
  const ranges: OffsetRange[] = Array.from({ length: PARTITIONS }, (_, partition) => ({
    partition,
    start: 0,
    end: 100,
  }));
  const delivery = new KafkaDelivery({
    log: 'kafka',
    subscribe: {
      topic,
      maxEntries: 4,
      onBatch: async (batch: LogBatch) => {
        seen.push(...batch.entries.map(({ offset }) => offset));
        during();
      },
    },
    starts: new Map([[PARTITION, 10]]),
    ranges,
  });
  delivery.assign([PARTITION], 'kept');
  return {
    delivery,
    seen,
    commits,
    deliver: (...parts: Fetched[]) =>
      delivery.deliver(parts, async (next) => void commits.push(next.get(PARTITION) ?? -1)),
    whileHandling: (act: () => void) => {
      during = act;
    },
  };
};

describe('the rules of delivery', () => {
  test('entries come in turns of the bound, each committed before the next', async () => {
    const { deliver, seen, commits } = createReader();
    expect(await deliver(fetched(10, [10, 11, 12, 13, 14, 15]))).toBe(true);
    expect(seen).toEqual([10, 11, 12, 13, 14, 15]);
    expect(commits).toEqual([14, 16]);
  });

  test('what was handled already is not handed over again', async () => {
    const { deliver, seen } = createReader();
    await deliver(fetched(10, [10, 11]));
    await deliver(fetched(10, [10, 11, 12]));
    expect(seen).toEqual([10, 11, 12]);
  });

  test.each([
    ['before the first entry', [11, 12]],
    ['between two entries', [10, 12]],
  ])(
    'a hole %s ends the subscription with LOG_GAP, and nothing of it is committed',
    async (_, offsets) => {
      const { delivery, deliver, commits, seen } = createReader();
      expect(await deliver(fetched(10, offsets))).toBe(false);
      expect(await codeOf(delivery.failed)).toBe('LOG_GAP');
      expect(commits).toEqual([]);
      expect(seen).toEqual([]);
    },
  );

  test('a reader that was moved forward is found out, also on a compacted topic', async () => {
    const { delivery, deliver } = createReader(TOPICS.controlRecords.name);
    expect(await deliver(fetched(10, [12, 15]))).toBe(true);
    expect(await deliver(fetched(40, [40]))).toBe(false);
    expect(await codeOf(delivery.failed)).toBe('LOG_GAP');
  });

  test('a batch whose partitions went to another reader meanwhile is not committed', async () => {
    const { delivery, deliver, commits, whileHandling } = createReader();
    whileHandling(() => delivery.assign([5], 'unknown'));
    expect(await deliver(fetched(10, [10]))).toBe(false);
    expect(commits).toEqual([]);
    expect(await deliver(fetched(10, [10]))).toBe(true);
    expect(commits).toEqual([]);
  });

  test('a beginning that is no longer kept is refused before anything is read', async () => {
    const range = { partition: 0, start: 20, end: 30 };
    const begin = (offset: number) =>
      new KafkaDelivery({
        log: 'kafka',
        subscribe: { topic: FACTS, onBatch: async () => undefined },
        starts: new Map([[0, offset]]),
        ranges: [range],
      });
    expect(await codeOf(begin(19).failed)).toBe('LOG_TRIMMED');
    expect(await codeOf(begin(31).failed)).toBe('LOG_GAP');
    expect(begin(20).stopped).toBe(false);
    expect(begin(30).stopped).toBe(false);
  });

  test('the lag is unknown until the partitions are known, then what is not handled', async () => {
    const { delivery, deliver } = createReader();
    expect(delivery.behind()).toBe(90);
    await deliver(fetched(10, [10, 11]));
    expect(delivery.behind()).toBe(88);
    delivery.assign([], 'unknown');
    expect(delivery.behind()).toBe(0);
  });
});
