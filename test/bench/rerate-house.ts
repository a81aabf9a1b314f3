import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Money } from '../../pricing/money.ts';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { encodeEnvelope } from '../../schemas/envelope.ts';
import type { PriceBook } from '../../schemas/price-book.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { startBudget } from '../../services/budget/main.ts';
import { LEDGER_GROUP, startLedger } from '../../services/ledger/main.ts';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { followControlState } from '../../services/platform/control-state.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { migrate } from '../../services/platform/migrate.ts';
import { untilCommitted } from '../../services/platform/until-committed.ts';
import { startRater } from '../../services/rater/main.ts';
import type { Rerater } from '../../services/rater/rerate-run.ts';
import { createRerater } from '../../services/rater/rerate-run.ts';
import { usageEvent } from '../unit/pricing/pricing-fixtures.ts';

const CHAT = { input_uncached: '1204', output_text: '310' };
const CACHED = { input_uncached: '812', cache_read: '8192', output_text: '203' };
const THINKING = { ...CACHED, output_reasoning: '1920' };
const WRITTEN = { ...CACHED, cache_write_5m: '2100' };

export type SoldModel = Pick<UsageEvent, 'provider' | 'model' | 'tier' | 'classes'>;

/** What is sold as what: twenty models of four providers. */
export const BENCH_MODELS: readonly SoldModel[] = [
  ...[
    'gpt-5-2025-08-07',
    'o3-2025-04-16',
    'o4-mini-2025-04-16',
    'gpt-5.4-2026-03-05',
    'gpt-5.4-mini-2026-03-17',
    'gpt-5.5-2026-04-23',
  ].map((model) => ({ provider: 'openai', model, tier: 'default', classes: THINKING })),
  ...['gpt-4o-mini-2024-07-18', 'gpt-4.1-mini'].map((model) => ({
    provider: 'openai',
    model,
    tier: 'default',
    classes: CHAT,
  })),
  ...[
    'claude-opus-4-6',
    'claude-opus-4-5-20251101',
    'claude-sonnet-4-5-20250929',
    'claude-sonnet-4-20250514',
    'claude-haiku-4-5-20251001',
    'claude-opus-4-1-20250805',
  ].map((model) => ({ provider: 'anthropic', model, tier: 'standard', classes: WRITTEN })),
  ...['gemini-2.5-flash', 'gemini-2.5-pro', 'gemini-2.5-flash-lite'].map((model) => ({
    provider: 'google',
    model,
    tier: 'standard',
    classes: CACHED,
  })),
  ...['mistral-large-2512', 'ministral-8b-2512', 'mistral-small-2603'].map((model) => ({
    provider: 'mistral',
    model,
    tier: 'standard',
    classes: CHAT,
  })),
];

const TENANTS = 20;
const FIRST_MS = Date.UTC(2026, 9, 5);
/** Two days, so that an hour of a tenant holds some dozens of calls. */
const SPAN_MS = 2 * 86_400_000;

const id = (space: number, number: number): string =>
  `0193a5b2-7c1d-7${space.toString(16).padStart(3, '0')}-8a4f-${number.toString(16).padStart(12, '0')}`;

const RAW_USAGE =
  '{"input_tokens":12,"cache_creation_input_tokens":2100,"cache_read_input_tokens":55096,"cache_creation":{"ephemeral_5m_input_tokens":2100,"ephemeral_1h_input_tokens":0},"output_tokens":640,"service_tier":"standard"}';

/** Calls as a house sees them, with dimensions, tags and the provider's own usage object; quantities differ from call to call. */
export const benchEvents = (count: number): UsageEvent[] =>
  Array.from({ length: count }, (_, index) => {
    const sold = BENCH_MODELS[index % BENCH_MODELS.length];
    const at = new Date(FIRST_MS + Math.floor((index * SPAN_MS) / count)).toISOString();
    const tenant = `tenant-${(index * 7) % TENANTS}`;
    return usageEvent({
      ...sold,
      ...(sold?.model === undefined ? {} : { requested_model: sold.model }),
      event_id: id(1, index),
      attempt_id: id(2, index),
      request_id: id(3, index),
      event_ts: at,
      closed_at: at,
      sequence: index + 1,
      classes: { ...sold?.classes, output_text: String(1 + ((index * 97) % 4_000)) },
      credential_pool_id: 'shared',
      provider_request_id: `req_${index.toString(36).padStart(20, '0')}`,
      finish_reason: 'stop',
      http_status: 200,
      ttft_ms: 312,
      dimensions: {
        tenant,
        feature: 'chat',
        team: 'core',
        env: 'prod',
        user: `user-${index % 997}`,
      },
      tags: { build: '2026-10-05.3', channel: 'web' },
      raw_usage: RAW_USAGE,
    });
  });

