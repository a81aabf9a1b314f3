import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TOPICS } from '../../../schemas/topics.ts';
import { processEnvironment } from '../../../services/platform/config.ts';
import {
  openLmdbEventLog,
  openLmdbEventLogReader,
} from '../../../services/platform/lmdb-event-log.ts';
import { createVirtualKey } from '../../../services/platform/virtual-key.ts';
import type { Served } from './processes.ts';
import { startServed } from './processes.ts';

const CLI = '../../../services/cli/bin.js';

/** The proxies under test. `office`: the one whose log the back office reads; the others' are read by nobody. */
export const PROXIES = {
  disk: 'disk',
  process: 'process',
  office: 'disk',
} as const;
export type ProxyId = keyof typeof PROXIES;

/** A house on disk as an operator would have it: a configuration, two processes from the command line. */
export interface BenchHouse {
  key: string;
  /** @param nodeOptions for Node itself, to profile it. */
  startProxy(id: ProxyId, nodeOptions?: readonly string[]): Promise<Served>;
  startBackOffice(): Promise<Served>;
  /** Usage events in the log of a proxy that has stopped, and how many of their ids differ. */
  countEvents(id: ProxyId): Promise<{ events: number; distinct: number }>;
  remove(): void;
}

const recordsOf = (upstreamUrl: string): object => ({
  tenants: [{ id: 'acme' }],
  keys: [
    {
      id: 'acme-bench',
      tenant: 'acme',
      secret: { env: 'RECKONER_BENCH_KEY' },
      feature: 'chat',
      budgets: ['acme-month'],
    },
  ],
  upstreams: [
    {
      id: 'openai',
      provider: 'openai',
      dialect: 'openai',
      base_url: upstreamUrl,
      credential: { env: 'RECKONER_BENCH_PROVIDER_KEY' },
      models: ['gpt-*'],
      allow_private: true,
    },
  ],
  budgets: [{ id: 'acme-month', tenant: 'acme', limit_usd: '1000000', window: 'month' }],
});

const EVENTS_AT_ONCE = 10_000;

const countEvents = async (dataDir: string, id: ProxyId) => {
  const offsets = await openLmdbEventLog({ directory: join(dataDir, 'count'), name: 'count' });
  const log = await openLmdbEventLogReader({
    directory: join(dataDir, 'log', id),
    name: id,
    offsets,
  });
  const ids = new Set<string>();
  let events = 0;
  const topic = TOPICS.usageEvents.name;
  for (const { partition, start, end } of await log.ranges(topic)) {
    for (let offset = start; offset < end; ) {
      const entries = await log.read({ topic, partition, offset }, EVENTS_AT_ONCE);
      for (const { value } of entries) ids.add(JSON.parse(Buffer.from(value ?? []).toString()).id);
      events += entries.length;
      offset = (entries.at(-1)?.offset ?? end) + 1;
    }
  }
  await log.close();
  await offsets.close();
  return { events, distinct: ids.size };
};

/** Writes the configuration of one house with several proxies that differ in id and durability. */
export const createBenchHouse = (upstreamUrl: string): BenchHouse => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-bench-'));
  const dataDir = join(directory, 'data');
  const key = createVirtualKey().text;
  const env = {
    ...processEnvironment(),
    RECKONER_BENCH_KEY: key,
    RECKONER_BENCH_PROVIDER_KEY: 'provider-secret',
  };
  const configOf = (id: ProxyId): string => {
    const path = join(directory, `${id}.json`);
    const process = {
      data_dir: dataDir,
      proxy: { id, port: 0, durability: PROXIES[id] },
      back_office: { port: 0, proxies: ['office'] },
      log_level: 'warn',
    };
    writeFileSync(path, JSON.stringify({ process, records: recordsOf(upstreamUrl) }));
    return path;
  };
  return {
    key,
    startProxy: (id, nodeOptions = []) =>
      startServed(CLI, ['serve', 'proxy', '--config', configOf(id)], { env, nodeOptions }),
    startBackOffice: () =>
      startServed(CLI, ['serve', 'back-office', '--config', configOf('office')], { env }),
    countEvents: (id) => countEvents(dataDir, id),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
};
