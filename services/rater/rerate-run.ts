import { addAmounts } from '../../pricing/money.ts';
import type { PriceBooks } from '../../pricing/price-books.ts';
import type { Instant, Period } from '../../schemas/instant.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { postingPeriods } from './core/posting-period.ts';
import type { RatedEvent, RerateDifference } from './core/rerate.ts';
import { addDifferences, rerate } from './core/rerate.ts';
import { restoredCharge } from './core/supersede.ts';
import type { EventPage, PagePlace, RerateSlice } from './rerate-pages.ts';
import { PAGE_EVENTS, planPages } from './rerate-pages.ts';
import { ratedEntry } from './supersessions.ts';

export interface RerateRequest {
  slice: RerateSlice;
  /** Folder of other books, on this machine; the books that new usage is rated by when left out. */
  books?: string | undefined;
  /** Prices as known at this instant; when the newest of the books was published when left out. */
  knownAt?: Instant | undefined;
  /** Appends what was found; without it a dry run. */
  apply: boolean;
}

/** What is posted where: several rows only where a period of the slice is closed. */
export interface ReratePosting {
  period: Period;
  posting_period: Period;
  entries: number;
  amount_usd: string;
}

/** What a run found, and appended unless it was a dry run. Money as decimal strings in USD; exact. */
export interface RerateReport {
  dry_run: boolean;
  known_at: Instant;
  events_read: number;
  /** Priced otherwise than before, by cause and tenant in `differences`. */
  changed: number;
  unchanged: number;
  /** Of the changed: had no price and have one now, and the reverse. */
  newly_rated: number;
  newly_unrated: number;
  /** Have no price still. */
  still_unrated: number;
  /** Left out: a later fact has taken their place. */
  superseded: number;
  /** Left out: the rater has not come to them yet. */
  not_rated_yet: number;
  /** Reversals and charges. */
  entries: number;
  differences: RerateDifference[];
  difference_usd: string;
  postings: ReratePosting[];
}

export type RerateStep =
  | { step: 'progress'; events: number; of: number }
  | { step: 'report'; report: RerateReport };

export interface RerateDeps {
  warehouse: Warehouse;
  /** Takes the entries. */
  backOffice: EventLog;
  /** By which new usage is rated; asked once a run. */
  books: () => PriceBooks;
  loadBooks: (directory: string) => PriceBooks;
  closedPeriods: () => ReadonlySet<Period>;
  /** Keeps facts that supersede others waiting meanwhile. */
  runAlone: <T>(work: () => Promise<T>) => Promise<T>;
  /** Resolves when the ledger has all that has been appended before. */
  untilInLedger: () => Promise<void>;
  /** Resolves when the rollups have what the ledger has. */
  untilRolledUp: () => Promise<void>;
  /** Events held in memory at a time. */
  pageEvents?: number;
  logger: Logger;
  metrics: Metrics;
}

export interface Rerater {
  /** Rates a slice again, a page at a time. Ending the iteration early ends the run after the page in hand; the next goes on. */
  run(request: RerateRequest): AsyncGenerator<RerateStep, void, undefined>;
}

/** What one run adds up. Bounded by tenants, causes and months. */
class Tally {
  #differences: RerateDifference[] = [];
  readonly #postings = new Map<string, ReratePosting>();
  read = 0;
  superseded = 0;
  notRatedYet = 0;
  unchanged = 0;
  stillUnrated = 0;
  entries = 0;

  add(differences: readonly RerateDifference[], entries: readonly RatedUsage[]): void {
    this.#differences = addDifferences([...this.#differences, ...differences]);
    this.entries += entries.length;
    for (const { period, posting_period, total_usd } of entries) {
      const key = `${period} ${posting_period}`;
      const sum = this.#postings.get(key) ?? {
        period,
        posting_period,
        entries: 0,
        amount_usd: '0',
      };
      const amount_usd = addAmounts([sum.amount_usd, total_usd ?? '0']);
      this.#postings.set(key, { ...sum, entries: sum.entries + 1, amount_usd });
    }
  }

  report(dryRun: boolean, knownAt: Instant): RerateReport {
    const differences = this.#differences;
    const count = (cause?: string): number =>
      differences
        .filter((row) => cause === undefined || row.cause === cause)
        .reduce((sum, row) => sum + row.events, 0);
    return {
      dry_run: dryRun,
      known_at: knownAt,
      events_read: this.read,
      changed: count(),
      unchanged: this.unchanged,
      newly_rated: count('newly_rated'),
      newly_unrated: count('newly_unrated'),
      still_unrated: this.stillUnrated,
      superseded: this.superseded,
      not_rated_yet: this.notRatedYet,
      entries: this.entries,
      differences,
      difference_usd: addAmounts(differences.map((row) => row.difference_usd)),
      postings: [...this.#postings.keys()].sort().flatMap((key) => this.#postings.get(key) ?? []),
    };
  }
}

