import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PARTITIONS, TOPICS, type TopicName } from '../../schemas/topics.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import {
  openLmdbEventLog,
  openLmdbEventLogReader,
} from '../../services/platform/lmdb-event-log.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { eventually } from '../contract/event-log-kit.ts';

const FACTS = TOPICS.usageEvents.name;
const RATED = TOPICS.usageRated.name;
const WRITER = new URL('../helpers/lmdb-writer-process.ts', import.meta.url);

const newDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-crash-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
};

interface Writer {
  child: ChildProcess;
  stored: number[];
  said: { open?: number; refused?: string };
}

const startWriter = (directory: string, first: number, inFlight: number): Writer => {
  const child = fork(WRITER, [directory, `${first}`, `${inFlight}`], { execArgv: [] });
  const writer: Writer = { child, stored: [], said: {} };
  child.on('message', (message: { stored?: number; open?: number; refused?: string }) => {
    if (message.stored !== undefined) writer.stored.push(message.stored);
    else Object.assign(writer.said, message);
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return writer;
};

const kill = async (writer: Writer): Promise<void> => {
  // Everything the process said before it died is still to be heard: 'close' comes after the channel has run dry.
  const closed = once(writer.child, 'disconnect');
  writer.child.kill('SIGKILL');
  await closed;
};

const numbersIn = async (log: EventLog, topic: TopicName): Promise<number[]> => {
  const numbers: number[] = [];
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const entries = await log.read({ topic, partition, offset: 0 }, 1_000_000);
    for (const entry of entries)
      numbers.push(Number(new TextDecoder().decode(entry.value ?? undefined)));
  }
  return numbers.sort((a, b) => a - b);
};

test('twelve kills -9 lose nothing that was stored, tear no append apart, and a reader sees each entry once', async () => {
  const directory = newDirectory();
  const offsets = createMemoryEventLog('reader');
  const reader = await openLmdbEventLogReader({ directory, name: 'writer', offsets });
  onTestFinished(() => reader.close());
  const seen: number[] = [];
  const subscription = reader.subscribe({
    topic: FACTS,
    group: 'rater',
    onBatch: async ({ entries }) => {
      for (const { value } of entries)
        seen.push(Number(new TextDecoder().decode(value ?? undefined)));
    },
  });
  await subscription.caughtUp;
  expect(await reader.ranges(FACTS)).toEqual([]);
  expect(subscription.lag()).toBeNull();

  const acknowledged: number[] = [];
  for (let round = 0; round < 12; round += 1) {
    const writer = startWriter(directory, round * 1_000_000, 16);
    await eventually('stored appends', () => writer.stored.length >= 100 + round * 17, 60_000);
    await kill(writer);
    acknowledged.push(...writer.stored);
  }
  const log = await openLmdbEventLog({ directory, name: 'writer' });
  onTestFinished(() => log.close());
  const facts = await numbersIn(log, FACTS);
  const kept = new Set(facts);
  expect(acknowledged.length).toBeGreaterThan(12 * 100);
  expect(acknowledged.filter((number) => !kept.has(number))).toEqual([]);
  expect(kept.size).toBe(facts.length);
  expect(await numbersIn(log, RATED)).toEqual(facts);

  await eventually('all entries at the reader', () => seen.length >= facts.length, 60_000);
  expect([...seen].sort((a, b) => a - b)).toEqual(facts);
  expect(subscription.lag()).toBe(0);
});

test('row 11 · a second writer is refused with the directory and the process that holds it, until that one dies', async () => {
  const directory = newDirectory();
  const writer = startWriter(directory, 0, 0);
  await eventually('an open log', () => writer.said.open !== undefined, 30_000);
  const second = openLmdbEventLog({ directory, name: 'second' });
  await expect(second).rejects.toMatchObject({
    code: 'LOG_LOCKED',
    message: `The log directory ${directory} is being written by process ${writer.said.open}. A log has one writer: stop that process, or configure another directory.`,
  });
  await kill(writer);
  const log = await openLmdbEventLog({ directory, name: 'second' });
  await log.close();
});

test('of five that start at once over a dead writer’s directory, one gets it', async () => {
  const directory = newDirectory();
  const dead = startWriter(directory, 0, 0);
  await eventually('an open log', () => dead.said.open !== undefined, 30_000);
  await kill(dead);
  const starters = Array.from({ length: 5 }, () => startWriter(directory, 0, 0));
  await eventually(
    'five answers',
    () => starters.every(({ said }) => said.open !== undefined || said.refused !== undefined),
    60_000,
  );
  expect(starters.filter(({ said }) => said.open !== undefined).length).toBe(1);
  expect(starters.filter(({ said }) => said.refused === 'LOG_LOCKED').length).toBe(4);
});

test('entries of another process are pushed, not polled: most arrive far sooner than the safety check', async () => {
  const directory = newDirectory();
  const writer = await openLmdbEventLog({ directory, name: 'writer' });
  onTestFinished(() => writer.close());
  const offsets = createMemoryEventLog('reader');
  const reader = await openLmdbEventLogReader({ directory, name: 'writer', offsets });
  onTestFinished(() => reader.close());
  let seen = 0;
  const subscription = reader.subscribe({
    topic: FACTS,
    onBatch: async ({ entries }) => {
      seen += entries.length;
    },
  });
  await subscription.caughtUp;
  const begun = performance.now();
  for (let number = 1; number <= 20; number += 1) {
    await writer.append([{ topic: FACTS, key: 'acme', value: new Uint8Array(8) }]).stored;
    await eventually(`entry ${number}`, () => seen >= number);
  }
  // Twenty safety checks one after the other would take twenty seconds.
  expect(performance.now() - begun).toBeLessThan(10_000);
  expect(existsSync(join(directory, 'wake.sock'))).toBe(true);
});
