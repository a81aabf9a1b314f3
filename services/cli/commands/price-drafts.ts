import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createPriceBooks, PriceBookError } from '../../../pricing/price-books.ts';
import type { PriceBook } from '../../../schemas/price-book.ts';
import { PriceBookSchema } from '../../../schemas/price-book.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { formatPriceBook } from './prices-import.ts';

const invalid = (message: string): ReckonerError =>
  new ReckonerError('PRICE_BOOK_INVALID', message);

const numbered = (version: number): string => String(version).padStart(4, '0');
const draftPath = (directory: string, provider: string, version: number): string =>
  join(directory, provider, `${numbered(version)}.draft.json`);

const readJson = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw invalid(
      `${path} cannot be read as JSON (${(cause as NodeJS.ErrnoException).code ?? (cause as Error).name}).`,
    );
  }
};

/** Providers with a folder of books. */
export const providersIn = (directory: string): string[] =>
  readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();

/** Published versions of one provider, oldest first; none for a provider that is new. */
export const publishedVersions = (directory: string, provider: string): PriceBook[] => {
  const folder = join(directory, provider);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => /^\d{4}\.json$/.test(file))
    .sort()
    .map((file) => PriceBookSchema.parse(readJson(join(folder, file))));
};

/** Whether a provider's book is imported; books that people write alone have no overlay. */
export const hasOverlay = (directory: string, provider: string): boolean =>
  existsSync(join(directory, provider, 'overlay.json'));

/** The curated overlay of a provider, as parsed JSON. */
export const readOverlay = (directory: string, provider: string): unknown => {
  const path = join(directory, provider, 'overlay.json');
  if (!existsSync(path)) {
    throw invalid(
      `${path} is not there; an import needs the overlay that says how to read the source.`,
    );
  }
  return readJson(path);
};

/** The draft that waits for approval, if there is one. */
export const readDraft = (directory: string, provider: string): PriceBook | null => {
  const next = publishedVersions(directory, provider).length + 1;
  const path = draftPath(directory, provider, next);
  return existsSync(path) ? PriceBookSchema.parse(readJson(path)) : null;
};

/** Writes the next version as a draft: it prices nothing until it is approved. Replaces the draft before it. */
export const writeDraft = (directory: string, draft: PriceBook): string => {
  const path = draftPath(directory, draft.provider, draft.version);
  writeFileSync(path, formatPriceBook(draft));
  return path;
};

/** Everything is known from the moment of approval; an earlier time would rewrite what was known then. */
const asKnownFrom = (draft: PriceBook, now: string, by: string): PriceBook => ({
  ...draft,
  known_from: now,
  prices: draft.prices.map((price) => ({ ...price, known_from: now })),
  approved: [{ by, at: now }],
});

/**
 * What approving the draft would publish: checked together with every version before it. Throws ReckonerError
 * PRICE_BOOK_INVALID when there is no draft, when one person would be both pairs of eyes, or when the lint refuses it.
 */
export const prepareApproval = (
  directory: string,
  provider: string,
  approval: { by: string; now: string; fourEyes: boolean },
): PriceBook => {
  const draft = readDraft(directory, provider);
  if (!draft) {
    throw invalid(
      `${provider} has no draft; run reckoner prices import --provider ${provider} first.`,
    );
  }
  if (approval.fourEyes && (draft.prepared_by ?? approval.by) === approval.by) {
    throw invalid(
      `${provider}@${draft.version} was prepared by ${draft.prepared_by ?? 'nobody named'}; with four eyes somebody else has to approve it.`,
    );
  }
  const book = asKnownFrom(draft, approval.now, approval.by);
  try {
    createPriceBooks([...publishedVersions(directory, provider), book]);
  } catch (error) {
    if (error instanceof PriceBookError) throw invalid(error.message);
    throw error;
  }
  return book;
};

/** Publishes: the numbered file appears whole or not at all, then the draft goes. */
export const publish = (directory: string, book: PriceBook): string => {
  const path = join(directory, book.provider, `${numbered(book.version)}.json`);
  if (existsSync(path)) throw invalid(`${path} is published already; versions are never edited.`);
  const writing = `${path}.writing`;
  writeFileSync(writing, formatPriceBook(book), { flush: true });
  renameSync(writing, path);
  rmSync(draftPath(directory, book.provider, book.version), { force: true });
  return path;
};
