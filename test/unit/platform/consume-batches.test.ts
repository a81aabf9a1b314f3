import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { type DataOf, decodeEnvelope, encodeEnvelope } from '../../../schemas/envelope.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { consumeBatches } from '../../../services/platform/consume-batches.ts';
import { createMemoryEventLog } from '../../../services/platform/memory-event-log.ts';

const { valid } = JSON.parse(readFileSync('schemas/examples/usage-event.json', 'utf8'));
const event = valid[0] as DataOf<'usageEvent'>;
const bytes = encodeEnvelope(
  'usageEvent',
  { id: event.event_id, source: '/proxy/proxy-1', subject: 'acme', time: event.event_ts },
  event,
);
const topic = TOPICS.usageEvents.name;

const logs = () => {
  const log = createMemoryEventLog('proxy-1');
  const house = createMemoryEventLog('back-office');
  onTestFinished(async () => {
    await log.close();
    await house.close();
  });
  return { log, house };
};

test('hands over readable records and sets what cannot be read aside, with its bytes and its place', async () => {
  const { log, house } = logs();
  const garbage = new TextEncoder().encode('{"specversion":');
  await log.append([
    { topic, key: 'acme', value: garbage },
    { topic, key: 'acme', value: bytes },
  ]).durable;
  const seen: string[] = [];
  const loop = consumeBatches({
    logs: [log],
    topic,
    kind: 'usageEvent',
    group: 'test',
    deadLetters: house,
    clock: systemClock,
    onRecords: async (records) => void seen.push(...records.map((r) => r.envelope.id)),
  });
  onTestFinished(() => loop.close());
  await loop.caughtUp;
  expect(seen).toEqual([event.event_id]);
  const [range] = (await house.ranges(TOPICS.deadLetters.name)).filter((r) => r.end > r.start);
  if (!range) throw new Error('no dead letter');
  const [letter] = await house.read(
    { topic: TOPICS.deadLetters.name, partition: range.partition, offset: range.start },
    1,
  );
  const decoded = decodeEnvelope('deadLetter', letter?.value ?? new Uint8Array());
  expect(decoded.ok && decoded.value.data).toMatchObject({
    log: 'proxy-1',
    topic,
    offset: 0,
    reason: 'unreadable',
    bytes: Buffer.from(garbage).toString('base64'),
  });
});

test('commits nothing when the handler fails, and says so to whoever waits', async () => {
  const { log, house } = logs();
  await log.append([{ topic, key: 'acme', value: bytes }]).durable;
  const options = {
    logs: [log],
    topic,
    kind: 'usageEvent' as const,
    group: 'test',
    deadLetters: house,
    clock: systemClock,
  };
  const failing = consumeBatches({
    ...options,
    onRecords: () => Promise.reject(new Error('the store is away')),
  });
  await expect(failing.ended).rejects.toThrow('the store is away');
  await expect(failing.caughtUp).rejects.toThrow('the store is away');
  const seen: string[] = [];
  const again = consumeBatches({
    ...options,
    onRecords: async (records) => void seen.push(...records.map((r) => r.envelope.id)),
  });
  onTestFinished(() => again.close());
  await again.caughtUp;
  expect(seen).toEqual([event.event_id]);
});
