import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { Budget, BudgetSignal } from '../../schemas/budget.ts';
import type { ControlRecord } from '../../schemas/control-record.ts';
import { UpstreamSchema, VirtualKeySchema } from '../../schemas/control-record.ts';
import { decodeEnvelope, encodeEnvelope } from '../../schemas/envelope.ts';
import { ProcessConfigSchema } from '../../schemas/house-config.ts';
import type { TopicName } from '../../schemas/topics.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { followControlState } from '../../services/platform/control-state.ts';
import type { EventLog, StoredEntry } from '../../services/platform/event-log.ts';
import { TAKEN_OVER } from '../../services/platform/log-acknowledgement.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { hashSecret } from '../../services/platform/virtual-key.ts';
import type { ProxyDeps } from '../../services/proxy/main.ts';
import { startProxy } from '../../services/proxy/main.ts';

export const PEPPER = 'pepper-of-the-test';
export const KEY = `rk_${'a'.repeat(12)}_${'s'.repeat(32)}`;

/** Waits until the condition gives something; fails with the test's own timeout. */
export const until = async <T>(read: () => Promise<T | undefined> | T | undefined): Promise<T> => {
  for (;;) {
    const value = await read();
    if (value !== undefined && value !== false) return value;
    await new Promise((wake) => setTimeout(wake, 5));
  }
};

/** A provider of the test's own making, byte for byte. */
export const startUpstream = async (
  answer: (req: IncomingMessage, res: ServerResponse, body: string) => void,
) => {
  const seen: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[] =
    [];
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      seen.push({ method: req.method ?? '', url: req.url ?? '', headers: req.headers, body });
      answer(req, res, body);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, server };
};

/** Every entry of a topic, in no order across partitions. */
export const readAll = async (log: EventLog, topic: TopicName): Promise<StoredEntry[]> => {
  const found: StoredEntry[] = [];
  for (const { partition, start } of await log.ranges(topic)) {
    found.push(...(await log.read({ topic, partition, offset: start }, 100_000)));
  }
  return found;
};

/** The usage events of a log, in their sequence. */
export const readEvents = async (log: EventLog): Promise<UsageEvent[]> => {
  const entries = await readAll(log, TOPICS.usageEvents.name);
  const events = entries.map(({ value }) => {
    const decoded = decodeEnvelope('usageEvent', value ?? new Uint8Array());
    if (!decoded.ok) throw new Error(decoded.detail);
    return decoded.value.data;
  });
  return events.sort((a, b) => a.sequence - b.sequence);
};

/** Waits until a log has so many usage events; fails when there are more. */
export const untilEvents = async (log: EventLog, count: number): Promise<UsageEvent[]> => {
  const events = await until(async () => {
    const found = await readEvents(log);
    return found.length >= count ? found : undefined;
  });
  expect(events).toHaveLength(count);
  return events;
};

export const putRecord = async (
  log: EventLog,
  record: Pick<ControlRecord, 'kind' | 'body'>,
): Promise<void> => {
  const id = record.body.id;
  await log.append([
    {
      topic: TOPICS.controlRecords.name,
      key: `${record.kind}/${id}`,
      value: encodeEnvelope(
        'controlRecord',
        {
          id: `${record.kind}/${id}`,
          source: '/test',
          subject: 'house',
          time: '2026-11-21T00:00:00.000Z',
        },
        { ...record, id, deleted: false } as ControlRecord,
      ),
    },
  ]).stored;
};

export const putSignal = async (log: EventLog, signal: Partial<BudgetSignal>): Promise<void> => {
  const full: BudgetSignal = {
    scope: 'budget/acme-month',
    budget_id: 'acme-month',
    tenant: 'acme',
    version: 1,
    state: 'clear',
    limit_usd: '10',
    spent_usd: '1',
    issued_at: '2026-11-21T00:00:00.000Z',
    ...signal,
  };
  await log.append([
    {
      topic: TOPICS.budgetSignals.name,
      key: full.scope,
      value: encodeEnvelope(
        'budgetSignal',
        {
          id: `${full.scope}/${full.version}`,
          source: '/test',
          subject: 'acme',
          time: full.issued_at,
        },
        full,
      ),
    },
  ]).stored;
};

export const putKey = (log: EventLog, key: Record<string, unknown> = {}): Promise<void> =>
  putRecord(log, {
    kind: 'key',
    body: VirtualKeySchema.parse({
      id: 'acme-key',
      tenant: 'acme',
      public_id: 'a'.repeat(12),
      secret_hash: hashSecret('s'.repeat(32), PEPPER),
      feature: 'chat',
      ...key,
    }),
  });

export const putUpstream = (log: EventLog, upstream: Record<string, unknown>): Promise<void> =>
  putRecord(log, {
    kind: 'upstream',
    body: UpstreamSchema.parse({
      id: 'openai',
      provider: 'openai',
      dialect: 'openai',
      allow_private: true,
      credential: { env: 'UPSTREAM_KEY' },
      models: ['gpt-*'],
      ...upstream,
    }),
  });

export const putBudget = (log: EventLog, budget: Partial<Budget> = {}): Promise<void> =>
  putRecord(log, {
    kind: 'budget',
    body: {
      id: 'acme-month',
      tenant: 'acme',
      limit_usd: '10',
      window: 'month',
      warn_at_percent: 80,
      ...budget,
    },
  });

const NO_BOOKS = createPriceBooks([]);

/** A proxy over memory logs: `office` stands for the back office's log. */
export const startTestProxy = async (
  over: Partial<ProxyDeps> & { office: EventLog; proxyConfig?: object },
) => {
  const localLog = over.localLog ?? createMemoryEventLog('proxy-1');
  const metrics = createMetrics('proxy');
  const control = followControlState([over.office], localLog, systemClock);
  const proxy = await startProxy({
    config: ProcessConfigSchema.parse({ proxy: { port: 0, ...over.proxyConfig } }).proxy,
    localLog,
    room: async () => ({ bytesKept: 0, bytesFree: Number.MAX_SAFE_INTEGER }),
    takenOverBy: TAKEN_OVER,
    control,
    signals: [over.office],
    books: () => NO_BOOKS,
    pepper: PEPPER,
    resolveSecret: () => 'upstream-secret',
    clock: systemClock,
    logger: createLogger('proxy', 'silent'),
    metrics,
    stopTimeoutMs: 2_000,
    ...over,
  });
  onTestFinished(async () => {
    await proxy.close();
    await control.close();
  });
  await proxy.ready;
  return { proxy, localLog, metrics, url: proxy.url };
};

export interface RawReply {
  status: number;
  headers: IncomingMessage['headers'];
  body: Buffer;
  /** The connection broke before the body ended. */
  cut: boolean;
}

/** One call with nothing between the test and the bytes. */
export const call = (
  url: string,
  body: string | Buffer | null,
  options: {
    headers?: Record<string, string>;
    method?: string;
    onSocket?: (s: Socket) => void;
  } = {},
): Promise<RawReply> =>
  new Promise((resolve, reject) => {
    const req = request(
      url,
      {
        method: options.method ?? 'POST',
        agent: false,
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${KEY}`,
          ...options.headers,
        },
      },
      (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk: Buffer) => chunks.push(chunk));
        const done = (cut: boolean) => () =>
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers,
            body: Buffer.concat(chunks),
            cut,
          });
        res.on('end', done(false));
        res.on('error', done(true));
      },
    );
    req.on('error', reject);
    if (options.onSocket) req.on('socket', options.onSocket);
    req.end(body);
  });
