import { expect, test } from 'vitest';
import { TOPICS } from '../../../schemas/topics.ts';
import { createMemoryEventLog } from '../../../services/platform/memory-event-log.ts';
import { untilCommitted } from '../../../services/platform/until-committed.ts';

const reader = { group: 'readers', topic: TOPICS.usageRated.name };
const entry = (key: string) => ({ topic: reader.topic, key, value: new Uint8Array([1]) });

test('a topic without entries is not waited for', async () => {
  await untilCommitted(createMemoryEventLog('log'), reader, 0);
});

test('what a group has not taken is waited for, until it has, and no longer than was said', async () => {
  const log = createMemoryEventLog('log');
  await log.append([entry('a'), entry('b'), entry('c')]).stored;
  await expect(untilCommitted(log, reader, 30)).rejects.toMatchObject({
    code: 'LOG_APPEND_FAILED',
    retryable: true,
  });
  const waiting = untilCommitted(log, reader, 10_000);
  const subscription = log.subscribe({ ...reader, onBatch: async () => undefined });
  await waiting;
  await subscription.close();
  await log.append([entry('a')]).stored;
  await expect(untilCommitted(log, reader, 30)).rejects.toThrow('readers has not taken');
});
