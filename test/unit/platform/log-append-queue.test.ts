import { expect, test } from 'vitest';
import { TOPICS } from '../../../schemas/topics.ts';
import { AppendQueue } from '../../../services/platform/log-append-queue.ts';
import type { LogEnvironment, Write, Written } from '../../../services/platform/log-environment.ts';
import { LogState } from '../../../services/platform/log-state.ts';

const entry = { topic: TOPICS.usageEvents.name, key: 'acme', value: Uint8Array.of(1) };

/** A queue over a disk that answers each write as the test says. */
const queueOver = (answers: ((write: Write) => Written)[], flushTimeoutMs = 10_000) => {
  const environment = {
    write: (write: Write) => (answers.shift() ?? (() => well()))(write),
  } as unknown as LogEnvironment;
  const options = { name: 'x', bytesPendingMax: 1000, flushTimeoutMs, onStored: () => undefined };
  return new AppendQueue(environment, new LogState(), options);
};
const well = (): Written => ({ stored: Promise.resolve(), durable: Promise.resolve() });

test('a flush that fails leaves the append stored but not durable, and the log refuses to go on', async () => {
  const durable = Promise.reject(new Error('EIO'));
  durable.catch(() => undefined);
  const queue = queueOver([() => ({ stored: Promise.resolve(), durable })]);
  const appended = queue.append([entry]);
  expect((await appended.stored)[0]?.offset).toBe(0);
  await expect(appended.durable).rejects.toMatchObject({ code: 'LOG_BROKEN' });
  await expect(queue.append([entry]).stored).rejects.toMatchObject({ code: 'LOG_BROKEN' });
  await queue.drained();
});

test('a flush without an answer counts as failed after its time', async () => {
  const queue = queueOver(
    [() => ({ stored: Promise.resolve(), durable: new Promise(() => undefined) })],
    20,
  );
  const appended = queue.append([entry]);
  await appended.stored;
  await expect(appended.durable).rejects.toMatchObject({ code: 'LOG_BROKEN' });
  await queue.drained();
});

test('a transaction without an answer breaks the log after its time: nobody waits for ever', async () => {
  const never = new Promise<void>(() => undefined);
  const queue = queueOver([() => ({ stored: never, durable: never })], 20);
  const appended = queue.append([entry]);
  await expect(appended.stored).rejects.toMatchObject({ code: 'LOG_BROKEN' });
  await expect(queue.append([entry]).stored).rejects.toMatchObject({ code: 'LOG_BROKEN' });
  await queue.drained();
});

test('a transaction that fails gives its offset back, so that no hole is left', async () => {
  const failed = Promise.reject(new Error('ENOSPC'));
  failed.catch(() => undefined);
  const queue = queueOver([() => ({ stored: failed, durable: failed })]);
  const first = queue.append([entry]);
  await expect(first.stored).rejects.toMatchObject({ code: 'LOG_APPEND_FAILED' });
  await expect(first.durable).rejects.toMatchObject({ code: 'LOG_APPEND_FAILED' });
  expect((await queue.append([entry]).stored)[0]?.offset).toBe(0);
});

test('what waits while a transaction is under way goes into the next one together', async () => {
  const sizes: number[] = [];
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const note = (stored: Promise<void>) => (write: Write) => {
    sizes.push(write.changes.length);
    return { stored, durable: stored };
  };
  const queue = queueOver([note(held), note(Promise.resolve())]);
  const first = queue.append([entry]);
  await Promise.resolve();
  await Promise.resolve();
  const others = [1, 2, 3].map(() => queue.append([entry]));
  release();
  await first.durable;
  await Promise.all(others.map(({ durable }) => durable));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(4);
  expect(sizes.length).toBe(2);
});

test('bytes under way are bounded: the append beyond is refused at once and may be repeated', async () => {
  const queue = queueOver([]);
  // 600 bytes, 4 of the key and 64 for keeping it are 668; twice that is more than 1000.
  const large = { ...entry, value: new Uint8Array(600) };
  const first = queue.append([large]);
  const second = queue.append([large]);
  await expect(second.stored).rejects.toMatchObject({ code: 'LOG_FULL', retryable: true });
  await first.durable;
  expect((await queue.append([large]).stored)[0]?.offset).toBe(1);
});
