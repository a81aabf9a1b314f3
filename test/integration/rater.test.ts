import pino from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { decodeEnvelope, encodeEnvelope } from '../../schemas/envelope.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import { PARTITIONS, TOPICS, type TopicName } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { systemClock } from '../../services/platform/clock.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';
import { type RunningRater, startRater } from '../../services/rater/main.ts';
import { book, plainPrices, price, usageEvent } from '../unit/pricing/pricing-fixtures.ts';

const books = createPriceBooks([book(plainPrices())]);
const dearer = book(
  [
    price('input_uncached', '0.000003', {
      price_id: 'v2 in',
      known_from: '2026-12-01T00:00:00.000Z',
    }),
  ],
  { version: 2, known_from: '2026-12-01T00:00:00.000Z' },
);

const numbered = (index: number, rest: Partial<UsageEvent> = {}): UsageEvent =>
  usageEvent({
    event_id: `0193a5b2-7c1d-7003-8a4f-${String(index).padStart(12, '0')}`,
    dimensions: { tenant: `tenant-${index % 3}` },
    ...rest,
  });

const publish = async (log: EventLog, ...events: UsageEvent[]): Promise<void> => {
  await log.append(
    events.map((event) => ({
      topic: TOPICS.usageEvents.name,
      key: event.dimensions.tenant,
      value: encodeEnvelope(
        'usageEvent',
        {
          id: event.event_id,
          source: '/proxy-1',
          subject: event.dimensions.tenant,
          time: event.event_ts,
        },
        event,
      ),
    })),
  ).stored;
};

const valuesOf = async (log: EventLog, topic: TopicName): Promise<Uint8Array[]> => {
  const values: Uint8Array[] = [];
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    for (const entry of await log.read({ topic, partition, offset: 0 }, 10_000)) {
      if (entry.value) values.push(entry.value);
    }
  }
  return values;
};

const ratings = async (log: EventLog): Promise<RatedUsage[]> =>
  (await valuesOf(log, TOPICS.usageRated.name)).map((bytes) => {
    const decoded = decodeEnvelope('ratedUsage', bytes);
    if (!decoded.ok) throw new Error(decoded.detail);
    return decoded.value.data;
  });

/** Nothing here supersedes, so nothing is looked up. */
const noWarehouse = {} as Warehouse;

const start = async (
  usageEvents: EventLog[],
  backOffice: EventLog,
  metrics = createMetrics('test'),
  current: () => PriceBooks = () => books,
): Promise<RunningRater> => {
  const rater = await startRater({
    usageEvents,
    backOffice,
    warehouse: noWarehouse,
    books: current,
    clock: systemClock,
    logger: pino({ level: 'silent' }),
    metrics,
  });
  rater.ended.catch(() => undefined);
  onTestFinished(() => rater.close());
  return rater;
};

/** A log whose entries are there, but whose flush fails: what a crash between append and commit leaves behind. */
const unflushed = (log: EventLog): EventLog => {
  const failure = new Error('disk full');
  return Object.create(log, {
    subscribe: { value: log.subscribe.bind(log) },
    ranges: { value: log.ranges.bind(log) },
    read: { value: log.read.bind(log) },
    append: {
      value: (entries: Parameters<EventLog['append']>[0]) => {
        const { stored } = log.append(entries);
        const durable = stored.then(() => Promise.reject(failure));
        durable.catch(() => undefined);
        return { stored, durable };
      },
    },
  });
};

