import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessConfig } from '../../schemas/house-config.ts';
import type { EventLog, OffsetStore } from '../platform/event-log.ts';
import { openKafkaEventLog } from '../platform/kafka-event-log.ts';
import { openLmdbEventLog, openLmdbEventLogReader } from '../platform/lmdb-event-log.ts';
import type { Acknowledging } from '../platform/log-acknowledgement.ts';
import { wasAnnounced } from '../platform/log-directory-lock.ts';
import type { LogOnDisk } from '../platform/log-room.ts';
import type { Logger } from '../platform/logger.ts';

/** The logs one process works with, by what it uses them for. With LMDB they are several, in a cluster one Kafka. */
export interface OpenLogs {
  /** This process's own environment on local disk. */
  readonly local: EventLog & OffsetStore & LogOnDisk;
  /** Where the house's shared records are: rated usage, signals, control records. */
  readonly house: EventLog;
  /** Where usage events are read from. */
  readonly usageEvents: readonly EventLog[];
  /** Logs of other processes whose writers want to know what need not be kept; none in a cluster. */
  readonly acknowledged: readonly (EventLog & Acknowledging)[];
  close(): Promise<void>;
}

export interface OpenLogsOptions {
  config: ProcessConfig;
  dataDir: string;
  logger: Logger;
}

const logDirectory = (dataDir: string, name: string): string => join(dataDir, 'log', name);

const closeAll = async (logs: readonly EventLog[]): Promise<void> => {
  for (const log of logs) await log.close();
};

const openKafka = (
  { config, logger }: OpenLogsOptions,
  clientId: string,
): Promise<EventLog> | null =>
  config.event_log.kind === 'kafka'
    ? openKafkaEventLog({
        name: 'kafka',
        brokers: config.event_log.brokers,
        prefix: config.event_log.prefix,
        clientId,
        logger,
      })
    : null;

const BACK_OFFICE = 'back-office';

/**
 * The proxies whose logs are read: those configured, else the one of this configuration, and every other that has written below
 * this data directory. What a proxy wrote under another id must not be lost because the id was changed.
 */
const proxyIdsOf = ({ config, dataDir }: OpenLogsOptions): readonly string[] => {
  const ids = new Set(config.back_office.proxies ?? [config.proxy.id]);
  for (const id of readdirSync(join(dataDir, 'log'))) {
    if (id !== BACK_OFFICE && wasAnnounced(logDirectory(dataDir, id))) ids.add(id);
  }
  return [...ids].sort();
};

/** Opens the back office's own log and, embedded, every proxy's for reading. */
export const openBackOfficeLogs = async (options: OpenLogsOptions): Promise<OpenLogs> => {
  const name = BACK_OFFICE;
  const local = await openLmdbEventLog({ directory: logDirectory(options.dataDir, name), name });
  const kafka = await openKafka(options, name);
  if (kafka) {
    return {
      local,
      house: kafka,
      usageEvents: [kafka],
      acknowledged: [],
      close: () => closeAll([kafka, local]),
    };
  }
  const readers: (EventLog & Acknowledging)[] = [];
  for (const proxyId of proxyIdsOf(options)) {
    readers.push(
      await openLmdbEventLogReader({
        directory: logDirectory(options.dataDir, proxyId),
        name: proxyId,
        offsets: local,
      }),
    );
  }
  return {
    local,
    house: local,
    usageEvents: readers,
    acknowledged: readers,
    close: () => closeAll([...readers, local]),
  };
};

/** Opens a proxy's own log and the house's for reading. */
export const openProxyLogs = async (options: OpenLogsOptions): Promise<OpenLogs> => {
  const name = options.config.proxy.id;
  const local = await openLmdbEventLog({ directory: logDirectory(options.dataDir, name), name });
  const kafka = await openKafka(options, name);
  const house =
    kafka ??
    (await openLmdbEventLogReader({
      directory: logDirectory(options.dataDir, BACK_OFFICE),
      name: BACK_OFFICE,
      offsets: local,
    }));
  return {
    local,
    house,
    usageEvents: [local],
    acknowledged: [],
    close: () => closeAll([house, local]),
  };
};
