import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { TopicName } from '../../schemas/topics.ts';
import { PARTITIONS, partitionOf, TOPICS } from '../../schemas/topics.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { ReckonerError } from '../../services/platform/errors.ts';
import type { EventLog, LogEntry, StoredEntry } from '../../services/platform/event-log.ts';
import { newId } from '../../services/platform/id-source.ts';
import { openKafkaEventLog } from '../../services/platform/kafka-event-log.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { createMemoryEventLog, MemoryDisk } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import type { RunningService } from '../../services/platform/running-service.ts';
import { startShipper } from '../../services/proxy/shipper.ts';
import { eventually } from '../contract/event-log-kit.ts';
import { kafkaMissing, ownsBroker, startKafkaBroker } from '../helpers/kafka-broker.ts';

const FACTS: TopicName = TOPICS.usageEvents.name;
const LETTERS: TopicName = TOPICS.deadLetters.name;
const ATTEMPTS: TopicName = TOPICS.attempts.name;
const logger = pino({ level: 'silent' });
const KEYS = Array.from({ length: 30 }, (_, index) => `tenant-${index}`);
const fact = (key: string, value: string): LogEntry => ({
  topic: FACTS,
  key,
  value: Buffer.from(value),
});

const ship = async (local: EventLog, kafka: EventLog) => {
  const metrics = createMetrics('proxy');
  const shipper = await startShipper({ local, kafka, logger, metrics, clock: systemClock });
  onTestFinished(() => shipper.close());
  return { shipper, metrics };
};

const everything = async (log: EventLog, topic: TopicName): Promise<StoredEntry[]> => {
  const entries: StoredEntry[] = [];
  for (const { partition, start, end } of await log.ranges(topic)) {
    if (end > start) entries.push(...(await log.read({ topic, partition, offset: start }, end)));
  }
  return entries;
};

const plain = ({ key, value, partition }: StoredEntry) => [
  partition,
  key,
  Buffer.from(value ?? []).toString(),
];
const kept = async (log: EventLog, topic: TopicName): Promise<number> =>
  (await log.ranges(topic)).reduce((sum, { start, end }) => sum + end - start, 0);

/** A cluster that can be away: the log behind it, and a switch. */
const createFlakyLog = (behind: EventLog) => {
  let refusal: ReckonerError | null = null;
  let appends = 0;
  const log: EventLog = {
    name: behind.name,
    append: (entries) => {
      appends += 1;
      if (refusal === null) return behind.append(entries);
      const stored = Promise.reject(refusal);
      const durable = Promise.reject(refusal);
      stored.catch(() => undefined);
      durable.catch(() => undefined);
      return { stored, durable };
    },
    read: (from, maxEntries) => behind.read(from, maxEntries),
    subscribe: (options) => behind.subscribe(options),
    committed: (group, topic) => behind.committed(group, topic),
    ranges: (topic) => behind.ranges(topic),
    compact: (topic) => behind.compact(topic),
    trim: (before) => behind.trim(before),
    close: () => behind.close(),
  };
  return {
    log,
    appends: () => appends,
    away: () => {
      refusal = new ReckonerError('LOG_FULL', 'Kafka is away.', { retryable: true });
    },
    back: () => {
      refusal = null;
    },
  };
};

