import pino from 'pino';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { TopicName } from '../../schemas/topics.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { EventLog, StoredEntry } from '../../services/platform/event-log.ts';
import { newId } from '../../services/platform/id-source.ts';
import { openKafkaEventLog } from '../../services/platform/kafka-event-log.ts';
import { eventually } from '../contract/event-log-kit.ts';
import {
  type KafkaBroker,
  kafkaMissing,
  ownsBroker,
  startKafkaBroker,
} from '../helpers/kafka-broker.ts';

const FACTS: TopicName = TOPICS.usageEvents.name;
const skip = kafkaMissing() !== null || !ownsBroker();
const text = ({ value }: StoredEntry): string => Buffer.from(value ?? []).toString();

describe.skipIf(skip)('when the broker is killed and comes back', () => {
  let broker: KafkaBroker;
  beforeAll(async () => {
    broker = await startKafkaBroker();
  });
  afterAll(() => broker?.stop());

  test('nothing acknowledged is lost, writers only wait, readers go on without a gap or a jump', async () => {
    const log: EventLog = await openKafkaEventLog({
      name: 'kafka',
      brokers: broker.brokers,
      prefix: `${newId()}.`,
      clientId: 'restart',
      logger: pino({ level: 'silent' }),
    });
    onTestFinished(() => log.close());
    const alone: StoredEntry[] = [];
    const grouped: StoredEntry[] = [];
    const into = (seen: StoredEntry[]) => async (batch: { entries: readonly StoredEntry[] }) => {
      seen.push(...batch.entries);
    };
    const subscriptions = [
      log.subscribe({ topic: FACTS, onBatch: into(alone) }),
      log.subscribe({ topic: FACTS, group: 'rater', onBatch: into(grouped) }),
    ];
    await Promise.all(subscriptions.map(({ caughtUp }) => caughtUp));
    const acked: string[] = [];
    let writing = true;
    const writer = async (name: number): Promise<void> => {
      for (let turn = 0; writing; turn += 1) {
        const value = `${name}/${turn}`;
        await log.append([{ topic: FACTS, key: `tenant-${name}`, value: Buffer.from(value) }])
          .stored;
        acked.push(value);
      }
    };
    const writers = Array.from({ length: 4 }, (_, name) => writer(name));
    await eventually('some entries', () => acked.length > 200);
    await broker.kill9();
    const before = acked.length;
    await broker.restart();
    await eventually('writing to go on', () => acked.length > before + 200, 60_000);
    writing = false;
    await Promise.all(writers);
    const all = (seen: StoredEntry[]): boolean => {
      const there = new Set(seen.map(text));
      return acked.every((value) => there.has(value));
    };
    await eventually('the lone reader to have all', () => all(alone), 60_000);
    await eventually('the group to have all', () => all(grouped), 60_000);
    const places = alone.map(({ partition, offset }) => `${partition}/${offset}`);
    expect(new Set(places).size).toBe(places.length);
    await eventually('a lag of 0', () => subscriptions.every((one) => one.lag() === 0), 30_000);
  });

  test('closing while the cluster is away ends within its grace, and says what was not acknowledged', async () => {
    const log = await openKafkaEventLog({
      name: 'kafka',
      brokers: broker.brokers,
      prefix: `${newId()}.`,
      clientId: 'restart',
      logger: pino({ level: 'silent' }),
    });
    onTestFinished(() => log.close());
    const subscriptions = [
      log.subscribe({ topic: FACTS, onBatch: async () => undefined }),
      log.subscribe({ topic: FACTS, group: 'rater', onBatch: async () => undefined }),
    ];
    await Promise.all(subscriptions.map(({ caughtUp }) => caughtUp));
    await log.append([{ topic: FACTS, key: 'acme', value: Buffer.from('there') }]).stored;
    await broker.kill9();
    const { stored } = log.append([{ topic: FACTS, key: 'acme', value: Buffer.from('waits') }]);
    await eventually(
      'the lag to be unknown',
      () => subscriptions.every((one) => one.lag() === null),
      30_000,
    );
    const beginMs = performance.now();
    await log.close();
    expect(performance.now() - beginMs).toBeLessThan(20_000);
    await expect(stored).rejects.toMatchObject({ code: 'LOG_CLOSED' });
    await Promise.all(subscriptions.map(({ ended }) => ended));
  });
});
