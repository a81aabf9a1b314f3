import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { PriceBook } from '../../../schemas/price-book.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { loadPriceBooks, SHIPPED_BOOKS } from '../../platform/price-books.ts';
import { EXIT } from '../run-process.ts';
import type { OutputOptions, Run } from './command-kit.ts';
import { printRows, wholeNumber } from './command-kit.ts';
import type { PriceChange } from './price-change.ts';
import { checkBooks } from './price-check.ts';
import { activePrices, diffPrices, nextVersion } from './price-diff.ts';
import {
  hasOverlay,
  prepareApproval,
  providersIn,
  publish,
  publishedVersions,
  readDraft,
  readOverlay,
  writeDraft,
} from './price-drafts.ts';
import { PriceOverlaySchema } from './price-overlay.ts';
import { diffRules } from './price-rule-diff.ts';
import { importPriceBook } from './prices-import.ts';

interface ReviewOptions extends OutputOptions {
  provider: string;
  books: string;
  by: string;
  flagBeyond: number;
  fourEyes?: boolean;
  source?: string;
  sourceName?: string;
  yes?: boolean;
}

const CHANGE_COLUMNS: readonly (keyof PriceChange)[] = [
  'kind',
  'model',
  'meter',
  'conditions',
  'valid_from',
  'before',
  'after',
  'percent',
  'flag',
];

const printChanges = (changes: readonly PriceChange[], options: OutputOptions): void => {
  printRows(
    CHANGE_COLUMNS,
    changes.map((change) => CHANGE_COLUMNS.map((column) => change[column])),
    options,
  );
  const count = (kind: PriceChange['kind']): number =>
    changes.filter((change) => change.kind === kind).length;
  process.stderr.write(
    `${count('added')} added, ${count('changed')} changed, ${count('removed')} removed, ${changes.filter(({ flag }) => flag !== '').length} to look at\n`,
  );
};

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** The source as text with its name: a file, or the installed npm package. */
const readSource = (options: ReviewOptions): { text: string; name: string } => {
  if (options.source !== undefined) {
    return {
      text: readFileSync(options.source, 'utf8'),
      name: options.sourceName ?? options.source,
    };
  }
  try {
    const entry = fileURLToPath(import.meta.resolve('@pydantic/genai-prices'));
    const { version } = JSON.parse(
      readFileSync(new URL('../package.json', `file://${entry}`), 'utf8'),
    ) as { version: string };
    return {
      text: readFileSync(entry, 'utf8'),
      name: `npm @pydantic/genai-prices ${version} (MIT)`,
    };
  } catch {
    throw new ReckonerError(
      'CONFIG_INVALID',
      'The package @pydantic/genai-prices is not installed here; give its data with --source FILE and --source-name.',
    );
  }
};

const candidateOf = (options: ReviewOptions, now: string, version: number): PriceBook => {
  const { text, name } = readSource(options);
  return importPriceBook({
    source: text,
    sourceName: name,
    overlay: readOverlay(options.books, options.provider),
    version,
    knownFrom: now,
    retrievedAt: now.slice(0, 10),
  }).book;
};

const diffOf = (options: ReviewOptions, now: string, candidate: PriceBook): PriceChange[] => {
  const versions = publishedVersions(options.books, options.provider);
  return [
    ...diffPrices(activePrices(versions), candidate.prices, {
      now,
      flagBeyondPercent: options.flagBeyond,
    }),
    ...diffRules(versions, candidate),
  ];
};

const importDraft = (options: ReviewOptions, now: string): number => {
  const versions = publishedVersions(options.books, options.provider);
  const candidate = candidateOf(options, now, versions.length + 1);
  const changes = diffOf(options, now, candidate);
  printChanges(changes, options);
  const draft = nextVersion(versions, candidate);
  if (!draft) {
    say(`${options.provider}: nothing new; no draft written`);
    return changes.length === 0 ? EXIT.ok : EXIT.differences;
  }
  const path = writeDraft(options.books, { ...draft, prepared_by: options.by });
  say(
    `draft ${path}: it prices nothing until reckoner prices approve --provider ${options.provider} --by NAME --yes`,
  );
  return EXIT.differences;
};

