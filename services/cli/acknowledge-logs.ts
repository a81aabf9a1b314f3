import { TOPICS } from '../../schemas/topics.ts';
import { ARCHIVE_GROUP } from '../ledger/main.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { Acknowledging } from '../platform/log-acknowledgement.ts';
import type { Logger } from '../platform/logger.ts';
import type { RunningService } from '../platform/running-service.ts';
import { RATER_GROUP } from '../rater/main.ts';

/** Everybody who reads usage events under a name. An event is let go when the archive has it and none of them needs it any more. */
const READERS = [ARCHIVE_GROUP, RATER_GROUP];
const INTERVAL_MS = 1_000;
const TOPIC = TOPICS.usageEvents.name;

/** How far all groups have come; a partition somebody has not committed counts as not begun. */
const takenOver = async (log: EventLog): Promise<ReadonlyMap<number, number>> => {
  const [first, ...others] = await Promise.all(READERS.map((group) => log.committed(group, TOPIC)));
  const offsets = [...(first ?? [])].map(([partition, offset]): [number, number] => [
    partition,
    others.reduce((least, group) => Math.min(least, group.get(partition) ?? 0), offset),
  ]);
  return new Map(offsets);
};

/**
 * Tells each proxy, once a second and again and again, how much of its log is archived: the offsets lie in the back office's own
 * environment, which the proxy does not open, and only the proxy may trim its log.
 */
export const startAcknowledging = (
  logs: readonly (EventLog & Acknowledging)[],
  logger: Logger,
): RunningService => {
  let running: Promise<void> = Promise.resolve();
  const tell = async (): Promise<void> => {
    for (const log of logs) {
      try {
        log.acknowledge(TOPIC, await takenOver(log));
      } catch (error) {
        logger.warn({ log: log.name, error: (error as Error).name }, 'a log was not acknowledged');
      }
    }
  };
  const timer = setInterval(() => {
    running = running.then(tell);
  }, INTERVAL_MS);
  return {
    name: 'acknowledgements',
    ended: new Promise(() => undefined),
    close: async () => {
      clearInterval(timer);
      await running;
    },
  };
};