/** The books with another version of every provider in which some models always cost `factor` times as much. */
export const withCorrection = (
  books: PriceBooks,
  options: { knownFrom: string; factor: string; models: readonly SoldModel[] },
): PriceBooks => {
  const corrected = new Set(
    options.models.map(
      ({ provider, model = '' }) =>
        `${provider} ${books.modelOf(provider, model, books.newestKnownFrom)}`,
    ),
  );
  const isCorrected = (provider: string, model: string): boolean =>
    corrected.has(`${provider} ${model}`);
  const newest = new Map<string, PriceBook>();
  for (const one of books.books) newest.set(one.provider, one);
  const corrections = [...newest.values()].map((last): PriceBook => {
    const version = last.version + 1;
    const known = books.books
      .filter(({ provider }) => provider === last.provider)
      .flatMap((one) => one.prices)
      .filter(({ model, claim }) => isCorrected(last.provider, model) && claim === undefined);
    // Where a version corrected another, only what it said last.
    const newestOf = new Map(
      known.map((price) => [
        JSON.stringify([price.model, price.meter, price.when, price.valid_from]),
        price,
      ]),
    );
    const prices = [...newestOf.values()].map((price) => ({
      ...price,
      price_id: `${price.price_id}~${version}`.slice(0, 300),
      unit_price: new Money(price.unit_price).times(options.factor).toFixed(),
      known_from: options.knownFrom,
    }));
    return { ...last, version, known_from: options.knownFrom, aliases: [], prices };
  });
  return createPriceBooks([
    ...books.books,
    ...corrections.filter(({ prices }) => prices.length > 0),
  ]);
};

export interface BenchHouse {
  /** By folder: books to rate again by. */
  rerater(folder: ReadonlyMap<string, PriceBooks>): Rerater;
  /** Resolves when what has been published is rated, in archive, ledger and rollups. */
  publish(events: readonly UsageEvent[]): Promise<void>;
  close(): Promise<void>;
}

const PUBLISHED_AT_ONCE = 5_000;
const LEDGER_TIMEOUT_MS = 120_000;

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 20));
};

const publishTo = async (log: EventLog, events: readonly UsageEvent[]): Promise<void> => {
  for (let from = 0; from < events.length; from += PUBLISHED_AT_ONCE) {
    const entries = events.slice(from, from + PUBLISHED_AT_ONCE).map((event) => {
      const { tenant } = event.dimensions;
      const outer = { id: event.event_id, source: '/bench', subject: tenant, time: event.event_ts };
      return {
        topic: TOPICS.usageEvents.name,
        key: tenant,
        value: encodeEnvelope('usageEvent', outer, event),
      };
    });
    const appended = log.append(entries);
    await appended.stored;
    await appended.durable;
  }
};

/** The embedded default as the back office composes it: LMDB logs, rater, budget and ledger over chDB, all on local disk. */
export const openBenchHouse = async (books: PriceBooks): Promise<BenchHouse> => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-bench-'));
  const proxy = await openLmdbEventLog({ directory: join(directory, 'proxy'), name: 'proxy' });
  const office = await openLmdbEventLog({ directory: join(directory, 'office'), name: 'office' });
  const warehouse = await openWarehouse({ kind: 'chdb', directory: join(directory, 'warehouse') });
  await migrate(warehouse);
  const shared = {
    warehouse,
    clock: systemClock,
    logger: createLogger('bench', 'silent'),
    metrics: createMetrics('bench'),
  };
  const control = followControlState([office], office, systemClock);
  await control.caughtUp;
  const usageEvents = [proxy];
  const rater = await startRater({
    ...shared,
    usageEvents,
    backOffice: office,
    books: () => books,
  });
  const budget = await startBudget({ ...shared, rated: office, backOffice: office, control });
  const ledger = await startLedger({ ...shared, usageEvents, rated: office, backOffice: office });
  const services = [ledger, budget, rater, control];
  const failed = Promise.race(services.map(({ ended }) => ended)).then(() => undefined);
  failed.catch(() => undefined);
  const reader = { group: LEDGER_GROUP, topic: TOPICS.usageRated.name };
  return {
    rerater: (folder) =>
      createRerater({
        ...shared,
        metrics: createMetrics('rerate'),
        backOffice: office,
        books: () => books,
        loadBooks: (name) => folder.get(name) ?? books,
        closedPeriods: () => new Set(),
        runAlone: (work) => rater.runAlone(work),
        untilInLedger: () => untilCommitted(office, reader, LEDGER_TIMEOUT_MS),
        untilRolledUp: () => ledger.flushRollups(),
      }),
    publish: async (events) => {
      await publishTo(proxy, events);
      await Promise.race([until(() => rater.lag() === 0 && ledger.lag() === 0), failed]);
      await ledger.flushRollups();
    },
    close: async () => {
      for (const service of services) await service.close();
      await warehouse.close();
      await proxy.close();
      await office.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