describe('shipping the local log', () => {
  test('events and dead letters arrive with the same keys, bytes, partitions and order; opened records stay', async () => {
    const local = createMemoryEventLog('proxy');
    const kafka = createMemoryEventLog('kafka');
    await ship(local, kafka);
    for (const turn of ['1', '2', '3']) {
      local.append(KEYS.map((key) => fact(key, `${key}/${turn}`)));
    }
    local.append([
      { topic: LETTERS, key: 'acme', value: Buffer.from('unreadable') },
      { topic: ATTEMPTS, key: 'attempt-1', value: Buffer.from('opened') },
    ]);
    await eventually('90 events', async () => (await kept(kafka, FACTS)) === 90);
    await eventually('the dead letter', async () => (await kept(kafka, LETTERS)) === 1);
    const arrived = (await everything(kafka, FACTS)).map(plain);
    const expected = Array.from({ length: PARTITIONS }, (_, partition) => partition).flatMap(
      (partition) =>
        ['1', '2', '3'].flatMap((turn) =>
          KEYS.filter((key) => partitionOf(key) === partition).map((key) => [
            partition,
            key,
            `${key}/${turn}`,
          ]),
        ),
    );
    expect(arrived).toEqual(expected);
    expect(await kept(kafka, ATTEMPTS)).toBe(0);
  });

  test('what Kafka has acknowledged is committed, and only that is trimmed', async () => {
    const local = createMemoryEventLog('proxy');
    const kafka = createFlakyLog(createMemoryEventLog('kafka'));
    const { metrics } = await ship(local, kafka.log);
    await local.append([fact('acme', '1'), fact('acme', '2')]).stored;
    await eventually('the local log to be empty', async () => (await kept(local, FACTS)) === 0);
    const partition = partitionOf('acme');
    expect((await local.committed('shipper', FACTS)).get(partition)).toBe(2);
    kafka.away();
    await local.append([fact('acme', '3')]).stored;
    const before = kafka.appends();
    await eventually('some vain attempts', () => kafka.appends() > before + 3);
    expect(await kept(local, FACTS)).toBe(1);
    expect(await metrics.render()).toMatch(/reckoner_shipper_lag_entries\{[^}]*\} 1\n/);
    kafka.back();
    await eventually('the rest', async () => (await kept(kafka.log, FACTS)) === 3);
    await eventually('the local log to be empty', async () => (await kept(local, FACTS)) === 0);
    expect(await metrics.render()).toMatch(
      /shipper_entries_total\{topic="usage.events.v1"[^}]*\} 3\n/,
    );
  });

  test('closing while Kafka is away ends soon and loses nothing: the next shipper sends it', async () => {
    const disk = new MemoryDisk();
    const local = createMemoryEventLog('proxy', disk);
    const kafka = createFlakyLog(createMemoryEventLog('kafka'));
    kafka.away();
    const { shipper } = await ship(local, kafka.log);
    await local.append(KEYS.map((key) => fact(key, key))).stored;
    await eventually('an attempt', () => kafka.appends() > 0);
    await shipper.close();
    await shipper.ended;
    expect(await local.committed('shipper', FACTS)).toEqual(new Map());
    await local.close();
    kafka.back();
    const again = createMemoryEventLog('proxy', disk);
    await ship(again, kafka.log);
    await eventually('all', async () => (await kept(kafka.log, FACTS)) === KEYS.length);
  });

  test('a crash between the ack and the commit sends again: the entries are there, in order, some twice', async () => {
    const disk = new MemoryDisk();
    const local = createMemoryEventLog('proxy', disk);
    const behind = createMemoryEventLog('kafka');
    // The process dies in the moment the answer arrives: it never hears it.
    const deaf: EventLog = {
      ...createFlakyLog(behind).log,
      append: (entries) => {
        behind.append(entries);
        return { stored: new Promise(() => undefined), durable: new Promise(() => undefined) };
      },
    };
    const { shipper } = await ship(local, deaf);
    await local.append([fact('acme', '1'), fact('acme', '2')]).stored;
    await eventually('the entries in Kafka', async () => (await kept(behind, FACTS)) === 2);
    await shipper.close();
    await ship(createMemoryEventLog('proxy', disk), behind);
    await eventually('the entries again', async () => (await kept(behind, FACTS)) === 4);
    const values = (await everything(behind, FACTS)).map((entry) => plain(entry)[2]);
    expect(values).toEqual(['1', '2', '1', '2']);
  });

  test('a local log that lost entries ends the shipper: a hole is never shipped over', async () => {
    const local = createMemoryEventLog('proxy');
    const kafka = createMemoryEventLog('kafka');
    const { shipper } = await ship(local, kafka);
    await local.append([fact('acme', '1')]).stored;
    await eventually('the commit', async () => (await local.committed('shipper', FACTS)).size > 0);
    await shipper.close();
    await local.append([fact('acme', '2'), fact('acme', '3')]).stored;
    await local.trim({ topic: FACTS, partition: partitionOf('acme'), offset: 2 });
    const second: RunningService = (await ship(local, kafka)).shipper;
    await expect(second.ended).rejects.toMatchObject({ code: 'LOG_TRIMMED' });
    expect((await everything(kafka, FACTS)).length).toBe(1);
  });
});

describe.skipIf(kafkaMissing() !== null || !ownsBroker())('shipping to a real broker', () => {
  test('LMDB to Kafka across a kill -9 of the broker: every event stored locally arrives, and the local log empties', async () => {
    const broker = await startKafkaBroker();
    const directory = mkdtempSync(join(tmpdir(), 'reckoner-shipper-'));
    const local = await openLmdbEventLog({ directory, name: 'proxy' });
    const kafka = await openKafkaEventLog({
      name: 'kafka',
      brokers: broker.brokers,
      prefix: `${newId()}.`,
      clientId: 'shipper',
      logger,
    });
    onTestFinished(async () => {
      await kafka.close();
      await local.close();
      rmSync(directory, { recursive: true, force: true });
      await broker.stop();
    });
    const { shipper } = await ship(local, kafka);
    const stored: string[] = [];
    let writing = true;
    const writer = async (): Promise<void> => {
      for (let turn = 0; writing; turn += 1) {
        const values = KEYS.map((key) => `${key}/${turn}`);
        await local.append(values.map((value) => fact(value.split('/')[0] ?? '', value))).durable;
        stored.push(...values);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const writes = writer();
    const count = () => kept(kafka, FACTS).catch(() => 0);
    await eventually('events in Kafka', async () => (await count()) > 500, 60_000);
    await broker.kill9();
    const atKill = stored.length;
    await eventually('the proxy to go on without Kafka', () => stored.length > atKill + 300);
    await broker.restart();
    writing = false;
    await writes;
    await eventually(
      'the local log to be empty',
      async () => (await kept(local, FACTS)) === 0,
      90_000,
    );
    const there = (await everything(kafka, FACTS)).map((entry) => String(plain(entry)[2]));
    const firsts = [...new Set(there)];
    expect(stored.filter((value) => !firsts.includes(value))).toEqual([]);
    expect(firsts.length).toBe(stored.length);
    for (const key of KEYS) {
      const turns = firsts.filter((value) => value.startsWith(`${key}/`));
      expect(turns).toEqual(Array.from(turns, (_, turn) => `${key}/${turn}`));
    }
    await shipper.close();
  });
});
