import { Money } from '../../../pricing/money.ts';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import type { Price, PriceBook } from '../../../schemas/price-book.ts';
import type { Meter } from '../../../schemas/words.ts';
import { type PriceOverlay, PriceOverlaySchema } from './price-overlay.ts';
import { asList, asObject, equalNames, linesOfModel, type SourceLine } from './price-source.ts';
import { readSourceArray, type SourceValue } from './source-literal.ts';

/** Before any of these models was sold: stands where a source states no beginning. */
const NO_BEGINNING = '2020-01-01T00:00:00.000Z';

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
interface Line extends SourceLine {
  tier?: string[] | undefined;
  geo?: string[] | undefined;
  source: string;
  retrievedAt: string;
}

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

const overlayLines = (id: string, base: readonly Line[], overlay: PriceOverlay): Line[] => {
  const lines: Line[] = [];
  for (const rule of overlay.multiply.filter(({ models }) => models.includes(id))) {
    for (const line of base.filter(({ meter }) => rule.meters.includes(meter))) {
      const unitPrice = new Money(line.unitPrice).times(rule.by).toFixed();
      lines.push({
        ...line,
        unitPrice,
        tier: rule.tier,
        geo: rule.geo,
        source: `${rule.source}; ${rule.by} x ${line.unitPrice} of ${line.source}`,
        retrievedAt: rule.retrieved_at,
      });
    }
  }
  for (const rule of overlay.set.filter(({ models }) => models.includes(id))) {
    for (const [meter, price] of Object.entries(rule.per_million)) {
      lines.push({
        meter: meter as Meter,
        unitPrice: new Money(price ?? '').div('1000000').toFixed(),
        tier: rule.tier,
        geo: rule.geo,
        source: rule.source,
        retrievedAt: rule.retrieved_at,
      });
    }
  }
  return lines;
};

const linesOf = (entry: Entry, overlay: PriceOverlay, options: ImportOptions): Line[] => {
  const id = String(entry['id']);
  const stated = linesOfModel(entry, overlay.cache_write_meter).map((line) => ({
    ...line,
    source: `${options.sourceName}: ${overlay.provider}/${id}`,
    retrievedAt: options.retrievedAt,
  }));
  const added = overlay.add
    .filter(({ models }) => models.includes(id))
    .flatMap((rule) =>
      Object.entries(rule.unit_price).map(([meter, unitPrice]) => ({
        meter: meter as Meter,
        unitPrice: unitPrice ?? '',
        source: rule.source,
        retrievedAt: rule.retrieved_at,
      })),
    );
  const base: Line[] = [...stated, ...added];
  return [...base, ...overlayLines(id, base, overlay)];
};

const priceOf = (name: string, line: Line, options: ImportOptions, provider: string): Price => {
  const { beyondInputTokens, tier, geo } = line;
  const conditions = {
    ...(tier === undefined ? {} : { tier }),
    ...(geo === undefined ? {} : { geo }),
    ...(beyondInputTokens === undefined
      ? {}
      : { context: { operator: '>' as const, input_tokens: beyondInputTokens } }),
  };
  const marks = [
    name,
    line.meter,
    ...(tier === undefined ? [] : [tier[0]]),
    ...(geo === undefined ? [] : [`geo-${geo[0]}`]),
    ...(beyondInputTokens === undefined ? [] : [`beyond-${beyondInputTokens}`]),
    ...(line.from === undefined ? [] : [line.from.slice(0, 10)]),
  ];
  return {
    price_id: `${provider}@${options.version}/${marks.join('/')}`,
    model: name,
    meter: line.meter,
    ...(Object.keys(conditions).length === 0 ? {} : { when: conditions }),
    unit_price: line.unitPrice,
    valid_from: line.from ?? NO_BEGINNING,
    ...(line.to === undefined ? {} : { valid_to: line.to }),
    known_from: options.knownFrom,
    source: line.source,
    retrieved_at: line.retrievedAt,
  };
};

/** Models by the source's own id, with the names they are sold under; what has no certain name is left out. */
const namedEntries = (
  entries: readonly Entry[],
  overlay: PriceOverlay,
): { named: { entry: Entry; names: string[] }[]; skipped: ImportResult['skipped'] } => {
  const named: { entry: Entry; names: string[] }[] = [];
  const skipped: ImportResult['skipped'] = [];
  for (const entry of entries) {
    const id = String(entry['id']);
    const excluded = overlay.exclude.find(({ model }) => model === id);
    const curated = overlay.names.filter(({ model }) => model === id).flatMap((n) => n.names);
    const names = [...new Set([...equalNames(entry['match']), ...curated])];
    if (excluded) skipped.push({ model: id, reason: excluded.reason });
    else if (names.length === 0) skipped.push({ model: id, reason: 'matched by pattern only' });
    else named.push({ entry, names });
  }
  return { named, skipped };
};

/**
 * Makes one version of a provider's book out of a price source and the provider's curated overlay. Numbers are read from
 * the source's text. Throws where the source states something that cannot be expressed exactly, and PriceBookError
 * where the result does not pass the lint.
 */
export const importPriceBook = (options: ImportOptions): ImportResult => {
  const overlay = PriceOverlaySchema.parse(options.overlay);
  const { provider } = overlay;
  const source = readSourceArray(options.source)
    .map(asObject)
    .find(({ id }) => id === provider);
  if (!source) throw new Error(`The price source has no provider ${provider}.`);
  const { named, skipped } = namedEntries(asList(source['models']).map(asObject), overlay);
  const aliases = [...overlay.aliases];
  const prices: Price[] = [];
  for (const { entry, names } of named) {
    const standsFor = aliasesAmong(names);
    for (const [alias, model] of standsFor) {
      aliases.push({ alias, model, source: `${options.sourceName}: ${provider}/${entry['id']}` });
    }
    const lines = linesOf(entry, overlay, options);
    const own = names.filter(
      (name) => !standsFor.has(name) && !overlay.aliases.some(({ alias }) => alias === name),
    );
    prices.push(
      ...own.flatMap((name) => lines.map((line) => priceOf(name, line, options, provider))),
    );
  }
  const book: PriceBook = {
    provider,
    version: options.version,
    currency: 'USD',
    known_from: options.knownFrom,
    note: overlay.note,
    standard_tiers: overlay.standard_tiers,
    standard_geos: overlay.standard_geos,
    aliases,
    prices,
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
