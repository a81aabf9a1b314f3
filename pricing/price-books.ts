import type { Instant } from '../schemas/instant.ts';
import type { ContractBook, Price, PriceBook } from '../schemas/price-book.ts';
import type { Meter } from '../schemas/words.ts';
import type { AccountTerms } from './contract-prices.ts';
import { indexContracts, lintContracts } from './contract-prices.ts';
import { lintPriceBooks, lintSchedules } from './price-book-lint.ts';
import type { FoundPrice, Schedule } from './price-schedule.ts';
import { addToSchedule, findInSchedule, sortSchedule, withScaledPrice } from './price-schedule.ts';

/** Books that cannot be trusted with money. Lists every problem found, not only the first. */
export class PriceBookError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    const shown = problems.slice(0, 20).join('\n  ');
    const rest = problems.length > 20 ? `\n  and ${problems.length - 20} more` : '';
    super(
      `The price books have ${problems.length} problem(s); nothing was loaded:\n  ${shown}${rest}`,
    );
    this.name = 'PriceBookError';
    this.problems = problems;
  }
}

/** Everything but the meter that decides a price. Tier and geo as the provider says them; undefined: it said nothing. */
export interface PriceQuery {
  provider: string;
  model: string;
  tier?: string | undefined;
  geo?: string | undefined;
  /** Total input of the request, cached included, as a count of 10^-6 tokens. */
  scaledInputTokens: bigint;
  at: Instant;
  knownAt: Instant;
  /** The provider account that is billed; decides which contract prices apply. */
  account?: string | undefined;
}

/** The one price of a meter, or a claim of it; null when there is none. Never a price of another tier, geography or model. */
export type PriceOfMeter = (meter: Meter) => FoundPrice | null;

interface VersionInfo {
  version: number;
  knownFrom: Instant;
  standardTiers: ReadonlySet<string>;
  standardGeos: ReadonlySet<string>;
}

interface ModelPrices {
  firstKnown: Instant;
  /** By `meter|tier|geo`. */
  schedules: Map<string, Schedule>;
  /** The same by `tier|geo` and meter, for the hot path: no key is put together for each meter. */
  byCircumstance: Map<string, Map<Meter, Schedule>>;
}

interface ProviderIndex {
  /** Newest first. */
  versions: VersionInfo[];
  models: Map<string, ModelPrices>;
  aliases: Map<string, { model: string; knownFrom: Instant }[]>;
}

/** Validated, indexed books of every provider. Immutable. */
export interface PriceBooks {
  readonly books: readonly PriceBook[];
  /** When the newest loaded version was known: the `knownAt` that a rater uses, so that a replay rates alike. */
  readonly newestKnownFrom: Instant;
  /** The version of a provider's book in force at an instant of knowledge; null when there was none yet. */
  versionAt(provider: string, knownAt: Instant): number | null;
  /** The model a name is priced as: itself, or the target of an explicit alias; null when no book names it. */
  modelOf(provider: string, name: string, knownAt: Instant): string | null;
  /** `name@version` of the contracts an account is billed under; null when there is none. */
  contractAt(provider: string, account: string, knownAt: Instant): string | null;
  /** What applies to a query, meter by meter; null when no book names the model. */
  pricesOf(query: PriceQuery): PriceOfMeter | null;
}

const scheduleKey = (meter: string, tier: string, geo: string): string => `${meter}|${tier}|${geo}`;

const addPrice = (models: Map<string, ModelPrices>, price: Price): void => {
  let model = models.get(price.model);
  if (!model) {
    model = { firstKnown: price.known_from, schedules: new Map(), byCircumstance: new Map() };
    models.set(price.model, model);
  }
  if (price.known_from < model.firstKnown) model.firstKnown = price.known_from;
  const found = withScaledPrice(price);
  for (const tier of price.when?.tier ?? ['']) {
    for (const geo of price.when?.geo ?? ['']) {
      const key = scheduleKey(price.meter, tier, geo);
      const schedule = model.schedules.get(key) ?? [];
      model.schedules.set(key, schedule);
      const meters = model.byCircumstance.get(`${tier}|${geo}`) ?? new Map<Meter, Schedule>();
      model.byCircumstance.set(`${tier}|${geo}`, meters.set(price.meter, schedule));
      addToSchedule(schedule, found);
    }
  }
};

const indexProvider = (books: readonly PriceBook[]): ProviderIndex => {
  const index: ProviderIndex = { versions: [], models: new Map(), aliases: new Map() };
  const seen = new Set<string>();
  for (const book of books) {
    index.versions.unshift({
      version: book.version,
      knownFrom: book.known_from,
      standardTiers: new Set(book.standard_tiers),
      standardGeos: new Set(book.standard_geos),
    });
    for (const price of book.prices) {
      if (seen.has(price.price_id)) continue;
      seen.add(price.price_id);
      addPrice(index.models, price);
    }
    for (const { alias, model } of book.aliases) {
      const entries = index.aliases.get(alias) ?? [];
      index.aliases.set(alias, entries);
      entries.unshift({ model, knownFrom: book.known_from });
    }
  }
  for (const { schedules } of index.models.values()) {
    for (const schedule of schedules.values()) sortSchedule(schedule);
  }
  return index;
};

