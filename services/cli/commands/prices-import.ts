import { createPriceBooks } from '../../../pricing/price-books.ts';
import type { Price, PriceBook } from '../../../schemas/price-book.ts';
import { linesOfEntry, priceOfLine, statedPrices, type VersionFacts } from './price-lines.ts';
import { type PriceOverlay, PriceOverlaySchema } from './price-overlay.ts';
import { asList, asObject, equalNames } from './price-source.ts';
import { readSourceArray, type SourceValue } from './source-literal.ts';

export interface ImportOptions {
  /** Text of the source: the bundle of genai-prices, or its JSON data. */
  source: string;
  /** Name, version and licence of the source; kept with every price. */
  sourceName: string;
  /** The curated overlay of the provider, as parsed JSON. */
  overlay: unknown;
  version: number;
  knownFrom: string;
  /** Day the source was fetched, YYYY-MM-DD. */
  retrievedAt: string;
}

export interface ImportResult {
  book: PriceBook;
  /** Models of the source that are not in the book, each with the reason. */
  skipped: { model: string; reason: string }[];
}

type Entry = { [key: string]: SourceValue };
const DATE_SUFFIX = /-(\d{4}-\d{2}-\d{2}|\d{8})$/;

/**
 * Names that stand for another name of the same source entry: an undated name for its only snapshot, a spelling with dashes for
 * the one with dots. Everything else is a model of its own.
 */
const aliasesAmong = (names: readonly string[]): Map<string, string> => {
  const aliases = new Map<string, string>();
  for (const name of names) {
    const snapshots = names.filter(
      (other) => DATE_SUFFIX.test(other) && other.replace(DATE_SUFFIX, '') === name,
    );
    if (snapshots.length === 1 && snapshots[0] !== undefined) aliases.set(name, snapshots[0]);
  }
  for (const name of names) {
    const dotted = names.find((other) => other !== name && other.replaceAll('.', '-') === name);
    if (dotted !== undefined) aliases.set(name, aliases.get(dotted) ?? dotted);
  }
  return aliases;
};

/**
 * Models by the source's own id, with the names they are sold under; what has no certain name is left out. What an overlay
 * excludes is of the provider's own list: the same id of another provider is wanted where the overlay includes it.
 */
const namedEntries = (
  { entries, included }: SourceEntries,
  overlay: PriceOverlay,
): { named: { entry: Entry; names: string[] }[]; skipped: ImportResult['skipped'] } => {
  const named: { entry: Entry; names: string[] }[] = [];
  const skipped: ImportResult['skipped'] = [];
  for (const entry of entries) {
    const id = String(entry['id']);
    const excluded = included ? undefined : overlay.exclude.find(({ model }) => model === id);
    const curated = overlay.names.filter(({ model }) => model === id).flatMap((n) => n.names);
    const names = [...new Set([...equalNames(entry['match']), ...curated])];
    if (excluded) skipped.push({ model: id, reason: excluded.reason });
    else if (names.length === 0) skipped.push({ model: id, reason: 'matched by pattern only' });
    else if (
      Object.keys(asObject(entry['prices'])).length === 0 &&
      asList(entry['prices']).length === 0
    )
      skipped.push({ model: id, reason: 'the source states no price' });
    else named.push({ entry, names });
  }
  return { named, skipped };
};

/** Whether people state claims in the place of this price: the source is then one of those that contradict each other. */
const isDisputed = (price: Price, stated: readonly Price[]): boolean =>
  stated.some(
    (claim) =>
      claim.claim !== undefined &&
      claim.model === price.model &&
      claim.meter === price.meter &&
      claim.valid_from === price.valid_from &&
      JSON.stringify(claim.when) === JSON.stringify(price.when),
  );

interface SourceEntries {
  sourceProvider: string;
  /** Taken from another provider, model by model. */
  included: boolean;
  entries: Entry[];
}

/** The entries to take: the provider's own, and those of others that the overlay includes. */
const entriesOf = (text: string, overlay: PriceOverlay): SourceEntries[] => {
  const own = overlay.source_provider === undefined ? overlay.provider : overlay.source_provider;
  const all = readSourceArray(text).map(asObject);
  const modelsOf = (sourceProvider: string): Entry[] => {
    const source = all.find(({ id }) => id === sourceProvider);
    if (!source) throw new Error(`The price source has no provider ${sourceProvider}.`);
    return asList(source['models']).map(asObject);
  };
  const included = (overlay.include ?? []).map(({ source_provider: sourceProvider, models }) => ({
    sourceProvider,
    included: true,
    entries: modelsOf(sourceProvider).filter((entry) => models.includes(String(entry['id']))),
  }));
  return own === null
    ? included
    : [{ sourceProvider: own, included: false, entries: modelsOf(own) }, ...included];
};

/**
 * Makes one version of a provider's book out of a price source and the provider's curated overlay. Numbers are read from
 * the source's text. Throws where the source states something that cannot be expressed exactly, and PriceBookError
 * where the result does not pass the lint.
 */
export const importPriceBook = (options: ImportOptions): ImportResult => {
  const overlay = PriceOverlaySchema.parse(options.overlay);
  const facts: VersionFacts = { ...options, provider: overlay.provider };
  const skipped: ImportResult['skipped'] = [];
  const aliases = [...overlay.aliases];
  const prices: Price[] = [];
  for (const listed of entriesOf(options.source, overlay)) {
    const { sourceProvider } = listed;
    const found = namedEntries(listed, overlay);
    skipped.push(...found.skipped);
    for (const { entry, names } of found.named) {
      const standsFor = aliasesAmong(names);
      const source = `${options.sourceName}: ${sourceProvider}/${entry['id']}`;
      for (const [alias, model] of standsFor) aliases.push({ alias, model, source });
      const lines = linesOfEntry(entry, overlay, { ...facts, sourceProvider });
      const own = names.filter(
        (name) => !standsFor.has(name) && !overlay.aliases.some(({ alias }) => alias === name),
      );
      prices.push(
        ...own.flatMap((name) => lines.map((line) => priceOfLine(name, line, facts, overlay))),
      );
    }
  }
  const stated = statedPrices(overlay, facts);
  const all = [...prices.filter((price) => !isDisputed(price, stated)), ...stated];
  const book: PriceBook = {
    provider: overlay.provider,
    version: options.version,
    currency: 'USD',
    known_from: options.knownFrom,
    note: overlay.note,
    standard_tiers: overlay.standard_tiers,
    standard_geos: overlay.standard_geos,
    aliases,
    prices: all,
    ...(overlay.allowances === undefined ? {} : { allowances: overlay.allowances }),
    ...(overlay.pass_through === undefined ? {} : { pass_through: overlay.pass_through }),
  };
  if (options.version === 1) createPriceBooks([book]);
  return { book, skipped };
};

/** A book as text: one price a line, so that a change can be reviewed as a diff. */
export const formatPriceBook = (book: PriceBook): string => {
  const { aliases, prices, ...head } = book;
  const list = (items: readonly unknown[]): string =>
    items.length === 0
      ? '[]'
      : `[\n    ${items.map((item) => JSON.stringify(item)).join(',\n    ')}\n  ]`;
  const fields = Object.entries(head).map(([key, value]) => `  "${key}": ${JSON.stringify(value)}`);
  return `{\n${fields.join(',\n')},\n  "aliases": ${list(aliases)},\n  "prices": ${list(prices)}\n}\n`;
};
