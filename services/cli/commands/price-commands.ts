import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { InstantSchema } from '../../../schemas/instant.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { EXIT } from '../run-process.ts';
import { showAgreedPrices } from './agreed-prices.ts';
import type { AddCommands, OutputOptions } from './command-kit.ts';
import { printRows } from './command-kit.ts';
import { addContracts } from './price-contracts.ts';
import type { FolderOptions } from './price-folders.ts';
import { pricesOf, withPriceFolders } from './price-folders.ts';
import { addPriceReview } from './price-review.ts';
import { showRules } from './price-rules.ts';
import type { PriceFilter } from './prices.ts';
import { listPrices, showPrices } from './prices.ts';
import { addPricesAllocate } from './prices-allocate.ts';
import { addPricesCommitments } from './prices-commitments.ts';
import type { RateLine } from './rate.ts';
import { rateFile } from './rate.ts';

interface TimeOptions extends OutputOptions, FolderOptions {
  asOf?: string;
  knownAt?: string;
}

/** An instant as people type it: a day, or an ISO instant; always UTC. */
const instantOf = (name: string, text: string): string => {
  const full = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00.000Z` : text;
  const withMs = /T\d{2}:\d{2}:\d{2}Z$/.test(full) ? full.replace('Z', '.000Z') : full;
  if (InstantSchema.safeParse(withMs).success) return withMs;
  throw new ReckonerError(
    'CONFIG_INVALID',
    `${name} is ${JSON.stringify(text)}; expected a UTC day such as 2026-03-14 or an instant such as 2026-03-14T09:30:00Z.`,
  );
};

const times = (options: TimeOptions): { asOf?: string; knownAt?: string } => ({
  ...(options.asOf === undefined ? {} : { asOf: instantOf('--as-of', options.asOf) }),
  ...(options.knownAt === undefined ? {} : { knownAt: instantOf('--known-at', options.knownAt) }),
});

const printRateLine = (line: RateLine, options: OutputOptions): void => {
  if (options.json) {
    process.stdout.write(`${JSON.stringify(line)}\n`);
  } else if ('total_usd' in line) {
    process.stdout.write(`${line.index}  ${line.total_usd} USD  ${line.book}\n`);
    for (const charge of line.charges) {
      process.stdout.write(
        `     ${charge.class}  ${charge.quantity} x ${charge.unit_price} = ${charge.amount_usd}\n`,
      );
    }
  } else if ('unrated' in line) {
    process.stdout.write(`${line.index}  unrated: ${line.unrated} (${line.detail})\n`);
  } else {
    process.stderr.write(`line ${line.error.line}: ${line.error.message}\n`);
  }
};

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
  let failed = false;
  const lines = rateFile({
    lines: createInterface({ input }),
    books: pricesOf(options).books,
    ...times(options),
  });
  for await (const line of lines) {
    failed ||= 'error' in line;
    printRateLine(line, options);
  }
  return failed ? EXIT.error : EXIT.ok;
};

const priceOptions = (command: Command): Command =>
  withPriceFolders(command)
    .option('--provider <name>', 'only this provider')
    .option('--model <name>', 'only this model, or the model behind this alias')
    .option('--as-of <time>', 'valid at this time (UTC)')
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
    .action((file: string, options: TimeOptions) => run(() => rate(file, options))());
};
