import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { createPriceBooks, PriceBookError } from '../../../pricing/price-books.ts';
import type { PriceBook } from '../../../schemas/price-book.ts';
import { PriceBookSchema } from '../../../schemas/price-book.ts';
import { ReckonerError } from '../../platform/errors.ts';
import type { ApprovalRequest } from './price-approvals.ts';
import { approvalsWith, removeDraft } from './price-approvals.ts';
import { formatPriceBook } from './prices-import.ts';
import { noProvider } from './prices-missing.ts';

const invalid = (message: string): ReckonerError =>
  new ReckonerError('PRICE_BOOK_INVALID', message);

const numbered = (version: number): string => String(version).padStart(4, '0');
/** Where the draft of a version lies, of a book or of a contract. */
export const draftPath = (directory: string, provider: string, version: number): string =>
  join(directory, provider, `${numbered(version)}.draft.json`);

/** JSON of a file. Throws ReckonerError PRICE_BOOK_INVALID naming it. */
export const readJson = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw invalid(
      `${path} cannot be read as JSON (${(cause as NodeJS.ErrnoException).code ?? (cause as Error).name}).`,
    );
  }
};

/** A file as what it should be; every problem by its place in the file. */
export const parsed = <Schema extends z.ZodType>(schema: Schema, path: string): z.infer<Schema> => {
  const result = schema.safeParse(readJson(path));
  if (result.success) return result.data;
  const problems = result.error.issues
    .slice(0, 20)
    .map((issue) => `  ${issue.path.join('.') || '(top level)'}: ${issue.message}`);
  throw invalid(`${path} has ${result.error.issues.length} problem(s):\n${problems.join('\n')}`);
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
    .map((file) => parsed(PriceBookSchema, join(folder, file)));
};

export const hasOverlay = (directory: string, provider: string): boolean =>
  existsSync(join(directory, provider, 'overlay.json'));

/** The curated overlay of a provider, as parsed JSON. */
export const readOverlay = (directory: string, provider: string): unknown => {
  const path = join(directory, provider, 'overlay.json');
  if (existsSync(directory) && !existsSync(join(directory, provider))) {
    throw invalid(`${noProvider(provider, providersIn(directory))} Looked in ${directory}.`);
  }
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
  return existsSync(path) ? parsed(PriceBookSchema, path) : null;
};

/** Writes the next version as a draft: it prices nothing until it is approved. Replaces the draft before it. */
export const writeDraft = (directory: string, draft: PriceBook): string => {
  const path = draftPath(directory, draft.provider, draft.version);
  writeFileSync(path, formatPriceBook(draft));
  return path;
};

/** Everything is known from the moment of approval; an earlier time would rewrite what was known then. */
const asKnownFrom = (
  draft: PriceBook,
  now: string,
  approved: PriceBook['approved'],
): PriceBook => ({
  ...draft,
  known_from: now,
  prices: draft.prices.map((price) => ({ ...price, known_from: now })),
  approved,
});

/** What the lint says of a draft together with every version before it; null where it finds nothing. */
export const refusalOf = (directory: string, draft: PriceBook, now: string): string | null => {
  const book = asKnownFrom(draft, now, undefined);
  try {
    createPriceBooks([...publishedVersions(directory, draft.provider), book]);
    return null;
  } catch (error) {
    if (error instanceof PriceBookError) return error.message;
    throw error;
  }
};

/**
 * What approving the draft would publish, with the approvals it has then: checked together with every version before it. Throws
 * ReckonerError PRICE_BOOK_INVALID when there is no draft, when one person would be both pairs of eyes, or when the lint refuses it.
 */
export const prepareApproval = (
  directory: string,
  provider: string,
  approval: ApprovalRequest,
): PriceBook => {
  const draft = readDraft(directory, provider);
  if (!draft) {
    const next = publishedVersions(directory, provider).length + 1;
    const or = hasOverlay(directory, provider)
      ? `, or run reckoner prices import --provider ${provider} first`
      : '';
    throw invalid(
      `${provider} has no draft in the folder ${directory}: expected ${draftPath(directory, provider, next)}. Write it by hand${or}.`,
    );
  }
  const approved = approvalsWith(
    {
      path: draftPath(directory, provider, draft.version),
      what: `${provider}@${draft.version}`,
      preparedBy: draft.prepared_by,
    },
    approval,
  );
  const refusal = refusalOf(directory, draft, approval.now);
  if (refusal !== null) throw invalid(refusal);
  return asKnownFrom(draft, approval.now, approved);
};

/** Publishes the text of a version: the numbered file appears whole or not at all, then the draft goes. */
export const publishText = (
  directory: string,
  { name, version }: { name: string; version: number },
  text: string,
): string => {
  const path = join(directory, name, `${numbered(version)}.json`);
  if (existsSync(path)) throw invalid(`${path} is published already; versions are never edited.`);
  const writing = `${path}.writing`;
  writeFileSync(writing, text, { flush: true });
  renameSync(writing, path);
  removeDraft(draftPath(directory, name, version));
  return path;
};

/** Publishes a version of a provider's book. */
export const publish = (directory: string, book: PriceBook): string =>
  publishText(directory, { name: book.provider, version: book.version }, formatPriceBook(book));
