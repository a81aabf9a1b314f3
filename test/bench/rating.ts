import { setImmediate as turn } from 'node:timers/promises';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { rateUsage } from '../../pricing/rate-usage.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { loadPriceBooks } from '../../services/platform/price-books.ts';
import { rateBatch } from '../../services/rater/core/rate-batch.ts';
import { rerate } from '../../services/rater/core/rerate.ts';
import { usageEvent } from '../unit/pricing/pricing-fixtures.ts';
import type { Bench, BenchRow } from './bench-row.ts';
import { measureRerate } from './rerate.ts';

const EVENTS_PER_SECOND_MIN = 100_000;
const HEAP_GROWTH_MIB_MAX = 16;
const SECONDS = 4;
const BATCH = 1000;

/** Two thirds short chats, cached agents, reasoning, long contexts, batches, tools: what a mixed house sends. */
const MIX: readonly Partial<UsageEvent>[] = [
  {
    provider: 'openai',
    model: 'gpt-4o-mini-2024-07-18',
    tier: 'default',
    classes: { input_uncached: '812', output_text: '203' },
  },
  {
    provider: 'openai',
    model: 'gpt-5-2025-08-07',
    tier: 'default',
    classes: {
      input_uncached: '1204',
      cache_read: '8192',
      output_text: '310',
      output_reasoning: '1920',
    },
  },
  {
    provider: 'openai',
    model: 'gpt-5.6-terra',
    tier: 'flex',
    classes: { input_uncached: '290000', cache_read: '1024', output_text: '800' },
  },
  {
    provider: 'openai',
    model: 'gpt-4.1-mini',
    tier: 'batch',
    classes: { input_uncached: '3000', output_text: '120' },
  },
  {
    provider: 'anthropic',
    model: 'claude-sonnet-4-5-20250929',
    tier: 'standard',
    classes: {
      input_uncached: '12',
      cache_read: '55096',
      cache_write_5m: '2100',
      output_text: '640',
    },
  },
  {
    provider: 'anthropic',
    model: 'claude-opus-4-6',
    tier: 'standard',
    geo: 'us',
    classes: {
      input_uncached: '4',
      cache_read: '180000',
      cache_write_1h: '900',
      output_text: '77',
      output_reasoning: '400',
    },
    // No web search here: what one costs with inference_geo us is an open question in the book.
    units: {},
  },
  {
    provider: 'google',
    model: 'gemini-2.5-flash',
    tier: 'standard',
    classes: { input_uncached: '5000', 'input_uncached.audio': '1290', output_text: '400' },
  },
  {
    provider: 'bedrock',
    model: 'us.anthropic.claude-haiku-4-5-20251001-v1:0',
    tier: 'default',
    classes: { input_uncached: '700', output_text: '90' },
  },
  {
    provider: 'deepseek',
    model: 'deepseek-v4-pro',
    tier: 'default',
    classes: { input_uncached: '400', cache_read: '6400', output_text: '1000' },
  },
];

const mixedEvents = (): UsageEvent[] =>
  Array.from({ length: BATCH }, (_, index) =>
    usageEvent({
      ...MIX[index % MIX.length],
      credential_pool_id: 'shared',
      event_id: `0193a5b2-7c1d-7003-8a4f-${index.toString(16).padStart(12, '0')}`,
      sequence: index + 1,
    }),
  );

const heapMib = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1024 ** 2;
};

interface Measured {
  /** Events in a second of processor time: what one core does that has nothing else to do. */
  perCoreSecond: number;
  /** Events in a second of the clock, with whatever else ran on the machine. */
  perSecond: number;
  grewMib: number;
}

/** Runs batches for some seconds after a warm-up. Processor time counts every thread, garbage collection too. */
const measure = async (work: () => number): Promise<Measured> => {
  const run = async (seconds: number): Promise<Omit<Measured, 'grewMib'>> => {
    const started = performance.now();
    const cpu = process.cpuUsage();
    let events = 0;
    while (performance.now() - started < seconds * 1000) {
      events += work();
      await turn();
    }
    const { user, system } = process.cpuUsage(cpu);
    return {
      perCoreSecond: Math.round((events * 1e6) / (user + system)),
      perSecond: Math.round((events * 1000) / (performance.now() - started)),
    };
  };
  await run(1);
  const before = heapMib();
  const speed = await run(SECONDS);
  return { ...speed, grewMib: Math.round(heapMib() - before) };
};

const rows = (
  what: string,
  { perCoreSecond, perSecond, grewMib }: Measured,
  least: number,
): BenchRow[] => [
  {
    case: what,
    metric: 'throughput of one core',
    value: perCoreSecond,
    unit: 'events/core-s',
    aim: `>= ${least}`,
    holds: perCoreSecond >= least,
  },
  { case: what, metric: 'throughput by the clock', value: perSecond, unit: 'events/s' },
  {
    case: what,
    metric: 'heap growth',
    value: grewMib,
    unit: 'MiB',
    aim: `<= ${HEAP_GROWTH_MIB_MAX}`,
    holds: grewMib <= HEAP_GROWTH_MIB_MAX,
  },
];

const mustBeRated = (rated: readonly RatedUsage[]): void => {
  const unrated = rated.find(({ outcome }) => outcome === 'unrated');
  if (unrated) throw new Error(`The benchmark's mix is not priced: ${unrated.unrated_detail}`);
};

/** Rating on one core: `rateUsage` alone, the rater's batch with its envelopes, and re-rating, its pure part and end to end. */
export const rating: Bench = async () => {
  const started = performance.now();
  const books: PriceBooks = loadPriceBooks();
  const loaded = Math.round(performance.now() - started);
  const events = mixedEvents();
  const knownAt = books.newestKnownFrom;
  const rated = events.map((event) => rateUsage(event, books, { knownAt }));
  mustBeRated(rated);
  const alone = await measure(() => {
    for (const event of events) rateUsage(event, books, { knownAt });
    return events.length;
  });
  const batch = await measure(() => rateBatch(events, books, knownAt).envelopes.length);
  const again = events.map((event, index) => ({ event, entries: rated.slice(index, index + 1) }));
  const rerated = await measure(
    () => rerate(again, books, { knownAt, postingPeriodOf: (period) => period }).unchanged,
  );
  return [
    {
      case: 'loading and checking every shipped book',
      metric: 'time',
      value: loaded,
      unit: 'ms',
    },
    ...rows('rate one event, mixed traffic', alone, EVENTS_PER_SECOND_MIN),
    ...rows('rate a batch of 1,000 with envelopes', batch, EVENTS_PER_SECOND_MIN),
    ...rows('re-rate against the same books, pure part', rerated, 30_000),
    ...(await measureRerate(books)),
  ];
};
