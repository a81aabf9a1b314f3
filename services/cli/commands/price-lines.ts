import { Money } from '../../../pricing/money.ts';
import type { Price } from '../../../schemas/price-book.ts';
import type { Meter } from '../../../schemas/words.ts';
import type { PriceOverlay } from './price-overlay.ts';
import { linesOfModel, type SourceLine } from './price-source.ts';
import type { SourceValue } from './source-literal.ts';

/** Before any of these models was sold: stands where a source states no beginning. */
const NO_BEGINNING = '2020-01-01T00:00:00.000Z';

/** What every price of one version has in common. */
export interface VersionFacts {
  provider: string;
  /** Name, version and licence of the source; kept with every price. */
  sourceName: string;
  version: number;
  knownFrom: string;
  /** Day the source was fetched, YYYY-MM-DD. */
  retrievedAt: string;
}

/** A price of one source entry, with what the overlay makes of it; names come later. */
export interface Line extends SourceLine {
  tier?: string[] | undefined;
  geo?: string[] | undefined;
  source: string;
  retrievedAt: string;
}

type Rule = PriceOverlay['multiply'][number];

const multiplied = (line: Line, rule: Rule): Line => ({
  ...line,
  meter: rule.as ?? line.meter,
  unitPrice: new Money(line.unitPrice).times(rule.by).toFixed(),
  tier: rule.tier,
  geo: rule.geo,
  source: `${rule.source}; ${rule.by} x ${line.unitPrice} of ${line.source}`,
  retrievedAt: rule.retrieved_at,
});

const listed = (rule: PriceOverlay['set'][number]): Line[] =>
  Object.entries(rule.per_million).map(([meter, price]) => ({
    meter: meter as Meter,
    unitPrice: new Money(price ?? '').div('1000000').toFixed(),
    tier: rule.tier,
    geo: rule.geo,
    source: rule.source,
    retrievedAt: rule.retrieved_at,
  }));

/** All prices of one model of the source: as stated, added by people, derived, multiplied, listed apart. */
export const linesOfEntry = (
  entry: { [key: string]: SourceValue },
  overlay: PriceOverlay,
  facts: VersionFacts & { sourceProvider: string },
): Line[] => {
  const id = String(entry['id']);
  const ofModel = <T extends { models: string[] }>(rules: readonly T[]): T[] =>
    rules.filter(({ models }) => models.includes(id) || models.includes('*'));
  const stated = linesOfModel(entry, {
    cacheWrite: overlay.cache_write_meter,
    dropped: ofModel(overlay.drop ?? []).flatMap(({ keys }) => keys),
    knownFrom: facts.knownFrom,
  }).map((line) => ({
    ...line,
    source: `${facts.sourceName}: ${facts.sourceProvider}/${id}`,
    retrievedAt: facts.retrievedAt,
  }));
  const added = ofModel(overlay.add).flatMap((rule) =>
    Object.entries(rule.unit_price).map(([meter, unitPrice]) => ({
      meter: meter as Meter,
      unitPrice: unitPrice ?? '',
      source: rule.source,
      retrievedAt: rule.retrieved_at,
    })),
  );
  const plain: Line[] = [...stated, ...added];
  const apply = (rules: readonly Rule[], lines: readonly Line[]): Line[] =>
    rules.flatMap((rule) =>
      lines
        .filter(({ meter }) => rule.meters.includes(meter))
        .filter(
          ({ meter }) =>
            rule.as === undefined || !stated.some((s) => s.meter === rule.as && meter !== rule.as),
        )
        .map((line) => multiplied(line, rule)),
    );
  const rules = ofModel(overlay.multiply);
  const isPlain = (rule: Rule): boolean => rule.tier === undefined && rule.geo === undefined;
  const base = [...plain, ...apply(rules.filter(isPlain), plain)];
  return [
    ...base,
    ...apply(
      rules.filter((rule) => !isPlain(rule)),
      base,
    ),
    ...ofModel(overlay.set).flatMap(listed),
  ];
};

const contextOf = (beyond: number, overlay: PriceOverlay) => {
  const above = beyond + 1;
  if (overlay.cliffs_at_or_above?.includes(above)) {
    return { operator: '>=' as const, input_tokens: above };
  }
  return {
    operator: '>' as const,
    input_tokens: overlay.cliffs_above?.includes(above) ? above : beyond,
  };
};

const priceId = (facts: VersionFacts, marks: readonly (string | undefined)[]): string =>
  `${facts.provider}@${facts.version}/${marks.filter((mark) => mark !== undefined).join('/')}`;

/** One line under one name. */
export const priceOfLine = (
  name: string,
  line: Line,
  facts: VersionFacts,
  overlay: PriceOverlay,
): Price => {
  const { beyondInputTokens, tier, geo, time, perRequest, from, to } = line;
  const context =
    beyondInputTokens === undefined ? undefined : contextOf(beyondInputTokens, overlay);
  const conditions = {
    ...(tier === undefined ? {} : { tier }),
    ...(geo === undefined ? {} : { geo }),
    ...(context === undefined ? {} : { context }),
    ...(time === undefined ? {} : { time }),
  };
  return {
    price_id: priceId(facts, [
      name,
      line.meter,
      tier?.[0],
      geo && `geo-${geo[0]}`,
      context && `${context.operator === '>' ? 'beyond' : 'from'}-${context.input_tokens}`,
      time && `${time.windows[0]?.from}-${time.windows[0]?.to}`,
      from?.slice(0, 10),
    ]),
    model: name,
    meter: line.meter,
    ...(Object.keys(conditions).length === 0 ? {} : { when: conditions }),
    unit_price: line.unitPrice,
    valid_from: from ?? NO_BEGINNING,
    ...(to === undefined ? {} : { valid_to: to }),
    known_from: facts.knownFrom,
    source: line.source,
    retrieved_at: line.retrievedAt,
    ...(perRequest ? { per_request: true as const } : {}),
  };
};

/** The prices that people state in full. */
export const statedPrices = (overlay: PriceOverlay, facts: VersionFacts): Price[] =>
  (overlay.state ?? []).flatMap((rule, place) => {
    const { tier, geo, context, time, per_request, claim } = rule;
    const when = Object.fromEntries(
      Object.entries({ tier, geo, context, time }).filter(([, value]) => value !== undefined),
    );
    const perUnit = [
      ...Object.entries(rule.per_million ?? {}).map(
        ([meter, price]) => [meter, new Money(price ?? '').div('1000000').toFixed()] as const,
      ),
      ...Object.entries(rule.unit_price ?? {}).map(
        ([meter, price]) => [meter, price ?? ''] as const,
      ),
    ];
    return rule.names.flatMap((name) =>
      perUnit.map(
        ([meter, unitPrice]): Price => ({
          price_id: priceId(facts, [
            name,
            meter,
            tier?.[0],
            rule.valid_from?.slice(0, 16),
            `stated-${place + 1}`,
          ]),
          model: name,
          meter: meter as Meter,
          ...(Object.keys(when).length === 0 ? {} : { when }),
          unit_price: unitPrice,
          valid_from: rule.valid_from ?? NO_BEGINNING,
          ...(rule.valid_to === undefined ? {} : { valid_to: rule.valid_to }),
          known_from: facts.knownFrom,
          source: rule.source,
          retrieved_at: rule.retrieved_at,
          ...(per_request === undefined ? {} : { per_request }),
          ...(claim === undefined ? {} : { claim }),
        }),
      ),
    );
  });
