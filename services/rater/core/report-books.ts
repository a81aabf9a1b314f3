import type { Instant } from '../../../schemas/instant.ts';
import type { ContractBook, PriceBook } from '../../../schemas/price-book.ts';
import type { ReportRecipe } from '../../../schemas/report.ts';

/** Published versions as they lie in the folders. */
export interface PublishedPrices {
  readonly books: readonly PriceBook[];
  readonly contracts: readonly ContractBook[];
}

/** SHA-256 of a text, hex. */
export type Sha256 = (text: string) => string;

/** JSON with the keys of every object in order, so that how a file was written does not show. */
const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)))
      : part,
  );

interface Version {
  readonly version: number;
  readonly known_from: Instant;
}

const upTo = <Book extends Version>(versions: readonly Book[], version: number): Book[] =>
  versions
    .filter((book) => book.version <= version)
    .sort((left, right) => left.version - right.version);

const newestAt = (versions: readonly Version[], knownAt: Instant): number | null =>
  versions
    .filter(({ known_from }) => known_from <= knownAt)
    .reduce<number | null>((newest, { version }) => Math.max(newest ?? 0, version), null);

const hashOf = (versions: readonly Version[], version: number, sha256: Sha256): string =>
  sha256(upTo(versions, version).map(canonicalJson).join('\n'));

const ofProvider = (prices: PublishedPrices, provider: string): PriceBook[] =>
  prices.books.filter((book) => book.provider === provider);

const ofContract = (prices: PublishedPrices, name: string, provider: string): ContractBook[] =>
  prices.contracts.filter(({ contract, provider: sold }) => contract === name && sold === provider);

type UsedPrices = Pick<ReportRecipe, 'books' | 'contracts'>;

/** The versions by which usage of these providers is rated at an instant of knowledge, as a recipe names them. */
export const pricesUsed = (
  prices: PublishedPrices,
  { providers, knownAt }: { providers: Iterable<string>; knownAt: Instant },
  sha256: Sha256,
): UsedPrices => {
  const names = [...new Set(providers)].sort();
  const books = names.map((provider) => {
    const versions = ofProvider(prices, provider);
    const version = newestAt(versions, knownAt);
    return {
      provider,
      version,
      sha256: version === null ? null : hashOf(versions, version, sha256),
    };
  });
  const contracts = names.flatMap((provider) => {
    const sold = prices.contracts.filter((book) => book.provider === provider);
    return [...new Set(sold.map(({ contract }) => contract))].sort().flatMap((contract) => {
      const versions = ofContract(prices, contract, provider);
      const version = newestAt(versions, knownAt);
      if (version === null) return [];
      return [{ contract, provider, version, sha256: hashOf(versions, version, sha256) }];
    });
  });
  return { books, contracts };
};

/** Missing versions that are named: a recipe may ask for any number of them. */
const MISSING_MAX = 20;

const problemOf = (
  what: string,
  found: readonly Version[],
  wanted: { version: number; sha256: string },
  sha256: Sha256,
): string[] => {
  const there = new Set(found.map(({ version }) => version));
  const missing: number[] = [];
  for (let version = 1; version <= wanted.version && missing.length < MISSING_MAX; version += 1) {
    if (!there.has(version)) missing.push(version);
  }
  if (missing.length > 0) return missing.map((version) => `${what}@${version} is not there`);
  return hashOf(found, wanted.version, sha256) === wanted.sha256
    ? []
    : [`${what}, versions 1 to ${wanted.version}, does not say what it said`];
};

/**
 * Exactly the versions that a recipe names: those published since, and those of providers it does not name, are left out.
 * @returns `problems` names what is not there or was edited; then the prices must not be used.
 */
export const pinPrices = (
  prices: PublishedPrices,
  recipe: UsedPrices,
  sha256: Sha256,
): { prices: PublishedPrices; problems: string[] } => {
  const problems: string[] = [];
  const books = recipe.books.flatMap(({ provider, version, sha256: hash }) => {
    if (version === null || hash === null) return [];
    const found = ofProvider(prices, provider);
    problems.push(...problemOf(`book ${provider}`, found, { version, sha256: hash }, sha256));
    return upTo(found, version);
  });
  const contracts = recipe.contracts.flatMap(({ contract, provider, version, sha256: hash }) => {
    const found = ofContract(prices, contract, provider);
    problems.push(...problemOf(`contract ${contract}`, found, { version, sha256: hash }, sha256));
    return upTo(found, version);
  });
  return { prices: { books, contracts }, problems };
};
