import type { SecretReference } from '../../../schemas/control-record.ts';
import type { HouseConfig } from '../../../schemas/house-config.ts';
import { checkRecords } from '../../console/apply-records.ts';
import type { LoadedConfig } from '../../platform/config.ts';
import { nearName } from '../../platform/near-name.ts';
import { describeOwnBooks } from '../../platform/price-book-files.ts';
import type { LoadedPriceBooks } from '../../platform/price-books.ts';
import { loadHousePrices } from '../../platform/price-books.ts';
import { upstreamProblems } from '../../proxy/upstream-problems.ts';
import { EXIT } from '../run-process.ts';

const NOTHING_IN_FORCE = {
  tenants: new Map(),
  keys: new Map(),
  upstreams: new Map(),
  routes: new Map(),
  budgets: new Map(),
  mappings: new Map(),
};

const secretsOfProcess = ({ process }: HouseConfig): [string, SecretReference | undefined][] => [
  ['process.back_office.bootstrap_token', process.back_office.bootstrap_token],
  [
    'process.warehouse.password',
    process.warehouse.kind === 'clickhouse' ? process.warehouse.password : undefined,
  ],
  ['process.stripe.api_key', process.stripe?.api_key],
];

const processProblems = ({ config, resolveSecret }: LoadedConfig): string[] =>
  secretsOfProcess(config).flatMap(([place, reference]) => {
    try {
      if (reference) resolveSecret(reference);
      return [];
    } catch (error) {
      return [`${place}: ${(error as Error).message}`];
    }
  });

/** Upstreams whose calls no book prices. That may be meant, such as for a model on one's own machine. */
const bookWarnings = ({ records }: HouseConfig, prices: LoadedPriceBooks): string[] => {
  const books = [...new Set(prices.books.books.map(({ provider }) => provider))].sort();
  return records.upstreams
    .filter(({ provider }) => !books.includes(provider))
    .map(({ id, provider }) => {
      const meant = nearName(provider, books);
      return `upstream ${id}: no price book for provider ${JSON.stringify(provider)}; its calls will be unrated. Books: ${books.join(', ')}.${meant === null ? '' : ` Did you mean ${meant}?`}`;
    });
};

/** Upstreams whose policy for unknown prices cannot work: without a book there is neither a price to find nor a dearest one. */
const policyProblems = ({ records }: HouseConfig, prices: LoadedPriceBooks): string[] => {
  const books = new Set(prices.books.books.map(({ provider }) => provider));
  return records.upstreams
    .filter(({ provider, unknown_price: policy }) => {
      return (policy === 'block' || policy === 'ceiling') && !books.has(provider);
    })
    .map(({ id, provider, unknown_price: policy }) =>
      policy === 'block'
        ? `upstream ${id}: unknown_price is block and provider ${JSON.stringify(provider)} has no price book, so every call would be refused. Publish a book, or set unknown_price to pass.`
        : `upstream ${id}: unknown_price is ceiling and provider ${JSON.stringify(provider)} has no price book, so there is no dearest price to count at. Publish a book, or set unknown_price to block or pass.`,
    );
};

/** Azure is asked for deployments: only those named like their models have a price that can be found beforehand. */
const deploymentWarnings = ({ records }: HouseConfig): string[] =>
  records.upstreams
    .filter(({ dialect, unknown_price: policy }) => dialect === 'azure' && policy === 'block')
    .map(
      ({ id }) =>
        `upstream ${id}: unknown_price is block, and Azure is asked for deployments; those not named like their models are refused.`,
    );

/** A folder of one's own stands still where the product moves on; and an account nobody has gets no agreed price. */
const folderWarnings = (loaded: LoadedConfig, prices: LoadedPriceBooks): string[] => {
  const folder = loaded.priceFolders.books;
  const { replaces } = folder === undefined ? { replaces: [] } : describeOwnBooks(folder);
  const upstreams = new Set(loaded.config.records.upstreams.map(({ id }) => id));
  return [
    ...replaces.map(
      ({ provider, versions, shipped }) =>
        `prices of ${provider} come from ${folder} alone (${versions} version(s)), not from the book shipped with the product (${shipped}).`,
    ),
    ...prices.contracts.flatMap(({ contract, version, accounts }) =>
      accounts
        .filter((account) => !upstreams.has(account))
        .map((account) => {
          const meant = nearName(account, [...upstreams]);
          return `contract ${contract}@${version}: account ${account} is the id of no upstream in this file.${meant === null ? '' : ` Did you mean ${meant}?`}`;
        }),
    ),
  ];
};

const loadPrices = (
  loaded: LoadedConfig,
): { prices: LoadedPriceBooks | null; problems: string[] } => {
  try {
    return { prices: loadHousePrices(loaded.priceFolders), problems: [] };
  } catch (error) {
    return { prices: null, problems: [`process.prices: ${(error as Error).message}`] };
  }
};

/**
 * `reckoner config check`: what `up` would refuse, and what would keep every call to an upstream from working (exit code 2); warnings of
 * what may be meant change no exit code. Writes no file: the pepper of the house is not needed to find a problem.
 */
export const checkConfig = (loaded: LoadedConfig): number => {
  const { config, resolveSecret } = loaded;
  const file = loaded.path ?? 'the default configuration';
  const { problems } = checkRecords(config.records, NOTHING_IN_FORCE, {
    pepper: 'not kept',
    resolveSecret,
  });
  const { prices, problems: ofPrices } = loadPrices(loaded);
  problems.unshift(...processProblems(loaded), ...ofPrices);
  problems.push(
    ...config.records.upstreams.flatMap((upstream) => upstreamProblems(upstream, resolveSecret)),
    ...(prices ? policyProblems(config, prices) : []),
  );
  process.stderr.write(
    problems.length === 0 ? `${file} is valid\n` : `${file} has ${problems.length} problem(s):\n`,
  );
  for (const problem of problems) process.stderr.write(`  ${problem}\n`);
  const warnings = prices
    ? [
        ...bookWarnings(config, prices),
        ...folderWarnings(loaded, prices),
        ...deploymentWarnings(config),
      ]
    : [];
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  return problems.length === 0 ? EXIT.ok : EXIT.usage;
};
