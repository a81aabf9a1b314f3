import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import type { ControlRecord } from '../../../schemas/control-record.ts';
import { VirtualKeySchema } from '../../../schemas/control-record.ts';
import { decodeEnvelope, encodeEnvelope } from '../../../schemas/envelope.ts';
import { ProcessConfigSchema } from '../../../schemas/house-config.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { systemClock, toInstant } from '../../platform/clock.ts';
import { followControlState } from '../../platform/control-state.ts';
import type { EventLog } from '../../platform/event-log.ts';
import { randomText } from '../../platform/id-source.ts';
import { openLmdbEventLog } from '../../platform/lmdb-event-log.ts';
import { TAKEN_OVER } from '../../platform/log-acknowledgement.ts';
import { createLogger } from '../../platform/logger.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { createVirtualKey, hashSecret } from '../../platform/virtual-key.ts';
import { startProxy } from '../../proxy/main.ts';
import { upstreamOf } from './record.ts';

/** The real proxy on a log of its own in a temporary directory. */
export interface ReplayProxy {
  url: string;
  /** Virtual key that calls present. */
  key: string;
  /** Events written so far, by the id of the client's request. */
  events(): Promise<Map<string, UsageEvent>>;
  close(): Promise<void>;
}

const TENANT = 'recordings';
const READ_MAX = 1_000;

const putRecords = async (
  log: EventLog,
  records: readonly Pick<ControlRecord, 'kind' | 'body'>[],
): Promise<void> => {
  const time = toInstant(systemClock.nowMs());
  const entries = records.map(({ kind, body }) => {
    const id = `${kind}/${body.id}`;
    const outer = { id, source: '/cli/recordings', subject: 'house', time };
    const record = { kind, id: body.id, deleted: false, body } as ControlRecord;
    return {
      topic: TOPICS.controlRecords.name,
      key: id,
      value: encodeEnvelope('controlRecord', outer, record),
    };
  });
  await log.append(entries).stored;
};

const readEvents = async (log: EventLog): Promise<Map<string, UsageEvent>> => {
  const topic = TOPICS.usageEvents.name;
  const events = new Map<string, UsageEvent>();
  for (const { partition, start, end } of await log.ranges(topic)) {
    for (let offset = start; offset < end; ) {
      const entries = await log.read({ topic, partition, offset }, READ_MAX);
      if (entries.length === 0) break;
      for (const { value } of entries) {
        const decoded = decodeEnvelope('usageEvent', value ?? new Uint8Array());
        if (!decoded.ok)
          throw new Error(`the proxy wrote an event that cannot be read: ${decoded.detail}`);
        events.set(decoded.value.data.request_id, decoded.value.data);
      }
      offset = (entries.at(-1)?.offset ?? offset) + 1;
    }
  }
  return events;
};

/** What is replayed is usage: nothing is priced. */
const NO_BOOKS = createPriceBooks([]);

/** Starts a proxy whose upstreams stand for the recorded hosts and all lead to the replay upstream. */
export const startReplayProxy = async (
  hosts: readonly string[],
  upstreamUrl: string,
): Promise<ReplayProxy> => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-recordings-'));
  const pepper = randomText(32);
  const key = createVirtualKey();
  const log = await openLmdbEventLog({ directory: join(directory, 'log'), name: 'proxy-1' });
  await putRecords(log, [
    {
      kind: 'key',
      body: VirtualKeySchema.parse({
        id: 'recordings-key',
        tenant: TENANT,
        public_id: key.publicId,
        secret_hash: hashSecret(key.secret, pepper),
      }),
    },
    ...hosts.map((host) => ({ kind: 'upstream' as const, body: upstreamOf(host, upstreamUrl) })),
  ]);
  const control = followControlState([log], log, systemClock);
  const proxy = await startProxy({
    config: ProcessConfigSchema.parse({ proxy: { port: 0 } }).proxy,
    localLog: log,
    room: () => log.room(),
    takenOverBy: TAKEN_OVER,
    control,
    signals: [log],
    books: () => NO_BOOKS,
    pepper,
    resolveSecret: () => '',
    clock: systemClock,
    logger: createLogger('proxy', 'fatal'),
    metrics: createMetrics('proxy'),
  });
  await proxy.ready;
  return {
    url: proxy.url,
    key: key.text,
    events: () => readEvents(log),
    close: async () => {
      await proxy.close();
      await control.close();
      await log.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