/** The events with their newest charge. What the rater has not rated yet it will rate itself. */
const ratedOf = (page: EventPage): RatedEvent[] =>
  page.events.flatMap(({ event, entries }) => {
    const newest = entries
      .filter(({ kind }) => kind === 'charge')
      .sort((left, right) => right.revision - left.revision)[0];
    return newest ? [{ event, entries: [restoredCharge(newest, event)] }] : [];
  });

interface Run {
  deps: RerateDeps;
  books: PriceBooks;
  knownAt: Instant;
  apply: boolean;
  tally: Tally;
}

const ratePage = async (run: Run, place: PagePlace): Promise<PagePlace | null> => {
  const { deps, tally } = run;
  if (run.apply) await deps.untilInLedger();
  const { page, next } = await place.read(deps.warehouse);
  const rated = ratedOf(page);
  const { entries, differences, unchanged } = rerate(rated, run.books, {
    knownAt: run.knownAt,
    postingPeriodOf: postingPeriods(deps.closedPeriods()),
  });
  if (run.apply && entries.length > 0) {
    const appended = deps.backOffice.append(entries.map(ratedEntry));
    await appended.stored;
    await appended.durable;
    await deps.untilInLedger();
  }
  tally.read += page.read;
  tally.superseded += page.superseded;
  tally.notRatedYet += page.events.length - rated.length;
  tally.unchanged += unchanged;
  const wasUnrated = rated.filter(({ entries: [old] }) => old?.outcome === 'unrated').length;
  const nowRated = differences
    .filter(({ cause }) => cause === 'newly_rated')
    .reduce((sum, row) => sum + row.events, 0);
  tally.stillUnrated += wasUnrated - nowRated;
  tally.add(differences, entries);
  return next;
};

const runPages = async function* (
  deps: RerateDeps,
  request: RerateRequest,
): AsyncGenerator<RerateStep, void, undefined> {
  const books = request.books === undefined ? deps.books() : deps.loadBooks(request.books);
  const knownAt = request.knownAt ?? books.newestKnownFrom;
  const run: Run = { deps, books, knownAt, apply: request.apply, tally: new Tally() };
  await deps.untilInLedger();
  const { places, events } = await planPages(deps.warehouse, {
    slice: request.slice,
    pageEvents: deps.pageEvents ?? PAGE_EVENTS,
  });
  const { tally } = run;
  yield { step: 'progress', events: 0, of: events };
  for (const first of places) {
    for (let place: PagePlace | null = first; place !== null; ) {
      const here: PagePlace = place;
      place = await (run.apply ? deps.runAlone(() => ratePage(run, here)) : ratePage(run, here));
      yield { step: 'progress', events: tally.read, of: Math.max(events, tally.read) };
    }
  }
  if (run.apply) await deps.untilRolledUp();
  const report = tally.report(!run.apply, knownAt);
  deps.logger.info(
    { ...request.slice, ...report, differences: undefined, postings: undefined },
    'usage was rated again',
  );
  yield { step: 'report', report };
};

/**
 * Rates archived usage again and appends reversals and charges, each page at once: killed at any moment, a repeat goes on with what
 * is missing. One run at a time.
 */
export const createRerater = (deps: RerateDeps): Rerater => {
  let busy = false;
  const appended = deps.metrics.counter(
    'rater_rerated_entries_total',
    'Reversals and charges that were appended because usage was rated again.',
  );
  return {
    run: async function* (request) {
      if (busy) {
        throw new ReckonerError(
          'REQUEST_INVALID',
          'Usage is being rated again already, and only one run may at a time. Wait until it has ended.',
          { retryable: true },
        );
      }
      busy = true;
      try {
        for await (const step of runPages(deps, request)) {
          if (step.step === 'report' && request.apply) appended.inc({}, step.report.entries);
          yield step;
        }
      } finally {
        busy = false;
      }
    },
  };
};
