import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import {
  openLmdbEventLog,
  openLmdbEventLogReader,
} from '../../services/platform/lmdb-event-log.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { eventually } from '../contract/event-log-kit.ts';

const FACTS = TOPICS.usageEvents.name;

const newDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-directory-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
};
const entry = { topic: FACTS, key: 'acme', value: Uint8Array.of(1) };

test('a directory that does not exist is created for its owner only', async () => {
  const directory = join(newDirectory(), 'log', 'proxy-1');
  const log = await openLmdbEventLog({ directory, name: 'proxy-1' });
  onTestFinished(() => log.close());
  expect(statSync(directory).mode & 0o777).toBe(0o700);
});

test('a path below a regular file is refused in a full sentence', async () => {
  const file = join(newDirectory(), 'file');
  writeFileSync(file, '');
  const directory = join(file, 'log');
  await expect(openLmdbEventLog({ directory, name: 'x' })).rejects.toMatchObject({
    code: 'DATA_DIR_UNUSABLE',
    message: expect.stringMatching(
      /^The log directory \S+ cannot be used \(ENOTDIR: .*\)\. It must be a directory this process may write, on a disk with room; correct it or configure another one\.$/,
    ),
  });
});

test('a file that is no log is refused, and the directory is free again', async () => {
  const directory = newDirectory();
  writeFileSync(
    join(directory, 'data.mdb'),
    'not a database, but some text that is long enough to be read as one'.repeat(200),
  );
  await expect(openLmdbEventLog({ directory, name: 'x' })).rejects.toMatchObject({
    code: 'DATA_DIR_UNUSABLE',
  });
  rmSync(join(directory, 'data.mdb'));
  await (await openLmdbEventLog({ directory, name: 'x' })).close();
});

test('a reader may come before the writer, and is refused what only the writer may', async () => {
  const directory = join(newDirectory(), 'later');
  const offsets = createMemoryEventLog('reader');
  const reader = await openLmdbEventLogReader({ directory, name: 'later', offsets });
  onTestFinished(() => reader.close());
  const at = { topic: FACTS, partition: 0, offset: 0 };
  expect(await reader.read(at, 1)).toEqual([]);
  let seen = 0;
  const subscription = reader.subscribe({
    topic: FACTS,
    group: 'rater',
    onBatch: async ({ entries }) => {
      seen += entries.length;
    },
  });
  await subscription.caughtUp;
  for (const refused of [reader.append([entry]).stored, reader.compact(FACTS), reader.trim(at)]) {
    await expect(refused).rejects.toMatchObject({ code: 'LOG_READ_ONLY' });
  }
  const writer = await openLmdbEventLog({ directory, name: 'later' });
  onTestFinished(() => writer.close());
  await writer.append([entry]).stored;
  await eventually('the entry', () => seen === 1);
  await eventually('its commit', async () => (await reader.committed('rater', FACTS)).size === 1);
  expect(await offsets.loadOffsets('rater', 'later', FACTS)).toEqual(
    await reader.committed('rater', FACTS),
  );
});

test('a path too long for a socket still wakes its readers', async () => {
  const directory = join(newDirectory(), 'x'.repeat(60), 'y'.repeat(60));
  mkdirSync(directory, { recursive: true });
  const writer = await openLmdbEventLog({ directory, name: 'long' });
  onTestFinished(() => writer.close());
  const offsets = createMemoryEventLog('reader');
  const reader = await openLmdbEventLogReader({ directory, name: 'long', offsets });
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
  for (let number = 1; number <= 10; number += 1) {
    await writer.append([entry]).stored;
    await eventually(`entry ${number}`, () => seen >= number);
  }
  expect(performance.now() - begun).toBeLessThan(5_000);
});

test('more bytes than may wait for the disk are refused at once, and taken again later', async () => {
  const directory = newDirectory();
  const log = await openLmdbEventLog({ directory, name: 'small', bytesPendingMax: 10_000 });
  onTestFinished(() => log.close());
  const large = { ...entry, value: new Uint8Array(6_000) };
  const first = log.append([large]);
  const second = log.append([large]);
  await expect(second.stored).rejects.toMatchObject({ code: 'LOG_FULL', retryable: true });
  await expect(second.durable).rejects.toMatchObject({ code: 'LOG_FULL' });
  await first.durable;
  expect((await log.append([large]).stored)[0]?.offset).toBe(1);
});

test('a log that grows far beyond its first size stays readable for a reader that was there before', async () => {
  const directory = newDirectory();
  const writer = await openLmdbEventLog({ directory, name: 'big' });
  onTestFinished(() => writer.close());
  const offsets = createMemoryEventLog('reader');
  const reader = await openLmdbEventLogReader({ directory, name: 'big', offsets });
  onTestFinished(() => reader.close());
  let bytes = 0;
  const subscription = reader.subscribe({
    topic: FACTS,
    onBatch: async ({ entries }) => {
      for (const { value } of entries) bytes += value?.byteLength ?? 0;
    },
  });
  await subscription.caughtUp;
  const value = new Uint8Array(100_000).fill(7);
  for (let step = 0; step < 8; step += 1) {
    const entries = Array.from({ length: 50 }, (_, n) => ({ ...entry, key: `k${n}`, value }));
    await writer.append(entries).durable;
  }
  // 8 appends of 50 entries of 100,000 bytes.
  await eventually('40 MB', () => bytes === 40_000_000, 60_000);
});
