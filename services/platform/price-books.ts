import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { createPriceBooks, PriceBookError } from '../../pricing/price-books.ts';
import type { ContractBook, PriceBook } from '../../schemas/price-book.ts';
import { ReckonerError } from './errors.ts';

/** Folder of the books shipped with the product. */
export const SHIPPED_BOOKS = fileURLToPath(new URL('../../pricing/books', import.meta.url));
const VERSION_FILE = /^\d{4}\.json$/;

const readJson = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new ReckonerError(
      'PRICE_BOOK_INVALID',
      `The price book ${path} cannot be read as JSON (${(cause as Error).name}); restore the file, published versions are never edited.`,
      { cause },
    );
  }
};

/** Every `NNNN.json` in the folders of a directory, in the order of folder and number. */
const readVersions = (directory: string): unknown[] =>
  readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => {
      const folder = join(directory, entry.name);
      return readdirSync(folder)
        .filter((file) => VERSION_FILE.test(file))
        .sort()
        .map((file) => readJson(join(folder, file)));
    });

/** Every published version of every contract, as it lies there; `loadPriceBooks` checks them. */
export const readContracts = (directory: string | undefined): ContractBook[] =>
  directory === undefined ? [] : (readVersions(directory) as ContractBook[]);

/**
 * Reads every published version, `<directory>/<provider>/NNNN.json`, and validates them together. Drafts and overlays are left
 * alone.
 * @param directory where the books are; the ones shipped with the product when left out.
 * @param contracts where contract prices are, `<contracts>/<contract>/NNNN.json`; none when left out.
 * @throws ReckonerError PRICE_BOOK_INVALID naming every problem, or when there is no book at all.
 */
export const loadPriceBooks = (
  directory: string = SHIPPED_BOOKS,
  contracts?: string,
): PriceBooks => {
  try {
    const books = readVersions(directory) as PriceBook[];
    const agreed = readContracts(contracts);
    if (books.length > 0) return createPriceBooks(books, agreed);
  } catch (cause) {
    if (cause instanceof ReckonerError) throw cause;
    const why =
      cause instanceof PriceBookError
        ? cause.message
        : `The folder of price books ${directory} cannot be read (${(cause as NodeJS.ErrnoException).code ?? (cause as Error).name}); expected one folder a provider with files such as 0001.json.`;
    throw new ReckonerError('PRICE_BOOK_INVALID', why, { cause });
  }
  throw new ReckonerError(
    'PRICE_BOOK_INVALID',
    `The folder ${directory} holds no price book; expected one folder a provider with files such as 0001.json.`,
  );
};
