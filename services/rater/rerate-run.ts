import { setImmediate as turn } from 'node:timers/promises';
import type { PriceBooks } from '../../pricing/price-books.ts';
import type { Instant, Period } from '../../schemas/instant.ts';
import type { UsageSlice } from '../../schemas/usage-slice.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { postingPeriods } from './core/posting-period.ts';
import type { LeanEvent, PriceChange } from './core/price-again.ts';
import { priceAgain } from './core/price-again.ts';
import { rerate } from './core/rerate.ts';
import type { LeanPage } from './lean-page.ts';
import { readLeanPage } from './lean-page.ts';
import type { PagePlace } from './rerate-pages.ts';
import { PAGE_EVENTS, planPages } from './rerate-pages.ts';
import type { RerateReport } from './rerate-tally.ts';
import { Tally } from './rerate-tally.ts';
import { readRatedEvents } from './standing-entries.ts';
import { ratedEntry } from './supersessions.ts';

export interface RerateRequest {
  slice: UsageSlice;
  /** Folder of other books, on this machine; the books that new usage is rated by when left out. */
  books?: string | undefined;
  /** Prices as known at this instant; when the newest of the books was published when left out. */
  knownAt?: Instant | undefined;
  /** Appends what was found; without it a dry run. */
  apply: boolean;
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
  /** Rates a slice again, some pages at a time. Ending the iteration early ends the run after those in hand; the next goes on. */
  run(request: RerateRequest): AsyncGenerator<RerateStep, void, undefined>;
}

/** Changed events that are read whole, rated and appended at a time: some 5 MB of entries. */
const CHANGED_AT_ONCE = 2_000;
/** Others wait for an applied run no longer than this and what it has appended by then. */
const WINDOW_MS = 3_000;
/** Entries that the ledger may be behind an applied run. */
const WINDOW_ENTRIES = 50_000;
/** Events priced before anybody else has a turn. */
const PRICED_AT_ONCE = 2_000;

interface Run {
  deps: RerateDeps;
  books: PriceBooks;
  knownAt: Instant;
  request: RerateRequest;
  tally: Tally;
  /** How far it is; whoever waits for `moved` is told of each step. */
  handled: number;
  moved: PromiseWithResolvers<void>;
}

const moveTo = (run: Run, handled: number): void => {
  const { resolve } = run.moved;
  run.handled = handled;
  run.moved = Promise.withResolvers();
  resolve();
};

/** What costs otherwise than what stands. What the rater has not come to yet it will rate itself. */
const findChanges = async (
  { books, knownAt, tally }: Run,
  events: readonly LeanEvent[],
): Promise<{ changed: string[]; changes: PriceChange[] }> => {
  const changed: string[] = [];
  const changes: PriceChange[] = [];
  for (const [index, event] of events.entries()) {
    if (index % PRICED_AT_ONCE === PRICED_AT_ONCE - 1) await turn();
    const { event_id: id, before } = event;
    if (before === undefined) {
      tally.notRatedYet += 1;
      continue;
    }
    const change = priceAgain(event, before, { books, knownAt });
    if (before.outcome === 'unrated' && change?.difference.cause !== 'newly_rated')
      tally.stillUnrated += 1;
    if (change === null) {
      tally.unchanged += 1;
      continue;
    }
    changed.push(id);
    changes.push(change);
  }
  return { changed, changes };
};

/** Reads what changes whole, and appends reversals and charges; those of an event are in one append. */
const applyChanges = async (
  run: Run,
  place: PagePlace,
  changed: readonly string[],
): Promise<void> => {
  const { deps, books, knownAt, tally } = run;
  const postingPeriodOf = postingPeriods(deps.closedPeriods());
  for (let from = 0; from < changed.length; from += CHANGED_AT_ONCE) {
    const ids = changed.slice(from, from + CHANGED_AT_ONCE);
    const rated = await readRatedEvents(deps.warehouse, place, ids);
    const result = rerate(rated, books, { knownAt, postingPeriodOf });
    if (result.entries.length > 0) {
      const appended = deps.backOffice.append(result.entries.map(ratedEntry));
      await appended.stored;
      await appended.durable;
    }
    tally.unchanged += result.unchanged;
    tally.add(result.differences, result.entries);
    moveTo(run, tally.read + from + ids.length);
  }
};

