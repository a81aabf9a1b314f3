import kafkajs from 'kafkajs';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { TopicName } from '../../schemas/topics.ts';
import { partitionOf, TOPICS } from '../../schemas/topics.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { newId } from '../../services/platform/id-source.ts';
import { openKafkaEventLog } from '../../services/platform/kafka-event-log.ts';
import type { LostAnswersProxy } from '../helpers/kafka/lost-answers-proxy.ts';
import { startLostAnswersProxy } from '../helpers/kafka/lost-answers-proxy.ts';
import {
  type KafkaBroker,
  kafkaMissing,
  ownsBroker,
  startKafkaBroker,
} from '../helpers/kafka-broker.ts';

const FACTS: TopicName = TOPICS.usageEvents.name;
const logger = pino({ level: 'silent' });
const skip = kafkaMissing() !== null || !ownsBroker();

const valuesOf = async (log: EventLog, key: string): Promise<string[]> => {
  const partition = partitionOf(key);
  const end = (await log.ranges(FACTS))[partition]?.end ?? 0;
  const entries = await log.read({ topic: FACTS, partition, offset: 0 }, end);
  return entries.map(({ value }) => Buffer.from(value ?? []).toString());
};

/** How the log differs from what was acknowledged. */
const compare = (acked: readonly string[], stored: readonly string[]) => {
  const there = new Set(stored);
  return {
    lost: acked.filter((value) => !there.has(value)).length,
    twice: stored.length - there.size,
  };
};

describe.skipIf(skip)('when the network loses answers', () => {
  let broker: KafkaBroker;
  let proxy: LostAnswersProxy;

  beforeAll(async () => {
    proxy = await startLostAnswersProxy();
    broker = await startKafkaBroker({ advertisedPort: proxy.port });
    proxy.aimAt(Number(broker.brokers[0]?.split(':')[1]));
  });
  afterAll(async () => {
    await broker?.stop();
    await proxy?.close();
  });

  const open = async (prefix: string): Promise<EventLog> => {
    const log = await openKafkaEventLog({
      name: 'kafka',
      brokers: broker.brokers,
      prefix,
      clientId: 'lost-answers',
      logger,
    });
    onTestFinished(() => log.close());
    return log;
  };

  test('every acknowledged entry is in the log exactly once, in order, at the offset that was answered', async () => {
    const log = await open(`${newId()}.`);
    const before = proxy.cuts();
    proxy.cutEvery(13);
    onTestFinished(() => proxy.cutEvery(0));
    const acked: { value: string; offset: number }[] = [];
    // Eight writers at once, as in the counter-example below; each waits for its answers.
    const writer = async (name: number): Promise<void> => {
      for (let turn = 0; turn < 150; turn += 1) {
        const value = `${name}/${turn}`;
        const entry = { topic: FACTS, key: 'acme', value: Buffer.from(value) };
        const [position] = await log.append([entry]).stored;
        acked.push({ value, offset: position?.offset ?? -1 });
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, name) => writer(name)));
    proxy.cutEvery(0);
    const stored = await valuesOf(log, 'acme');
    expect(proxy.cuts() - before).toBeGreaterThan(5);
    expect(acked.length).toBe(1_200);
    expect(
      compare(
        acked.map(({ value }) => value),
        stored,
      ),
    ).toEqual({ lost: 0, twice: 0 });
    expect(acked.filter(({ value, offset }) => stored[offset] !== value)).toEqual([]);
    for (let name = 0; name < 8; name += 1) {
      const turns = stored.filter((value) => value.startsWith(`${name}/`));
      expect(turns).toEqual(Array.from({ length: 150 }, (_, turn) => `${name}/${turn}`));
    }
  });

  test('the plain way, eight sends of kafkajs at once, acknowledges what is not in the log: why the adapter queues', async () => {
    const prefix = `${newId()}.`;
    const log = await open(prefix);
    const client = new kafkajs.Kafka({
      brokers: broker.brokers,
      logLevel: kafkajs.logLevel.NOTHING,
      retry: { initialRetryTime: 50, retries: 3 },
    });
    const producer = client.producer({ idempotent: true, retry: { retries: 5 } });
    await producer.connect();
    onTestFinished(() => producer.disconnect());
    proxy.cutEvery(37);
    onTestFinished(() => proxy.cutEvery(0));
    const acked: string[] = [];
    let next = 0;
    let broken = false;
    const writer = async (): Promise<void> => {
      while (next < 300 && !broken) {
        const value = `${next++}`;
        const message = { key: 'acme', value, partition: partitionOf('acme') };
        try {
          await producer.send({ topic: prefix + FACTS, acks: -1, messages: [message] });
          acked.push(value);
        } catch {
          broken = true;
        }
      }
    };
    await Promise.all(Array.from({ length: 8 }, writer));
    proxy.cutEvery(0);
    const { lost } = compare(acked, await valuesOf(log, 'acme'));
    expect(lost).toBeGreaterThan(0);
  });
});
