import type { Command } from 'commander';
import { checkBooks, SOON_DAYS } from '../../../pricing/book-findings.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { loadPriceBooks } from '../../platform/price-books.ts';
import { EXIT } from '../run-process.ts';
import type { OutputOptions, Run } from './command-kit.ts';
import { configOption, printRows, wholeNumber } from './command-kit.ts';
import {
  hasOverlay,
  prepareApproval,
  providersIn,
  publishedVersions,
  readDraft,
  readOverlay,
} from './price-drafts.ts';
import type { FolderOptions } from './price-folders.ts';
import { pricesConfig, workFolder } from './price-folders.ts';
import { PriceOverlaySchema } from './price-overlay.ts';

interface CheckOptions extends OutputOptions, FolderOptions {
  staleAfter?: number;
  soon: number;
}

const checkOverlay = (directory: string, provider: string): void => {
  // A book that people write alone needs none.
  if (!hasOverlay(directory, provider)) return;
  const parsed = PriceOverlaySchema.safeParse(readOverlay(directory, provider));
  if (parsed.success) return;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new ReckonerError(
    'PRICE_BOOK_INVALID',
    `The overlay of ${provider} is not valid: ${problems.join('; ')}`,
  );
};

const lint = (directory: string): number => {
  const providers = providersIn(directory);
  const published = providers.some((name) => publishedVersions(directory, name).length > 0);
  const books = published ? loadPriceBooks(directory).books : [];
  const drafts = providers.filter((provider) => {
    checkOverlay(directory, provider);
    if (!readDraft(directory, provider)) return false;
    const now = new Date().toISOString();
    prepareApproval(directory, provider, { by: 'lint', now, fourEyes: false, approvalsMin: 1 });
    return true;
  });
  const prices = books.reduce((sum, book) => sum + book.prices.length, 0);
  process.stderr.write(
    `${books.length} versions, ${prices} prices, ${drafts.length} draft(s) in ${directory}: no problem found\n`,
  );
  return EXIT.ok;
};

const check = (options: CheckOptions): number => {
  const directory = workFolder(options);
  const now = new Date().toISOString();
  const findings = providersIn(directory).flatMap((provider) =>
    checkBooks(publishedVersions(directory, provider), {
      now,
      staleAfterDays: options.staleAfter ?? pricesConfig(options).stale_after_days,
      soonDays: options.soon,
      writtenByHand: !hasOverlay(directory, provider),
    }),
  );
  printRows(
    ['provider', 'finding', 'what'],
    findings.map(({ provider, finding, what }) => [provider, finding, what]),
    options,
  );
  return findings.length === 0 ? EXIT.ok : EXIT.differences;
};

/** Options of the verbs that work on one folder of books. */
export const withWorkFolder = (command: Command): Command =>
  command
    .option(...configOption)
    .option(
      '--books <directory>',
      'folder of price books to work on (default: the configured one, else the shipped one)',
    )
    .option('--json', 'one JSON object a line')
    .option('--csv', 'CSV');

/** Verbs that look at a folder of books and change nothing. */
export const addPriceChecks = (prices: Command, run: Run): void => {
  withWorkFolder(prices.command('lint').description('check every book, overlay and draft')).action(
    (options: CheckOptions) => run(async () => lint(workFolder(options)))(),
  );
  withWorkFolder(
    prices.command('check').description('say when a book is stale or a price needs a person'),
  )
    .option('--stale-after <days>', 'days (default: as configured, 45)', wholeNumber(1, 3650))
    .option('--soon <days>', 'days', wholeNumber(1, 3650), SOON_DAYS)
    .action((options: CheckOptions) => run(async () => check(options))());
};
