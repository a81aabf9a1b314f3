import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { ReckonerError } from '../../platform/errors.ts';
import { EXIT } from '../run-process.ts';
import { showAgreedPrices } from './agreed-prices.ts';
import type { AddCommands, OutputOptions } from './command-kit.ts';
import { printRows } from './command-kit.ts';
import { instantOption } from './instant-option.ts';
import { addContracts } from './price-contracts.ts';
import type { FolderOptions } from './price-folders.ts';
import { pricesOf, withPriceFolders } from './price-folders.ts';
import { addPriceReview } from './price-review.ts';
import { showRules } from './price-rules.ts';
import type { PriceFilter } from './prices.ts';
import { listPrices, showPrices } from './prices.ts';
import { addPricesAllocate } from './prices-allocate.ts';
import { addPricesCommitments } from './prices-commitments.ts';
import { rateFile } from './rate.ts';
import { writeRateLines } from './rate-output.ts';

interface TimeOptions extends OutputOptions, FolderOptions {
  asOf?: string;
  knownAt?: string;
}

const times = (options: TimeOptions): { asOf?: string; knownAt?: string } => ({
  ...(options.asOf === undefined ? {} : { asOf: instantOption('--as-of', options.asOf) }),
  ...(options.knownAt === undefined
    ? {}
    : { knownAt: instantOption('--known-at', options.knownAt) }),
});

const rate = async (file: string, options: TimeOptions): Promise<number> => {
  const input = createReadStream(file);
  const opened = new Promise<void>((resolve, reject) => {
    input.once('open', () => resolve());
    input.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new ReckonerError(
          'REQUEST_INVALID',
          `Cannot read ${file} (${error.code}). Give a file of JSON lines.`,
        ),
      ),
    );
  });
  await opened;
  const lines = rateFile({
    lines: createInterface({ input }),
    books: pricesOf(options).books,
    ...times(options),
  });
  return (await writeRateLines(lines, options)) ? EXIT.ok : EXIT.error;
};

const priceOptions = (command: Command): Command =>
  withPriceFolders(command)
    .option('--provider <name>', 'only this provider')
    .option('--model <name>', 'only this model, or the model behind this alias')
    .option(
      '--as-of <time>',
      'only the prices in force at this time (UTC): what usage then is charged by',
    )
    .option('--known-at <time>', 'as known at this time (UTC)')
    .option('--json', 'one JSON object a line')
    .option('--csv', 'CSV');

const filterOf = (options: PriceFilter & TimeOptions): PriceFilter => ({
  ...(options.provider === undefined ? {} : { provider: options.provider }),
  ...(options.model === undefined ? {} : { model: options.model }),
  ...times(options),
});

const printObjects = (rows: readonly object[], options: OutputOptions): number => {
  const columns = Object.keys(rows[0] ?? {});
  printRows(columns, rows.map(Object.values), options);
  return EXIT.ok;
};

const show = (options: PriceFilter & TimeOptions & { account?: string }): number => {
  const { account } = options;
  const loaded = pricesOf(options);
  const filter = filterOf(options);
  if (account === undefined) {
    const rows = [...showPrices(loaded.books, filter), ...showRules(loaded.books, filter)];
    return printObjects(rows, options);
  }
  const asOf = filter.asOf ?? new Date().toISOString();
  return printObjects(showAgreedPrices(loaded, account, { ...filter, asOf }), options);
};

/** Verbs about prices; none needs a running house. */
export const addPriceCommands: AddCommands = (program, run) => {
  const prices = program.command('prices').description('look into the price books');
  priceOptions(prices.command('list').description('models that have a price')).action(
    (options: PriceFilter & TimeOptions) =>
      run(async () =>
        printObjects(listPrices(pricesOf(options).books, filterOf(options)), options),
      )(),
  );
  priceOptions(prices.command('show').description('prices with both their times and their source'))
    .option('--account <name>', 'what this account pays, by its contracts')
    .action((options: PriceFilter & TimeOptions & { account?: string }) =>
      run(async () => show(options))(),
    );
  addPriceReview(prices, run);
  addContracts(prices, run);
  addPricesAllocate(prices, run);
  addPricesCommitments(prices, run);
  withPriceFolders(program.command('rate <file>'))
    .description(
      'what would this usage cost? one JSON object a line: provider, model, at, account?, tier?, geo?, classes, units',
    )
    .option('--as-of <time>', 'prices valid at this time instead of each line’s own')
    .option('--known-at <time>', 'prices as known at this time')
    .option('--json', 'one JSON object a line')
    .option('--csv', 'CSV')
    .action((file: string, options: TimeOptions) => run(() => rate(file, options))());
};
