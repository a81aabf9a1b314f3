import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { createPriceBooks, PriceBookError } from '../../pricing/price-books.ts';
import type { PriceBook } from '../../schemas/price-book.ts';
import { ReckonerError } from './errors.ts';

const SHIPPED_BOOKS = fileURLToPath(new URL('../../pricing/books', import.meta.url));
const VERSION_FILE = /^\d{4}\.json$/;

const readBook = (path: string): PriceBook => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as PriceBook;
  } catch (cause) {
    throw new ReckonerError(
      'PRICE_BOOK_INVALID',
      `The price book ${path} cannot be read as JSON (${(cause as Error).name}); restore the file, published versions are never edited.`,
      { cause },
    );
  }
};

/**
 * Reads every published version, `<directory>/<provider>/NNNN.json`, and validates them together.
 * @param directory where the books are; the ones shipped with the product when left out.
 * @throws ReckonerError PRICE_BOOK_INVALID naming every problem, or when there is no book at all.
 */
export const loadPriceBooks = (directory: string = SHIPPED_BOOKS): PriceBooks => {
  const books: PriceBook[] = [];
  try {
    for (const provider of readdirSync(directory, { withFileTypes: true })) {
      if (!provider.isDirectory()) continue;
      const folder = join(directory, provider.name);
      for (const file of readdirSync(folder).sort()) {
        if (VERSION_FILE.test(file)) books.push(readBook(join(folder, file)));
      }
    }
    if (books.length > 0) return createPriceBooks(books);
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