const approve = (options: ReviewOptions, now: string): number => {
  const { books: directory, provider } = options;
  const book = prepareApproval(directory, provider, {
    by: options.by,
    now,
    fourEyes: options.fourEyes ?? false,
  });
  const versions = publishedVersions(directory, provider);
  const before = versions.at(-1)?.known_from ?? '';
  const due = activePrices(versions).filter(
    ({ valid_from: from }) => before !== '' && from > before && from <= now,
  );
  printChanges(
    diffOf(options, now, book).filter(({ kind }) => kind !== 'removed'),
    options,
  );
  if (due.length > 0) say(`${due.length} announced prices whose day has come take effect with it`);
  if (!options.yes) {
    say(`dry run: nothing was published; add --yes to publish ${provider}@${book.version}`);
    return EXIT.differences;
  }
  say(`published ${publish(directory, book)}`);
  return EXIT.ok;
};

const showDraft = (options: ReviewOptions, now: string): number => {
  const draft = readDraft(options.books, options.provider);
  if (!draft) {
    say(`${options.provider} has no draft`);
    return EXIT.ok;
  }
  const sets = diffOf(options, now, draft).filter(({ kind }) => kind !== 'removed');
  printChanges(sets, options);
  return EXIT.differences;
};

const lint = (options: ReviewOptions): number => {
  const books = loadPriceBooks(options.books);
  for (const provider of providersIn(options.books)) {
    const parsed = hasOverlay(options.books, provider)
      ? PriceOverlaySchema.safeParse(readOverlay(options.books, provider))
      : null;
    if (parsed?.error) {
      throw new ReckonerError(
        'PRICE_BOOK_INVALID',
        `The overlay of ${provider} is not valid: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`,
      );
    }
    if (readDraft(options.books, provider)) {
      prepareApproval(options.books, provider, {
        by: 'lint',
        now: new Date().toISOString(),
        fourEyes: false,
      });
    }
  }
  const prices = books.books.reduce((sum, book) => sum + book.prices.length, 0);
  say(`${books.books.length} versions, ${prices} prices: no problem found`);
  return EXIT.ok;
};

const check = (options: ReviewOptions & { staleAfter: number; soon: number }): number => {
  const now = new Date().toISOString();
  const findings = providersIn(options.books).flatMap((provider) =>
    checkBooks(publishedVersions(options.books, provider), {
      now,
      staleAfterDays: options.staleAfter,
      soonDays: options.soon,
    }),
  );
  printRows(
    ['provider', 'finding', 'what'],
    findings.map(({ provider, finding, what }) => [provider, finding, what]),
    options,
  );
  return findings.length === 0 ? EXIT.ok : EXIT.differences;
};

const withOutput = (command: Command): Command =>
  command
    .option('--books <directory>', 'folder of the price books', SHIPPED_BOOKS)
    .option('--json', 'one JSON object a line')
    .option('--csv', 'CSV');

const withReview = (command: Command): Command =>
  withOutput(command)
    .requiredOption('--provider <name>', 'provider of the book')
    .option('--flag-beyond <percent>', 'flag larger changes', wholeNumber(0, 1000), 20);

/** Verbs by which a price gets into force: import makes a draft, people look at it, approve publishes it. */
export const addPriceReview = (prices: Command, run: Run): void => {
  const now = (): string => new Date().toISOString();
  withReview(prices.command('import').description('compare with the source; write a draft'))
    .option('--source <file>', 'data of the source; the installed npm package when left out')
    .option('--source-name <text>', 'name, version and licence of the source')
    .option('--by <name>', 'who prepares it', 'import')
    .action((options: ReviewOptions) => run(async () => importDraft(options, now()))());
  withReview(prices.command('diff').description('what the draft would change')).action(
    (options: ReviewOptions) => run(async () => showDraft(options, now()))(),
  );
  withReview(prices.command('approve').description('publish the draft; a dry run without --yes'))
    .requiredOption('--by <name>', 'who approves it')
    .option('--four-eyes', 'refuse when the same person prepared it')
    .option('--yes', 'publish')
    .action((options: ReviewOptions) => run(async () => approve(options, now()))());
  withOutput(prices.command('lint').description('check every book, overlay and draft')).action(
    (options: ReviewOptions) => run(async () => lint(options))(),
  );
  withOutput(
    prices.command('check').description('say when a book is stale or a price needs a person'),
  )
    .option('--stale-after <days>', 'days', wholeNumber(1, 3650), 30)
    .option('--soon <days>', 'days', wholeNumber(1, 3650), 45)
    .action((options: ReviewOptions & { staleAfter: number; soon: number }) =>
      run(async () => check(options))(),
    );
};
