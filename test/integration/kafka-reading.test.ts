import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { TopicName } from '../../schemas/topics.ts';
import { PARTITIONS, partitionOf, TOPICS } from '../../schemas/topics.ts';
import type { EventLog, StoredEntry } from '../../services/platform/event-log.ts';
import { newId } from '../../services/platform/id-source.ts';
import { openKafkaEventLog } from '../../services/platform/kafka-event-log.ts';
import { eventually } from '../contract/event-log-kit.ts';
import { type KafkaBroker, kafkaMissing, startKafkaBroker } from '../helpers/kafka-broker.ts';

const FACTS: TopicName = TOPICS.usageEvents.name;
const logger = pino({ level: 'silent' });
const skip = kafkaMissing() !== null;
const KEYS = Array.from({ length: 60 }, (_, index) => `tenant-${index}`);
const fact = (key: string, value: string) => ({ topic: FACTS, key, value: Buffer.from(value) });
const text = ({ value }: StoredEntry): string => Buffer.from(value ?? []).toString();
const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error as { code?: string }).code,
  );

describe.skipIf(skip)('reading from a cluster', () => {
  let broker: KafkaBroker;
  beforeAll(async () => {
    broker = await startKafkaBroker();
  });
  afterAll(() => broker?.stop());

  const open = async (prefix = `${newId()}.`): Promise<EventLog> => {
    const log = await openKafkaEventLog({
      name: 'kafka',
      brokers: broker.brokers,
      prefix,
      clientId: 'reading',
      logger,
    });
    onTestFinished(() => log.close());
    return log;
  };

  test('a group that is overtaken by trimming while it reads stops, and its committed place stays', async () => {
    const log = await open();
    await log.append([fact('acme', '1')]).stored;
    const seen: StoredEntry[] = [];
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let holding = false;
    const { ended } = log.subscribe({
      topic: FACTS,
      group: 'slow',
      onBatch: async ({ entries }) => {
        seen.push(...entries);
        holding = true;
        await held;
      },
    });
    await eventually('the first batch in hand', () => holding);
    await log.append([fact('acme', '2'), fact('acme', '3'), fact('acme', '4')]).stored;
    await log.trim({ topic: FACTS, partition: partitionOf('acme'), offset: 3 });
    release();
    expect(await codeOf(ended)).toBe('LOG_TRIMMED');
    expect(seen.map(text)).toEqual(['1']);
    // Offset 1 is next: kafkajs left alone would have committed "the oldest" here and read on from 3.
    expect((await log.committed('slow', FACTS)).get(partitionOf('acme'))).toBe(1);
    const again = log.subscribe({ topic: FACTS, group: 'slow', onBatch: async () => undefined });
    expect(await codeOf(again.ended)).toBe('LOG_TRIMMED');
  });

  test('a lone reader that is overtaken by trimming stops', async () => {
    const log = await open();
    await log.append([fact('acme', '1')]).stored;
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let holding = false;
    const { ended } = log.subscribe({
      topic: FACTS,
      onBatch: async () => {
        holding = true;
        await held;
      },
    });
    await eventually('the first batch in hand', () => holding);
    await log.append([fact('acme', '2'), fact('acme', '3')]).stored;
    await log.trim({ topic: FACTS, partition: partitionOf('acme'), offset: 3 });
    await log.append([fact('acme', '4')]).stored;
    release();
    expect(await codeOf(ended)).toBe('LOG_TRIMMED');
  });

  test('two members share a topic: together they handle all, and a leaver’s part goes to the other', async () => {
    const prefix = `${newId()}.`;
    const [one, two] = [await open(prefix), await open(prefix)];
    const seen: StoredEntry[][] = [[], []];
    const subscriptions = [one, two].map((log, index) =>
      log.subscribe({
        topic: FACTS,
        group: 'rater',
        onBatch: async ({ entries }) => void seen[index]?.push(...entries),
      }),
    );
    await Promise.all(subscriptions.map(({ caughtUp }) => caughtUp));
    const there = (): Set<string> => new Set(seen.flat().map(text));
    let round = 0;
    await eventually(
      'both to work',
      async () => {
        round += 1;
        await one.append(KEYS.map((key) => fact(key, `${key}/${round}`))).stored;
        return seen.every((part) => part.length > 0);
      },
      40_000,
    );
    await eventually('all of it', () => there().size === KEYS.length * round, 40_000);
    await subscriptions[1]?.close();
    const left = seen[1]?.length;
    await one.append(KEYS.map((key) => fact(key, `${key}/after`))).stored;
    await eventually('the rest', () => there().size === KEYS.length * (round + 1), 40_000);
    expect(seen[1]?.length).toBe(left);
    const committed = await one.committed('rater', FACTS);
    for (const { partition, end } of await one.ranges(FACTS)) {
      expect(committed.get(partition) ?? 0).toBe(end);
    }
  });

  test('a handler that outlives the session keeps its place in the group and is not called again', async () => {
    const log = await open();
    await log.append([fact('acme', 'slow')]).stored;
    let calls = 0;
    const subscription = log.subscribe({
      topic: FACTS,
      group: 'slow',
      onBatch: async () => {
        calls += 1;
        // The session of a member that sends no heartbeat ends after 10 s.
        await delay(14_000);
      },
    });
    await subscription.caughtUp;
    await subscription.close();
    expect(calls).toBe(1);
    expect((await log.committed('slow', FACTS)).get(partitionOf('acme'))).toBe(1);
  });

  test('a topic with another number of partitions is refused with its name', async () => {
    const { default: kafkajs } = await import('kafkajs');
    const prefix = `${newId()}.`;
    const admin = new kafkajs.Kafka({ brokers: broker.brokers, logLevel: 0 }).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: prefix + FACTS, numPartitions: 3 }] });
    await admin.disconnect();
    const opened = openKafkaEventLog({
      name: 'kafka',
      brokers: broker.brokers,
      prefix,
      clientId: 'reading',
      logger,
    });
    await expect(opened).rejects.toThrow(`${prefix}${FACTS} has 3 partitions`);
  });

  test('a cluster that is not there is said so within seconds', async () => {
    const opened = openKafkaEventLog({
      name: 'kafka',
      brokers: ['127.0.0.1:1'],
      prefix: '',
      clientId: 'reading',
      logger,
    });
    expect(await codeOf(opened)).toBe('LOG_UNREACHABLE');
  });

  test('an entry too large for Kafka is refused alone; its neighbours are stored', async () => {
    const log = await open();
    const large = log.append([{ topic: FACTS, key: 'acme', value: Buffer.alloc(2_000_000) }]);
    const small = log.append([fact('acme', 'small')]);
    expect(await codeOf(large.stored)).toBe('LOG_APPEND_FAILED');
    expect((await small.stored)[0]?.offset).toBe(0);
  });

  test('what waits for the broker is bounded: the next append is told that the log is full', async () => {
    const log = await open();
    const value = Buffer.alloc(800_000);
    const entries = KEYS.map((key) => ({ topic: FACTS, key, value }));
    // 48 MB of at most 64.
    const first = log.append(entries);
    expect(await codeOf(log.append(entries).stored)).toBe('LOG_FULL');
    expect((await first.stored).length).toBe(KEYS.length);
    const ends = (await log.ranges(FACTS)).reduce((sum, { end }) => sum + end, 0);
    expect(ends).toBe(KEYS.length);
    expect((await log.ranges(FACTS)).length).toBe(PARTITIONS);
  });
});
