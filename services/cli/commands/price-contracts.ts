import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import { createPriceBooks, PriceBookError } from '../../../pricing/price-books.ts';
import type { ContractBook, ContractPrice } from '../../../schemas/price-book.ts';
import { ContractBookSchema } from '../../../schemas/price-book.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { EXIT } from '../run-process.ts';
import type { OutputOptions, Run } from './command-kit.ts';
import { configOption, printRows } from './command-kit.ts';
import { approvalsWith, keepApprovals } from './price-approvals.ts';
import { draftPath, parsed, providersIn, publishText, readJson } from './price-drafts.ts';
import type { FolderOptions } from './price-folders.ts';
import { contractFolder, pricesConfig, pricesOf } from './price-folders.ts';

interface ContractOptions extends OutputOptions, FolderOptions {
  contract: string;
  by: string;
  fourEyes?: boolean;
  yes?: boolean;
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const invalid = (message: string): ReckonerError =>
  new ReckonerError('PRICE_BOOK_INVALID', message);

/** Published versions of one contract, oldest first. */
const versionsOf = (directory: string, contract: string): ContractBook[] => {
  const versions: ContractBook[] = [];
  for (;;) {
    const path = join(directory, contract, `${String(versions.length + 1).padStart(4, '0')}.json`);
    if (!existsSync(path)) return versions;
    versions.push(parsed(ContractBookSchema, path));
  }
};

/** The draft of the next version, known from `now` on; version and name may be left to the file. */
const readDraft = (
  directory: string,
  contract: string,
  now: string,
): { path: string; draft: ContractBook } | null => {
  const version = versionsOf(directory, contract).length + 1;
  const path = draftPath(directory, contract, version);
  if (!existsSync(path)) return null;
  const raw = { contract, version, ...(readJson(path) as object), known_from: now };
  const result = ContractBookSchema.safeParse(raw);
  if (!result.success) {
    const problems = result.error.issues.map(
      (issue) => `  ${issue.path.join('.') || '(top level)'}: ${issue.message}`,
    );
    throw invalid(`${path} has ${problems.length} problem(s):\n${problems.join('\n')}`);
  }
  if (result.data.contract !== contract || result.data.version !== version) {
    throw invalid(
      `${path} says ${result.data.contract}@${result.data.version}, but by its place it is ${contract}@${version}. Correct it, or leave both out.`,
    );
  }
  return { path, draft: result.data };
};

const checkTogether = (versions: readonly ContractBook[]): void => {
  try {
    createPriceBooks([], versions);
  } catch (error) {
    if (error instanceof PriceBookError) throw invalid(error.message);
    throw error;
  }
};

/** Terms that name a model by an alias: terms hold for models, whatever name a call used, so such a term would do nothing. */
const aliasTerms = (contract: ContractBook, books: PriceBooks): string[] => {
  const own = books.books.filter(({ provider }) => provider === contract.provider);
  const models = new Set(own.flatMap(({ prices }) => prices.map(({ model }) => model)));
  const aliases = new Map(own.flatMap((b) => b.aliases.map((a) => [a.alias, a.model])));
  return contract.prices.flatMap((price) =>
    (price.models ?? [])
      .filter((name) => !models.has(name) && aliases.has(name))
      .map(
        (name) =>
          `${contract.contract}@${contract.version}: term ${price.id} names ${name}, which is an alias of ${aliases.get(name)}; write that`,
      ),
  );
};

const refuseAliases = (contract: ContractBook, books: PriceBooks): void => {
  const named = aliasTerms(contract, books);
  if (named.length > 0) throw invalid(`${named.join('\n')}.`);
};

/** Terms that can never apply: nothing is refused for it, since a book may come later. */
const idleTerms = (contract: ContractBook, books: PriceBooks): string[] => {
  const name = `${contract.contract}@${contract.version}`;
  const book = books.books.filter(({ provider }) => provider === contract.provider);
  if (book.length === 0) return [`${name}: no book prices provider ${contract.provider}`];
  const known = new Set(
    book.flatMap(({ prices, aliases }) => [
      ...prices.map(({ model }) => model),
      ...aliases.map(({ alias }) => alias),
    ]),
  );
  const unknown = contract.prices.flatMap((price) =>
    (price.models ?? [])
      .filter((model) => !known.has(model))
      .map((model) => `${name}: term ${price.id} names model ${model}, which no book prices`),
  );
  return [...unknown, ...aliasTerms(contract, books)];
};

const COLUMNS = [
  ...['contract', 'provider', 'accounts', 'term', 'models', 'meters', 'tier'],
  ...['unit_price', 'factor', 'valid_from', 'valid_to', 'known_from'],
];

const rowsOf = (contract: ContractBook): (string | undefined)[][] =>
  contract.prices.map((price: ContractPrice) => [
    `${contract.contract}@${contract.version}`,
    contract.provider,
    contract.accounts.join(' '),
    price.id,
    price.models?.join(' ') ?? 'every model',
    price.meters?.join(' ') ?? 'every meter',
    price.tier?.join(' '),
    price.unit_price,
    price.factor,
    price.valid_from,
    price.valid_to,
    contract.known_from,
  ]);

const list = (options: ContractOptions): number => {
  const contracts = pricesOf({ ...options, contracts: contractFolder(options) }).contracts;
  printRows(COLUMNS, contracts.flatMap(rowsOf), options);
  return EXIT.ok;
};

const lint = (options: ContractOptions, now: string): number => {
  const directory = contractFolder(options);
  const { books, contracts } = pricesOf({ ...options, contracts: directory });
  const all = [...contracts];
  for (const name of providersIn(directory)) {
    const found = readDraft(directory, name, now);
    if (!found) continue;
    checkTogether([...versionsOf(directory, name), found.draft]);
    refuseAliases(found.draft, books);
    all.push(found.draft);
  }
  for (const idle of all.flatMap((contract) => idleTerms(contract, books))) say(`warning: ${idle}`);
  const terms = all.reduce((sum, { prices }) => sum + prices.length, 0);
  say(`${all.length} versions of contracts, ${terms} terms: no problem found`);
  return EXIT.ok;
};

const approve = (options: ContractOptions, now: string): number => {
  const directory = contractFolder(options);
  const { contract } = options;
  if (basename(contract) !== contract) throw invalid(`${contract} is no name of a contract.`);
  const found = readDraft(directory, contract, now);
  if (!found) {
    const next = draftPath(directory, contract, versionsOf(directory, contract).length + 1);
    throw invalid(`${contract} has no draft; write the next version into ${next} first.`);
  }
  const { path, draft } = found;
  const what = `${contract}@${draft.version}`;
  const { approvals_min: approvalsMin } = pricesConfig(options);
  const approved = approvalsWith(
    { path, what, preparedBy: draft.prepared_by },
    { by: options.by, now, fourEyes: options.fourEyes ?? false, approvalsMin },
  );
  const book: ContractBook = { ...draft, approved };
  checkTogether([...versionsOf(directory, contract), book]);
  const { books } = pricesOf({ ...options, contracts: directory });
  refuseAliases(book, books);
  printRows(COLUMNS, rowsOf(book), options);
  for (const idle of idleTerms(book, books)) say(`warning: ${idle}`);
  if (!options.yes) {
    say(`dry run: nothing was published; add --yes to approve ${what}`);
    return EXIT.differences;
  }
  if (approved.length < approvalsMin) {
    keepApprovals(path, approved);
    say(
      `${approved.length} of ${approvalsMin} approvals; somebody else has to approve ${what} too`,
    );
    return EXIT.differences;
  }
  const text = `${JSON.stringify(book, null, 2)}\n`;
  say(`published ${publishText(directory, { name: contract, version: draft.version }, text)}`);
  return EXIT.ok;
};

const withFolders = (command: Command): Command =>
  command
    .option(...configOption)
    .option('--contracts <directory>', 'folder of contracts, instead of the configured one')
    .option('--books <directory>', 'folder of price books laid over the others, by provider')
    .option('--json', 'one JSON object a line')
    .option('--csv', 'CSV');

/** Verbs about what was agreed with providers: drafts are written by hand, `approve` publishes them. */
export const addContracts = (prices: Command, run: Run): void => {
  const contracts = prices.command('contracts').description('prices agreed for single accounts');
  const now = (): string => new Date().toISOString();
  withFolders(
    contracts.command('list').description('every term of every published version'),
  ).action((options: ContractOptions) => run(async () => list(options))());
  withFolders(contracts.command('lint').description('check every version and draft')).action(
    (options: ContractOptions) => run(async () => lint(options, now()))(),
  );
  withFolders(
    contracts
      .command('approve')
      .description('publish the draft NNNN.draft.json; a dry run without --yes'),
  )
    .requiredOption('--contract <name>', 'which contract')
    .requiredOption('--by <name>', 'who approves it')
    .option('--four-eyes', 'refuse when the same person prepared it')
    .option('--yes', 'publish')
    .action((options: ContractOptions) => run(async () => approve(options, now()))());
};
