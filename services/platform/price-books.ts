import { joinPriceBooks } from '../../pricing/join-price-books.ts';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { createPriceBooks, PriceBookError } from '../../pricing/price-books.ts';
import type { ContractBook, PriceBook } from '../../schemas/price-book.ts';
import { ReckonerError } from './errors.ts';
import type { PriceFolders, VersionFolder } from './price-book-files.ts';
import { layVersions, listVersions, readVersion, SHIPPED_BOOKS } from './price-book-files.ts';

export { SHIPPED_BOOKS };

/** Where to read: later directories of books take the place of earlier ones, provider by provider. */
export interface PriceSources {
  readonly books: readonly string[];
  readonly contracts: string | undefined;
}

export const sourcesOf = (folders: PriceFolders, over?: string): PriceSources => ({
  books: [SHIPPED_BOOKS, folders.books, over].filter((folder) => folder !== undefined),
  contracts: folders.contracts,
});

/** The books of one provider, and what changes when any file they were made of does. */
interface LoadedPart {
  readonly mark: string;
  readonly books: PriceBooks;
}

/** Books with what they were made of, so that the next load makes only what changed. */
export interface LoadedPriceBooks {
  readonly books: PriceBooks;
  readonly contracts: readonly ContractBook[];
  readonly mark: string;
  readonly parts: ReadonlyMap<string, LoadedPart>;
}

interface Listed {
  readonly books: ReadonlyMap<string, VersionFolder>;
  readonly contracts: readonly VersionFolder[];
  readonly mark: string;
}

/** What lies in the folders now. Reads names, sizes and times, no contents. */
export const listSources = (sources: PriceSources): Listed => {
  const books = layVersions(sources.books);
  const contracts = sources.contracts === undefined ? [] : listVersions(sources.contracts);
  const marks = [...books.values(), ...contracts].flatMap(({ files }) => files.map((f) => f.mark));
  return { books, contracts, mark: marks.join('\n') };
};

const misplaced = (folder: VersionFolder, field: 'provider' | 'contract', found: unknown): string =>
  `${folder.files[0]?.path}: lies in the folder ${folder.name}, but says ${field} ${JSON.stringify(found)}; both are the same name.`;

const readFolder = <Version>(
  folder: VersionFolder,
  field: 'provider' | 'contract',
  problems: string[],
): Version[] => {
  const versions = folder.files.map(({ path }) => readVersion(path));
  for (const version of versions) {
    const found = (version as Record<string, unknown> | null)?.[field];
    if (found !== folder.name) problems.push(misplaced(folder, field, found));
  }
  return versions as Version[];
};

/**
 * Loads provider by provider, giving way to others at each `yield`. Parts of `before` whose files did not change are used again.
 * @throws ReckonerError PRICE_BOOK_INVALID naming every problem, or when there is no book at all.
 */
export function* loadInSteps(
  sources: PriceSources,
  before: ReadonlyMap<string, LoadedPart> = new Map(),
): Generator<void, LoadedPriceBooks, void> {
  const listed = listSources(sources);
  const problems: string[] = [];
  const contracts = listed.contracts.flatMap((folder) =>
    readFolder<ContractBook>(folder, 'contract', problems),
  );
  const providers = new Set([...listed.books.keys(), ...contracts.map((c) => c?.provider)]);
  const parts = new Map<string, LoadedPart>();
  for (const provider of [...providers].sort()) {
    const folder = listed.books.get(provider);
    const agreed = contracts.filter((contract) => contract?.provider === provider);
    const mark = JSON.stringify([folder?.files.map((file) => file.mark), agreed]);
    const kept = before.get(provider);
    if (kept?.mark === mark) {
      parts.set(provider, kept);
      continue;
    }
    yield;
    const books = folder ? readFolder<PriceBook>(folder, 'provider', problems) : [];
    try {
      parts.set(provider, { mark, books: createPriceBooks(books, agreed) });
    } catch (error) {
      if (!(error instanceof PriceBookError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) {
    const cause = new PriceBookError(problems);
    throw new ReckonerError('PRICE_BOOK_INVALID', cause.message, { cause });
  }
  if (listed.books.size === 0) {
    throw new ReckonerError(
      'PRICE_BOOK_INVALID',
      `The folder ${sources.books.join(' and ')} holds no price book; expected one folder a provider with files such as 0001.json.`,
    );
  }
  const books = joinPriceBooks(new Map([...parts].map(([name, part]) => [name, part.books])));
  return { books, contracts, mark: listed.mark, parts };
}

const loadNow = (sources: PriceSources): LoadedPriceBooks => {
  const steps = loadInSteps(sources);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
};

/**
 * Reads every published version of one folder, `<directory>/<provider>/NNNN.json`, and nothing else. Drafts and overlays are left
 * alone.
 * @param directory where the books are; the ones shipped with the product when left out.
 * @param contracts where contract prices are, `<contracts>/<contract>/NNNN.json`; none when left out.
 * @throws ReckonerError PRICE_BOOK_INVALID naming every problem, or when there is no book at all.
 */
export const loadPriceBooks = (directory: string = SHIPPED_BOOKS, contracts?: string): PriceBooks =>
  loadNow({ books: [directory], contracts }).books;

/**
 * The prices of a house: the shipped books, over them the folder of its own, over them `over`, and its contracts. A provider's book
 * comes whole from the last folder that has one.
 * @throws ReckonerError PRICE_BOOK_INVALID naming every problem.
 */
export const loadHousePrices = (folders: PriceFolders, over?: string): LoadedPriceBooks =>
  loadNow(sourcesOf(folders, over));
