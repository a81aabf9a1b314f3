import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { onTestFinished } from 'vitest';
import { addAmounts } from '../../pricing/money.ts';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { rateUsage } from '../../pricing/rate-usage.ts';
import type { PriceBook } from '../../schemas/price-book.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { startLedger } from '../../services/ledger/main.ts';
import { systemClock } from '../../services/platform/clock.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { loadPriceBooks } from '../../services/platform/price-books.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';
import { startRater } from '../../services/rater/main.ts';
import { type Sandbox, startSandbox } from '../../services/sandbox/main.ts';
import {
  call,
  KEY,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  until,
} from '../integration/proxy-harness.ts';
import type { StreamingFlavour } from './disconnect-flavours.ts';

/** Clients a flavour: a hundred in CI, more where somebody has time. */
export const CLIENTS = Number.parseInt(process.env['RECKONER_DISCONNECT_CLIENTS'] ?? '100', 10);

const price = (meter: string, perMillion: string) => ({
  price_id: `ollama@1/llama3.2/${meter}`,
  model: 'llama3.2',
  meter,
  unit_price: perMillion,
  valid_from: '2020-01-01T00:00:00.000Z',
  known_from: '2026-11-21T00:00:00.000Z',
  source: 'what the house charges itself for its own machines',
  retrieved_at: '2026-11-21',
});

/** The house's own machines have no public price: this book says what the sandbox's list says. */
const OLLAMA_BOOK = {
  provider: 'ollama',
  version: 1,
  currency: 'USD',
  known_from: '2026-11-21T00:00:00.000Z',
  standard_tiers: ['default', 'standard'],
  standard_geos: [],
  aliases: [],
  prices: [
    price('input_uncached', '0.0000001'),
    price('cache_read', '0.00000005'),
    price('output_text', '0.0000004'),
    price('output_reasoning', '0.0000004'),
  ],
} as PriceBook;

export const priceBooks = (): PriceBooks =>
  createPriceBooks([...loadPriceBooks().books, OLLAMA_BOOK]);

/** Sum of what the real pricing core makes of the events. Fails on one it cannot price. */
export const ledgerOf = (events: readonly UsageEvent[], books: PriceBooks): string =>
  addAmounts(
    events.map((event) => {
      const rated = rateUsage(event, books, { knownAt: books.newestKnownFrom });
      if (rated.total_usd === undefined) {
        throw new Error(`${event.flavour} ${event.ending}: ${rated.unrated_detail}`);
      }
      return rated.total_usd;
    }),
  );

/** How many events ended how. */
export const endingsOf = (events: readonly UsageEvent[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { ending } of events) counts[ending] = (counts[ending] ?? 0) + 1;
  return counts;
};

/** The real rater and the real ledger over the proxies' logs; what the warehouse then has of them. */
export const ledgerInWarehouse = async (
  warehouse: Warehouse,
  logs: readonly EventLog[],
  books: PriceBooks,
): Promise<{ ledgerUsd: string; events: number }> => {
  const backOffice = createMemoryEventLog('back-office');
  const common = {
    usageEvents: logs,
    backOffice,
    clock: systemClock,
    logger: createLogger('test', 'silent'),
  };
  const rater = await startRater({
    ...common,
    books: () => books,
    warehouse,
    metrics: createMetrics('rater'),
  });
  await rater.caughtUp;
  await rater.close();
  const ledger = await startLedger({
    ...common,
    rated: backOffice,
    warehouse,
    metrics: createMetrics('ledger'),
  });
  await ledger.caughtUp;
  await ledger.close();
  const [row] = await warehouse.query(
    'SELECT toString(sum(amount_usd)) AS usd, (SELECT count() FROM usage) AS events FROM charges',
  );
  return { ledgerUsd: String(row?.['usd']), events: Number(row?.['events']) };
};

export interface House {
  url: string;
  sandbox: Sandbox;
  localLog: EventLog;
  /** Attempts opened in the proxy's log so far. */
  opened: () => number;
  /** Waits until nothing is under way anywhere; gives the events. */
  settled: () => Promise<UsageEvent[]>;
}

const gauge = (text: string, name: string): number =>
  Number.parseInt(
    new RegExp(`^reckoner_${name}\\{[^}]*\\} (\\d+)$`, 'm').exec(text)?.[1] ?? '-1',
    10,
  );

/** A sandbox, and a proxy in front of it that knows one upstream a flavour. */
export const startHouse = async (
  flavours: readonly StreamingFlavour[],
  about: { upstream?: object; proxyConfig?: object } = {},
): Promise<House> => {
  const sandbox = await startSandbox();
  onTestFinished(() => sandbox.close());
  const office = createMemoryEventLog('office');
  for (const { base, ...upstream } of new Map(
    flavours.map((one) => [one.upstream.id, one.upstream]),
  ).values()) {
    await putUpstream(office, { ...upstream, base_url: sandbox.url + base, ...about.upstream });
  }
  await putKey(office);
  const localLog = createMemoryEventLog('proxy-1');
  const seen = new Set<string>();
  const append = localLog.append.bind(localLog);
  localLog.append = (entries) => {
    for (const { topic, key, value } of entries) {
      if (topic === TOPICS.attempts.name && value !== null) seen.add(key);
    }
    return append(entries);
  };
  const { url } = await startTestProxy({
    office,
    localLog,
    proxyConfig: { drains_max: 10_000, ...about.proxyConfig },
  });
  const quiet = async (): Promise<boolean> => {
    const reply = await call(`${url}/metrics`, null, { method: 'GET' });
    const text = reply.body.toString();
    return (
      gauge(text, 'proxy_calls_in_flight') === 0 &&
      gauge(text, 'proxy_drains') === 0 &&
      sandbox.bill().in_flight === 0
    );
  };
  const settled = async (): Promise<UsageEvent[]> => {
    await until(async () => (await quiet()) || undefined);
    return readEvents(localLog);
  };
  return { url, sandbox, localLog, opened: () => seen.size, settled };
};

/** When a client drops: while it sends, right behind its request, behind so many bytes of the answer, or never. */
export type Drop = { when: 'half_sent' | 'unanswered' } | { when: 'bytes'; bytes: number } | null;

/** One call over a socket of its own; resolves with the bytes received when the client has gone or the answer has ended. */
export const callAndDrop = (
  house: { url: string },
  flavour: StreamingFlavour,
  about: { prompt: string; stream: boolean; drop: Drop },
): Promise<number> =>
  new Promise((resolve, reject) => {
    const { drop } = about;
    const { hostname, port } = new URL(house.url);
    const body = JSON.stringify(flavour.body(about.prompt, about.stream));
    const head = `POST ${flavour.path(about.stream)} HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
    const socket = connect(Number.parseInt(port, 10), hostname);
    let received = 0;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.on('close', () => resolve(received));
    socket.on('connect', () => {
      if (drop?.when === 'half_sent') {
        socket.write(head + body.slice(0, body.length / 2), () => socket.destroy());
      } else if (drop?.when === 'unanswered') {
        socket.write(head + body, () => socket.destroy());
      } else socket.write(head + body);
    });
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (drop?.when === 'bytes' && received >= drop.bytes) socket.destroy();
    });
  });

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Heap in use after a collection, in bytes. */
export const heapInUse = (): number => {
  collect();
  return process.memoryUsage().heapUsed;
};