const resolveModel = (index: ProviderIndex, name: string, knownAt: Instant): string | null => {
  const own = index.models.get(name);
  if (own && own.firstKnown <= knownAt) return name;
  const alias = index.aliases.get(name)?.find((entry) => entry.knownFrom <= knownAt);
  return alias?.model ?? null;
};

const NO_PRICE: PriceOfMeter = () => null;

const pricesOf = (
  index: ProviderIndex,
  query: PriceQuery,
  terms: AccountTerms | undefined,
): PriceOfMeter | null => {
  const version = index.versions.find((v) => v.knownFrom <= query.knownAt);
  const name = resolveModel(index, query.model, query.knownAt);
  const model = name === null ? undefined : index.models.get(name);
  if (!version || name === null || !model) return null;
  const { tier, geo, at, knownAt, scaledInputTokens } = query;
  const tierKey = tier === undefined || version.standardTiers.has(tier) ? '' : tier;
  const geoKey = geo === undefined || version.standardGeos.has(geo) ? '' : geo;
  const meters = model.byCircumstance.get(`${tierKey}|${geoKey}`);
  if (!meters) return NO_PRICE;
  // The standard list, where a tier has one of its own: it says whether the model costs otherwise at this length.
  const standard = tierKey === '' ? undefined : model.byCircumstance.get(`|${geoKey}`);
  // What a book announced waits for a version of that book, not for whatever book is published next.
  const when = { at, knownAt, begunBy: version.knownFrom, scaledInputTokens };
  const find = (list: typeof meters, meter: Meter): FoundPrice | null => {
    const schedule = list.get(meter);
    return schedule ? findInSchedule(schedule, when) : null;
  };
  const isBanded = (found: FoundPrice | null): boolean => found?.price.when?.context !== undefined;
  return (meter) => {
    const found = find(meters, meter);
    // The tier's list does not say what long requests cost: its price for short ones is not it.
    if (standard && !isBanded(found) && isBanded(find(standard, meter))) return null;
    return found && terms ? terms.apply(found, { at, knownAt, listModel: name }) : found;
  };
};

const byProvider = (books: readonly PriceBook[]): Map<string, PriceBook[]> => {
  const groups = new Map<string, PriceBook[]>();
  for (const book of books) {
    const group = groups.get(book.provider) ?? [];
    groups.set(book.provider, group);
    group.push(book);
  }
  for (const group of groups.values()) group.sort((left, right) => left.version - right.version);
  return groups;
};

/**
 * Validates and indexes price books. Throws PriceBookError naming every problem: what the schema refuses (more than 12
 * decimal places among it), gaps in versions, one price_id with two contents, implausible prices, incomplete models.
 */
export const createPriceBooks = (
  books: readonly PriceBook[],
  contracts: readonly ContractBook[] = [],
): PriceBooks => {
  const problems = [...lintPriceBooks(books), ...lintContracts(contracts)];
  if (problems.length > 0) throw new PriceBookError(problems);
  const providers = new Map<string, ProviderIndex>();
  for (const [provider, group] of byProvider(books)) {
    const index = indexProvider(group);
    providers.set(provider, index);
    for (const [model, { schedules }] of index.models) {
      problems.push(...lintSchedules(`${provider} ${model}`, schedules));
    }
  }
  if (problems.length > 0) throw new PriceBookError(problems);
  const terms = indexContracts(contracts);
  const newestKnownFrom =
    [...books, ...contracts]
      .map((book) => book.known_from)
      .sort()
      .at(-1) ?? '1970-01-01T00:00:00.000Z';
  return {
    books: [...books],
    newestKnownFrom,
    versionAt: (provider, knownAt) =>
      providers.get(provider)?.versions.find((v) => v.knownFrom <= knownAt)?.version ?? null,
    modelOf: (provider, name, knownAt) => {
      const index = providers.get(provider);
      return index ? resolveModel(index, name, knownAt) : null;
    },
    contractAt: (provider, account, knownAt) =>
      terms.size === 0 ? null : (terms.get(`${provider} ${account}`)?.versionAt(knownAt) ?? null),
    pricesOf: (query) => {
      const index = providers.get(query.provider);
      if (!index) return null;
      const { provider, account } = query;
      return pricesOf(
        index,
        query,
        account === undefined || terms.size === 0 ? undefined : terms.get(`${provider} ${account}`),
      );
    },
  };
};
