import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { activePrices } from '../../../pricing/active-prices.ts';
import type { PriceBook } from '../../../schemas/price-book.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { EXIT } from '../run-process.ts';
import type { OutputOptions, Run } from './command-kit.ts';
import { printRows, wholeNumber } from './command-kit.ts';
import { keepApprovals } from './price-approvals.ts';
import type { PriceChange } from './price-change.ts';
import { addPriceChecks, withWorkFolder } from './price-checks.ts';
import { diffPrices, nextVersion } from './price-diff.ts';
import {
  draftPath,
  prepareApproval,
  publish,
  publishedVersions,
  readDraft,
  readOverlay,
  refusalOf,
  writeDraft,
} from './price-drafts.ts';
import { approveCommand, pricesConfig, workFolder } from './price-folders.ts';
import { diffRules } from './price-rule-diff.ts';
import { importPriceBook } from './prices-import.ts';

/** Options with the folder that is worked on, and the command that would publish a draft there. */
interface ReviewWork extends ReviewOptions {
  approveCommand: string;
}

interface ReviewOptions extends OutputOptions {
  config?: string;
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

const importDraft = (options: ReviewWork, now: string): number => {
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
  say(`draft ${path}: it prices nothing until ${options.approveCommand}`);
  return EXIT.differences;
};

const approve = (options: ReviewOptions, now: string): number => {
  const { books: directory, provider } = options;
  const { approvals_min: approvalsMin } = pricesConfig(options);
  const book = prepareApproval(directory, provider, {
    by: options.by,
    now,
    fourEyes: options.fourEyes ?? false,
    approvalsMin,
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
    say(`dry run: nothing was published; add --yes to approve ${provider}@${book.version}`);
    return EXIT.differences;
  }
  const approved = book.approved ?? [];
  if (approved.length < approvalsMin) {
    keepApprovals(draftPath(directory, provider, book.version), approved);
    say(
      `${approved.length} of ${approvalsMin} approvals; somebody else has to approve ${provider}@${book.version} too`,
    );
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
  const refusal = refusalOf(options.books, draft, now);
  if (refusal !== null) say(`approve will refuse this draft: ${refusal}`);
  return EXIT.differences;
};

const inFolder = (options: ReviewOptions): ReviewWork => ({
  ...options,
  approveCommand: approveCommand(options.provider, options),
  books: workFolder(options),
});

const withReview = (command: Command): Command =>
  withWorkFolder(command)
    .requiredOption('--provider <name>', 'provider of the book')
    .option('--flag-beyond <percent>', 'flag larger changes', wholeNumber(0, 1000), 20);

/** Verbs by which a price gets into force: import makes a draft, people look at it, approve publishes it. */
export const addPriceReview = (prices: Command, run: Run): void => {
  const now = (): string => new Date().toISOString();
  withReview(prices.command('import').description('compare with the source; write a draft'))
    .option('--source <file>', 'data of the source; the installed npm package when left out')
    .option('--source-name <text>', 'name, version and licence of the source')
    .option('--by <name>', 'who prepares it', 'import')
    .action((options: ReviewOptions) => run(async () => importDraft(inFolder(options), now()))());
  withReview(prices.command('diff').description('what the draft would change')).action(
    (options: ReviewOptions) => run(async () => showDraft(inFolder(options), now()))(),
  );
  withReview(prices.command('approve').description('publish the draft; a dry run without --yes'))
    .requiredOption('--by <name>', 'who approves it')
    .option('--four-eyes', 'refuse when the same person prepared it')
    .option('--yes', 'publish')
    .action((options: ReviewOptions) => run(async () => approve(inFolder(options), now()))());
  addPriceChecks(prices, run);
};
