import { TOPICS } from '../../schemas/topics.ts';
import { ARCHIVE_GROUP } from '../ledger/main.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { PublishedPrices } from '../rater/core/report-books.ts';
import type { Reporter } from '../rater/report-run.ts';
import { createReporter } from '../rater/report-run.ts';

/** The reporter of a running back office. */
export const createHouseReporter = (parts: {
  warehouse: Warehouse;
  usageEvents: readonly EventLog[];
  prices: () => PublishedPrices;
  logger: Logger;
  /** Events held in memory at a time. */
  pageEvents?: number;
}): Reporter => {
  const { usageEvents, ...rest } = parts;
  const topic = TOPICS.usageEvents.name;
  return createReporter({
    ...rest,
    extents: async () => {
      const perLog = usageEvents.map(async (log) =>
        [...(await log.committed(ARCHIVE_GROUP, topic))].map(([partition, offset]) => ({
          ...{ log: log.name, partition },
          up_to: offset,
        })),
      );
      return (await Promise.all(perLog)).flat();
    },
  });
};
