import { TOPICS } from '../../schemas/topics.ts';
import type { RunningLedger } from '../ledger/main.ts';
import { LEDGER_GROUP } from '../ledger/main.ts';
import type { ControlStateFollower } from '../platform/control-state.ts';
import { closedPeriodsOf } from '../platform/control-state.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { FollowedPriceBooks } from '../platform/follow-price-books.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { PriceFolders } from '../platform/price-book-files.ts';
import { loadHousePrices } from '../platform/price-books.ts';
import { untilCommitted } from '../platform/until-committed.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { RunningRater } from '../rater/main.ts';
import type { Rerater } from '../rater/rerate-run.ts';
import { createRerater } from '../rater/rerate-run.ts';

const LEDGER_TIMEOUT_MS = 60_000;

/** The rerater of a running back office. */
export const createHouseRerater = (parts: {
  warehouse: Warehouse;
  house: EventLog;
  prices: FollowedPriceBooks;
  priceFolders: PriceFolders;
  control: ControlStateFollower;
  rater: RunningRater;
  ledger: RunningLedger;
  logger: Logger;
  metrics: Metrics;
}): Rerater => {
  const { warehouse, house, prices, priceFolders, control, rater, ledger, logger, metrics } = parts;
  const reader = { group: LEDGER_GROUP, topic: TOPICS.usageRated.name };
  return createRerater({
    warehouse,
    backOffice: house,
    books: prices.current,
    loadBooks: (directory) => loadHousePrices(priceFolders, directory).books,
    closedPeriods: () => closedPeriodsOf(control.state),
    runAlone: (work) => rater.runAlone(work),
    untilInLedger: () => untilCommitted(house, reader, LEDGER_TIMEOUT_MS),
    untilRolledUp: () => ledger.flushRollups(),
    logger,
    metrics,
  });
};
