import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Counter } from 'prom-client';
import type { PriceBooks } from '../../pricing/price-books.ts';
import type { PriceBook } from '../../schemas/price-book.ts';
import { ReckonerError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import type { PriceFolders } from './price-book-files.ts';
import { describeOwnBooks } from './price-book-files.ts';
import type { LoadedPriceBooks } from './price-books.ts';
import { listSources, loadHousePrices, loadInSteps, sourcesOf } from './price-books.ts';
import type { RunningService } from './running-service.ts';

const LOOK_EVERY_MS = 5_000;

/** The prices in force, kept up with the folders they come from. */
export interface FollowedPriceBooks extends RunningService {
  /** The set in force: whole and unchanging. Whoever does several things by the same prices asks once and keeps the answer. */
  current(): PriceBooks;
  /** The same with its contracts. */
  loaded(): LoadedPriceBooks;
  /** Looks now, as every five seconds. Never rejects: what cannot be loaded is refused and the set in force stays. */
  look(): Promise<'unchanged' | 'swapped' | 'refused'>;
  /** Told after every swap. */
  onSwap(listener: (loaded: LoadedPriceBooks) => void): void;
}

export interface FollowDeps {
  folders: PriceFolders;
  lookEveryMs?: number;
  logger: Logger;
  metrics: Metrics;
}

const nameOf = ({ provider, version }: PriceBook): string => `${provider}@${version}`;

/** Versions in force that are gone from the new set or say something else there. What was rated by them could not be rated again. */
const lostVersions = (before: LoadedPriceBooks, after: LoadedPriceBooks): string[] => {
  const lost: string[] = [];
  const compare = (name: string, old: object, found: object | undefined): void => {
    if (found === undefined) lost.push(`${name} is gone`);
    else if (JSON.stringify(old) !== JSON.stringify(found)) lost.push(`${name} was edited`);
  };
  for (const [provider, { mark, books }] of before.parts) {
    const part = after.parts.get(provider);
    if (part?.mark === mark) continue;
    const found = new Map(part?.books.books.map((book) => [book.version, book]));
    for (const book of books.books) compare(nameOf(book), book, found.get(book.version));
  }
  const contracts = new Map(after.contracts.map((c) => [`${c.contract}@${c.version}`, c]));
  for (const contract of before.contracts) {
    const name = `${contract.contract}@${contract.version}`;
    compare(`contract ${name}`, contract, contracts.get(name));
  }
  return lost;
};

const checkNothingLost = (before: LoadedPriceBooks, after: LoadedPriceBooks): void => {
  const lost = lostVersions(before, after);
  if (lost.length === 0) return;
  throw new ReckonerError(
    'PRICE_BOOK_INVALID',
    `Published versions that are in force are not what they were: ${lost.slice(0, 10).join(', ')}${lost.length > 10 ? ` and ${lost.length - 10} more` : ''}. They are never edited: put them back and publish the change as the next version, or restart to take the folders as they are.`,
  );
};

/** Loads aside, a provider at a time, letting others run in between. */
const loadAside = async (
  folders: PriceFolders,
  before: LoadedPriceBooks,
): Promise<LoadedPriceBooks> => {
  const steps = loadInSteps(sourcesOf(folders), before.parts);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await nextTurn();
  }
};

const sayWhatIsInForce = ({ books }: LoadedPriceBooks, deps: FollowDeps): void => {
  const own = deps.folders.books === undefined ? undefined : describeOwnBooks(deps.folders.books);
  const { newestKnownFrom: known_at } = books;
  deps.logger.info(
    { versions: books.books.length, known_at, ...(own ? { own_books: own } : {}) },
    'price books loaded',
  );
};

const newNames = (before: LoadedPriceBooks, after: LoadedPriceBooks): string[] => {
  const names = ({ books, contracts }: LoadedPriceBooks): string[] => [
    ...books.books.map(nameOf),
    ...contracts.map(({ contract, version }) => `contract ${contract}@${version}`),
  ];
  const old = new Set(names(before));
  return names(after).filter((name) => !old.has(name));
};

const instruments = (metrics: Metrics, inForce: () => readonly PriceBook[]): Counter => {
  metrics.labelledGauge(
    'price_book_info',
    'Newest version in force by provider; always 1.',
    ['provider', 'version'],
    () => {
      const newest = new Map(inForce().map((book) => [book.provider, String(book.version)]));
      return [...newest].map(([provider, version]) => ({
        labels: { provider, version },
        value: 1,
      }));
    },
  );
  return metrics.counter(
    'price_book_reload_failures_total',
    'Changes of the price book folders that were refused; the books before them stay in force.',
  );
};

/**
 * Loads the prices of a house and follows their folders: a new version is in force without a restart. The new set is loaded and
 * checked aside and takes the place of the old as a whole, or not at all. Versions in force may only gain successors, so that what
 * was rated by a set can be rated again, alike, by every later one.
 * @throws ReckonerError PRICE_BOOK_INVALID when the first set does not load.
 */
export const followPriceBooks = (deps: FollowDeps): FollowedPriceBooks => {
  const { folders, logger, metrics } = deps;
  let inForce = loadHousePrices(folders);
  let seen = inForce.mark;
  const listeners: ((loaded: LoadedPriceBooks) => void)[] = [];
  const failures = instruments(metrics, () => inForce.books.books);

  const refuse = (error: unknown): 'refused' => {
    failures.inc();
    logger.error(
      { err: error },
      'Changed price books were refused. Those before them stay in force.',
    );
    return 'refused';
  };
  const markNow = (): string => {
    try {
      return listSources(sourcesOf(folders)).mark;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const lookOnce = async (): Promise<'unchanged' | 'swapped' | 'refused'> => {
    const mark = markNow();
    // A set that was refused is not tried again until its files change.
    if (mark === seen) return 'unchanged';
    seen = mark;
    try {
      const after = await loadAside(folders, inForce);
      checkNothingLost(inForce, after);
      const added = newNames(inForce, after);
      inForce = after;
      logger.info({ added, known_at: after.books.newestKnownFrom }, 'price books swapped');
      for (const listener of listeners) listener(after);
      return 'swapped';
    } catch (error) {
      return refuse(error);
    }
  };

  let looking: ReturnType<typeof lookOnce> | null = null;
  const look = (): ReturnType<typeof lookOnce> => {
    looking ??= lookOnce().finally(() => {
      looking = null;
    });
    return looking;
  };
  sayWhatIsInForce(inForce, deps);
  const timer = setInterval(() => void look(), deps.lookEveryMs ?? LOOK_EVERY_MS);
  timer.unref();
  const ended = Promise.withResolvers<void>();
  return {
    name: 'price-books',
    ended: ended.promise,
    current: () => inForce.books,
    loaded: () => inForce,
    look,
    onSwap: (listener) => void listeners.push(listener),
    close: async () => {
      clearInterval(timer);
      await looking;
      ended.resolve();
    },
  };
};