describe('the rater', () => {
  it('rates what every proxy wrote, each event once, under its tenant', async () => {
    const proxies = [createMemoryEventLog('proxy-1'), createMemoryEventLog('proxy-2')];
    const backOffice = createMemoryEventLog('back-office');
    await publish(proxies[0] as EventLog, ...[1, 2, 3, 4].map((n) => numbered(n)));
    await publish(proxies[1] as EventLog, numbered(5), numbered(6, { model: 'nobody' }));
    const metrics = createMetrics('test');
    const rater = await start(proxies, backOffice, metrics);
    await rater.caughtUp;
    const found = await ratings(backOffice);
    expect(found.map((r) => r.event_id.slice(-1)).sort()).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(found.filter((r) => r.total_usd === '0.003')).toHaveLength(5); // 1000 x 2 / 1e6 + 100 x 10 / 1e6
    expect(found.find((r) => r.outcome === 'unrated')).toMatchObject({
      unrated_reason: 'unknown_model',
      charges: [],
    });
    expect(rater.lag()).toBe(0);
    const text = await metrics.render();
    expect(text).toMatch(/reckoner_rater_events_rated_total\{.*\} 5/);
    expect(text).toMatch(/reckoner_rater_events_unrated_total\{.*reason="unknown_model".*\} 1/);
    expect(text).toMatch(/reckoner_rater_lag_events\{.*\} 0/);
  });

  it('goes on where it stopped, and rates new events as they come', async () => {
    const proxy = createMemoryEventLog('proxy-1');
    const backOffice = createMemoryEventLog('back-office');
    await publish(proxy, numbered(1));
    const first = await start([proxy], backOffice);
    await first.caughtUp;
    await first.close();
    await publish(proxy, numbered(2));
    const second = await start([proxy], backOffice);
    await second.caughtUp;
    await publish(proxy, numbered(3));
    await vi.waitFor(async () => expect(await ratings(backOffice)).toHaveLength(3));
  });

  it('puts what cannot be read in the dead letters and rates the rest', async () => {
    const proxy = createMemoryEventLog('proxy-1');
    const backOffice = createMemoryEventLog('back-office');
    const garbage = {
      topic: TOPICS.usageEvents.name,
      key: 'acme',
      value: new TextEncoder().encode('{"half'),
    };
    await proxy.append([garbage]).stored;
    await publish(proxy, numbered(1));
    const rater = await start([proxy], backOffice);
    await rater.caughtUp;
    expect(await ratings(backOffice)).toHaveLength(1);
    expect(await valuesOf(backOffice, TOPICS.deadLetters.name)).toHaveLength(1);
  });

  it('stops uncommitted when ratings cannot be made durable, and a replay writes the same bytes', async () => {
    const proxy = createMemoryEventLog('proxy-1');
    const backOffice = createMemoryEventLog('back-office');
    await publish(proxy, numbered(1), numbered(2));
    const failing = unflushed(backOffice);
    const broken = await start([proxy], failing);
    await expect(broken.ended).rejects.toThrow('disk full');
    const rater = await start([proxy], backOffice);
    await rater.caughtUp;
    const texts = (await valuesOf(backOffice, TOPICS.usageRated.name)).map((v) =>
      Buffer.from(v).toString(),
    );
    expect(texts.length).toBeGreaterThan(2); // written by the broken run and again by the replay
    expect(new Set(texts).size).toBe(2);
  });

  it('row 51 · a batch repeated after a crash keeps the prices it was stored with, though the books are newer by now', async () => {
    const proxy = createMemoryEventLog('proxy-1');
    const backOffice = createMemoryEventLog('back-office');
    await publish(proxy, numbered(1), numbered(2));
    const broken = await start([proxy], unflushed(backOffice));
    await expect(broken.ended).rejects.toThrow('disk full');
    // While it was down the input became dearer, for the past as well: 3 USD in a million instead of 2.
    const newer = createPriceBooks([book(plainPrices()), dearer]);
    const rater = await start([proxy], backOffice, createMetrics('test'), () => newer);
    await rater.caughtUp;
    await publish(proxy, numbered(3));
    await vi.waitFor(async () => expect(await ratings(backOffice)).toHaveLength(5));
    const found = (await ratings(backOffice)).map((r) => [
      r.event_id.slice(-1),
      r.book,
      r.total_usd,
    ]);
    expect(found.sort()).toEqual([
      ['1', 'acme-ai@1', '0.003'], // 1000 x 2 / 1e6 + 100 x 10 / 1e6
      ['1', 'acme-ai@1', '0.003'],
      ['2', 'acme-ai@1', '0.003'],
      ['2', 'acme-ai@1', '0.003'],
      ['3', 'acme-ai@2', '0.004'], // 1000 x 3 / 1e6 + 100 x 10 / 1e6
    ]);
  });

  it('row 51 · a price list published in the middle of the stream prices what comes after it; nothing is unrated', async () => {
    const proxy = createMemoryEventLog('proxy-1');
    const backOffice = createMemoryEventLog('back-office');
    let inForce = books;
    const rater = await start([proxy], backOffice, createMetrics('test'), () => inForce);
    await publish(proxy, numbered(1));
    await vi.waitFor(async () => expect(await ratings(backOffice)).toHaveLength(1));
    inForce = createPriceBooks([book(plainPrices()), dearer]);
    await publish(proxy, numbered(2));
    await vi.waitFor(async () => expect(await ratings(backOffice)).toHaveLength(2));
    const found = (await ratings(backOffice)).map((r) => [
      r.event_id.slice(-1),
      r.book,
      r.total_usd,
    ]);
    expect(found.sort()).toEqual([
      ['1', 'acme-ai@1', '0.003'],
      ['2', 'acme-ai@2', '0.004'],
    ]);
    await rater.close();
  });
});
