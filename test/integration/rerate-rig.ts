import type { PriceBooks } from '../../pricing/price-books.ts';
import type { Period } from '../../schemas/instant.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { untilCommitted } from '../../services/platform/until-committed.ts';
import type { Warehouse } from '../../services/platform/warehouse.ts';
import type { RerateRequest } from '../../services/rater/rerate-run.ts';
import { createRerater } from '../../services/rater/rerate-run.ts';
import type { RerateReport } from '../../services/rater/rerate-tally.ts';
import { usageEvent } from '../unit/pricing/pricing-fixtures.ts';
import type { TestHouse } from './house-rig.ts';
import { openTestLog, startTestHouse } from './house-rig.ts';
import { usageEntry, uuid } from './ledger-facts.ts';

/** A call of model-a at acme-ai; `number` makes its ids and its sequence. */
export const call = (
  space: number,
  number: number,
  rest: Partial<UsageEvent> & { tenant: string },
): UsageEvent => {
  const { tenant, ...fields } = rest;
  return usageEvent({
    event_id: uuid(space, number),
    attempt_id: uuid(space + 0x100, number),
    request_id: uuid(space + 0x200, number),
    boot_id: uuid(space + 0x300, 1),
    proxy_id: `proxy-${space}`,
    dimensions: { tenant },
    sequence: number,
    ...fields,
  });
};

export interface RerateHouse {
  house: TestHouse;
  office: EventLog;
  proxy: EventLog;
  publish(events: readonly UsageEvent[]): Promise<void>;
  /** Runs to the end and gives the report. */
  rerate(
    request: Partial<RerateRequest> & { books: string },
    options?: RerateOptions,
  ): Promise<RerateReport>;
}

export interface RerateOptions {
  closed?: readonly Period[];
  pageEvents?: number;
  /** The log entries go to, where it is to fail. */
  into?: EventLog;
  /** Called before each wait for the ledger. */
  onWait?: () => void;
}

/** Rater, ledger and budget over logs on disk, rating by `live`; re-rating by the books that `folder` names. */
export const startRerateHouse = async (
  warehouse: Warehouse,
  live: PriceBooks,
  folder: ReadonlyMap<string, PriceBooks>,
): Promise<RerateHouse> => {
  const office = await openTestLog('office');
  const proxy = await openTestLog('proxy');
  const house = await startTestHouse({ warehouse, office, usageEvents: [proxy], books: live });
  const reader = { group: 'ledger', topic: TOPICS.usageRated.name };
  return {
    house,
    office,
    proxy,
    publish: async (events) => {
      await proxy.append(events.map(usageEntry)).stored;
    },
    rerate: async (request, options = {}) => {
      const rerater = createRerater({
        warehouse,
        backOffice: options.into ?? office,
        books: () => live,
        loadBooks: (name) => folder.get(name) ?? live,
        closedPeriods: () => new Set(options.closed),
        runAlone: (work) => house.rater.runAlone(work),
        untilInLedger: async () => {
          options.onWait?.();
          await untilCommitted(office, reader, 20_000);
        },
        untilRolledUp: () => house.ledger.flushRollups(),
        ...(options.pageEvents === undefined ? {} : { pageEvents: options.pageEvents }),
        logger: createLogger('rerate', 'silent'),
        metrics: createMetrics('rerate'),
      });
      let report: RerateReport | undefined;
      for await (const step of rerater.run({ slice: {}, apply: false, ...request })) {
        if (step.step === 'report') report = step.report;
      }
      if (!report) throw new Error('the run ended without a report');
      return report;
    },
  };
};

/** A whole number of 10^-6 USD as the warehouse writes USD. */
export const usd = (micro: bigint): string => {
  const negative = micro < 0n;
  const digits = (negative ? -micro : micro).toString().padStart(7, '0');
  const fraction = digits.slice(-6).replace(/0+$/, '');
  return `${negative ? '-' : ''}${digits.slice(0, -6)}${fraction === '' ? '' : `.${fraction}`}`;
};
