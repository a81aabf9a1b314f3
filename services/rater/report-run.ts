import { createHash } from 'node:crypto';
import { addAmounts, canonicalAmount, negateAmount } from '../../pricing/money.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type {
  LogExtent,
  ReportLedger,
  ReportRecipe,
  ReportRequest,
  ReportStep,
} from '../../schemas/report.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { PublishedPrices } from './core/report-books.ts';
import { pinPrices, pricesUsed } from './core/report-books.ts';
import type { ReportFold } from './core/report-fold.ts';
import { foldReport } from './core/report-fold.ts';
import { createLogTally, logProblems } from './core/report-logs.ts';
import type { ArchiveSlice } from './report-pages.ts';
import {
  archivedExtents,
  arrivedAfter,
  ledgerOf,
  providersIn,
  readArchive,
} from './report-pages.ts';

export interface ReportDeps {
  warehouse: Warehouse;
  /** How far each log is in the archive: below these offsets nothing is still to come. */
  extents: () => Promise<readonly LogExtent[]>;
  /** Every published version there is now. */
  prices: () => PublishedPrices;
  logger: Logger;
  /** Events held in memory at a time. */
  pageEvents?: number;
}

export interface Reporter {
  /** Makes a report, or makes one again by its recipe. Ending the iteration early ends the run. */
  run(request: ReportRequest | ReportRecipe): AsyncGenerator<ReportStep, void, undefined>;
}

/** A page holds whole events with their bytes: about 10 MB. */
const PAGE_EVENTS = 2_000;
/** A report is made to be read; more groups than this are an export. */
const GROUPS_MAX = 100_000;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const placeOf = ({ log, partition }: LogExtent): string => `${log}/${partition}`;

const inOrder = (left: LogExtent, right: LogExtent): number =>
  left.log === right.log ? left.partition - right.partition : left.log < right.log ? -1 : 1;

/** Where the events of a new report come from. A log that nobody reads any more is in the archive as far as it goes. */
const extentsOf = async (deps: ReportDeps, request: ReportRequest): Promise<LogExtent[]> => {
  const known = new Map((request.up_to ?? []).map((extent) => [placeOf(extent), extent]));
  if (request.up_to === undefined) {
    // Committed first: what is committed is in the archive, not the other way round.
    const committed = await deps.extents();
    for (const extent of await archivedExtents(deps.warehouse)) known.set(placeOf(extent), extent);
    for (const extent of committed) known.set(placeOf(extent), extent);
  }
  if (request.arrived_by !== undefined) {
    for (const late of await arrivedAfter(deps.warehouse, request.arrived_by)) {
      const extent = known.get(placeOf(late));
      if (extent)
        known.set(placeOf(late), { ...extent, up_to: Math.min(extent.up_to, late.up_to) });
    }
  }
  return [...known.values()].filter(({ up_to }) => up_to > 0).sort(inOrder);
};

const newestKnownFrom = ({ books, contracts }: PublishedPrices): string =>
  [...books, ...contracts]
    .map(({ known_from }) => known_from)
    .sort()
    .at(-1) ?? '1970-01-01T00:00:00.000Z';

/** The recipe of a new report, but for what only reading its events tells. */
const planReport = async (deps: ReportDeps, request: ReportRequest): Promise<ReportRecipe> => {
  const prices = deps.prices();
  const extents = await extentsOf(deps, request);
  const knownAt = request.known_at ?? newestKnownFrom(prices);
  const providers = await providersIn(deps.warehouse, { slice: request.slice, extents });
  return {
    reckoner_report: 1,
    slice: request.slice,
    by: request.by,
    known_at: knownAt,
    ...pricesUsed(prices, { providers, knownAt }, sha256),
    logs: extents.map(({ log, partition, up_to }) => ({
      ...{ log, partition, up_to },
      ...{ events: 0, superseded: 0, content: '' },
    })),
  };
};

const refuse = (problems: readonly string[]): never => {
  const named = problems.slice(0, 20).join('; ');
  const rest = problems.length > 20 ? `; and ${problems.length - 20} more` : '';
  throw new ReckonerError(
    'NOT_FOUND',
    `The report cannot be made again, since what it was made of is not all there: ${named}${rest}. Put it back, or make a new report.`,
  );
};

const checkGroups = (fold: ReportFold): void => {
  if (fold.groups <= GROUPS_MAX) return;
  throw new ReckonerError(
    'REQUEST_INVALID',
    `The report would have more than ${GROUPS_MAX} rows. Group by fewer things, or narrow the slice.`,
  );
};

const ledgerStep = async (
  deps: ReportDeps,
  from: ArchiveSlice,
  amountUsd: string,
): Promise<ReportLedger> => {
  const { usd, missing } = await ledgerOf(deps.warehouse, from);
  const ledgerUsd = canonicalAmount(usd);
  return {
    ledger_usd: ledgerUsd,
    difference_usd: addAmounts([amountUsd, negateAmount(ledgerUsd)]),
    not_in_ledger: missing,
  };
};

const runReport = async function* (
  deps: ReportDeps,
  request: ReportRequest | ReportRecipe,
): AsyncGenerator<ReportStep, void, undefined> {
  const isAgain = 'reckoner_report' in request;
  const plan = isAgain ? request : await planReport(deps, request);
  const pinned = pinPrices(deps.prices(), plan, sha256);
  if (pinned.problems.length > 0) refuse(pinned.problems);
  const books = createPriceBooks(pinned.prices.books, pinned.prices.contracts);
  const from: ArchiveSlice = { slice: plan.slice, extents: plan.logs };
  const fold = foldReport(plan.by, books, plan.known_at);
  const tally = createLogTally(plan.logs);
  const { events, pages } = await readArchive(deps.warehouse, from, deps.pageEvents ?? PAGE_EVENTS);
  let read = 0;
  yield { step: 'progress', events: 0, of: events };
  for await (const page of pages) {
    for (const { event, ...place } of page) {
      tally.add(place, event !== null);
      if (event !== null) fold.add(event);
    }
    checkGroups(fold);
    read += page.length;
    yield { step: 'progress', events: read, of: Math.max(events, read) };
  }
  const logs = tally.logs();
  const problems = isAgain ? logProblems(plan.logs, logs) : [];
  if (problems.length > 0) refuse(problems);
  yield { step: 'recipe', recipe: { ...plan, logs } };
  for (const row of fold.rows()) yield { step: 'row', row };
  const superseded = logs.reduce((sum, log) => sum + log.superseded, 0);
  const totals = { groups: fold.groups, superseded, ...fold.totals() };
  yield { step: 'totals', totals };
  yield { step: 'ledger', ledger: await ledgerStep(deps, from, totals.amount_usd) };
  deps.logger.info({ ...plan.slice, by: plan.by, events: read, again: isAgain }, 'report made');
};

/**
 * Reports over the archive, independent of the ledger: events no further than the recipe's offsets, rated by the recipe's books. A new
 * report goes the same way as one made again: first its recipe, then the report by it. One run at a time.
 */
export const createReporter = (deps: ReportDeps): Reporter => {
  let busy = false;
  return {
    run: async function* (request) {
      if (busy) {
        throw new ReckonerError(
          'REQUEST_INVALID',
          'A report is being made already, and only one may at a time. Wait until it has ended.',
          { retryable: true },
        );
      }
      busy = true;
      try {
        yield* runReport(deps, request);
      } finally {
        busy = false;
      }
    },
  };
};