const ratePage = async (run: Run, place: PagePlace, page: LeanPage): Promise<void> => {
  const { deps, request, tally } = run;
  const { changed, changes } = await findChanges(run, page.events);
  if (request.apply) await applyChanges(run, place, changed);
  else tally.addChanges(changes, postingPeriods(deps.closedPeriods()));
  tally.read += page.events.length + page.superseded;
  tally.superseded += page.superseded;
  moveTo(run, tally.read);
};

/** Providers whose books say that what they state is the price. */
const statingIn = (books: PriceBooks): string[] => [
  ...new Set(
    books.books.filter((book) => book.pass_through !== undefined).map(({ provider }) => provider),
  ),
];

/**
 * Some pages, the next being read while one is rated. In an applied run the ledger first has all that anybody appended: what stands is
 * what it says. Nothing that is appended after that is of a page still to come.
 * @returns how many pages are done.
 */
const rateWindow = async (run: Run, places: readonly PagePlace[]): Promise<number> => {
  const { deps, request, tally } = run;
  if (request.apply) await deps.untilInLedger();
  const began = performance.now();
  const entriesBefore = tally.entries;
  const reading = { slice: request.slice, stating: statingIn(run.books) };
  const read = (index: number): { place: PagePlace; page: Promise<LeanPage> } | null => {
    const place = places[index];
    if (!place) return null;
    const page = readLeanPage(deps.warehouse, place, reading);
    page.catch(() => undefined);
    return { place, page };
  };
  let done = 0;
  for (let current = read(0); current !== null; ) {
    const page = await current.page;
    const isOver =
      performance.now() - began > WINDOW_MS || tally.entries - entriesBefore > WINDOW_ENTRIES;
    const next = isOver ? null : read(done + 1);
    await ratePage(run, current.place, page);
    done += 1;
    current = next;
  }
  return done;
};

/** Says how far a window is while it goes on; one that nobody listens to any more is ended all the same. */
const followWindow = async function* (
  run: Run,
  window: Promise<number>,
  planned: number,
): AsyncGenerator<RerateStep, number, undefined> {
  const ended = window.then((pages) => ({ pages }));
  try {
    for (;;) {
      const first = await Promise.race([ended, run.moved.promise]);
      const { handled } = run;
      yield { step: 'progress', events: handled, of: Math.max(planned, handled) };
      if (first) return first.pages;
    }
  } finally {
    await ended.catch(() => undefined);
  }
};

const runPages = async function* (
  deps: RerateDeps,
  request: RerateRequest,
): AsyncGenerator<RerateStep, void, undefined> {
  const books = request.books === undefined ? deps.books() : deps.loadBooks(request.books);
  const knownAt = request.knownAt ?? books.newestKnownFrom;
  const tally = new Tally();
  const moved = Promise.withResolvers<void>();
  const run: Run = { deps, books, knownAt, request, tally, handled: 0, moved };
  await deps.untilInLedger();
  const { places, events } = await planPages(deps.warehouse, {
    slice: request.slice,
    pageEvents: deps.pageEvents ?? PAGE_EVENTS,
  });
  yield { step: 'progress', events: 0, of: events };
  for (let at = 0; at < places.length; ) {
    const rest = places.slice(at);
    const window = request.apply
      ? deps.runAlone(() => rateWindow(run, rest))
      : rateWindow(run, rest);
    at += yield* followWindow(run, window, events);
  }
  if (request.apply) {
    await deps.untilInLedger();
    await deps.untilRolledUp();
  }
  const report = tally.report(!request.apply, knownAt);
  deps.logger.info(
    { ...request.slice, ...report, differences: undefined, postings: undefined },
    'usage was rated again',
  );
  yield { step: 'report', report };
};

/**
 * Rates archived usage again and appends reversals and charges, those of an event at once: killed at any moment, a repeat goes on
 * with what is missing. One run at a time.
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
