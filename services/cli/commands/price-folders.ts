import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { ProcessConfig } from '../../../schemas/house-config.ts';
import { ReckonerError } from '../../platform/errors.ts';
import type { LoadedPriceBooks } from '../../platform/price-books.ts';
import { loadHousePrices, SHIPPED_BOOKS } from '../../platform/price-books.ts';
import { configOf, configOption } from './command-kit.ts';

/** Where prices come from: the configuration, and folders in the place of the configured ones. */
export interface FolderOptions {
  config?: string;
  books?: string;
  contracts?: string;
}

/** Options of the verbs that price something. */
export const withPriceFolders = (command: Command): Command =>
  command
    .option(...configOption)
    .option('--books <directory>', 'folder of price books laid over the others, by provider')
    .option('--contracts <directory>', 'folder of contracts, instead of the configured one');

/** The prices a house has, with what the options say in place of its configuration. */
export const pricesOf = (options: FolderOptions): LoadedPriceBooks => {
  const { priceFolders } = configOf(options);
  const contracts = options.contracts ?? priceFolders.contracts;
  return loadHousePrices({ books: priceFolders.books, contracts }, options.books);
};

/** The one folder of books that is worked on: given, configured, or the shipped one. */
export const workFolder = (options: FolderOptions): string =>
  options.books ?? configOf(options).priceFolders.books ?? SHIPPED_BOOKS;

/** The command that publishes a draft, with the folder and configuration that were given. */
export const approveCommand = (provider: string, { books, config }: FolderOptions): string =>
  [
    `reckoner prices approve --provider ${provider}`,
    ...(books === undefined ? [] : [`--books ${books}`]),
    ...(config === undefined ? [] : [`-c ${config}`]),
    '--by NAME --yes',
  ].join(' ');

export const pricesConfig = (options: FolderOptions): ProcessConfig['prices'] =>
  configOf(options).config.process.prices;

/** The folder of contracts. Throws where neither options nor configuration name one that is there. */
export const contractFolder = (options: FolderOptions): string => {
  const folder = options.contracts ?? configOf(options).priceFolders.contracts;
  if (folder !== undefined && existsSync(folder)) return folder;
  throw new ReckonerError(
    'CONFIG_INVALID',
    folder === undefined
      ? 'No folder of contracts is named. Give it with --contracts DIR, or set process.prices.contracts and give the configuration with -c.'
      : `The folder of contracts ${folder} is not there. Make it, with one folder a contract in it.`,
  );
};
