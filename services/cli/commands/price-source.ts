import { Money } from '../../../pricing/money.ts';
import type { TimeBand } from '../../../schemas/price-book.ts';
import type { Meter } from '../../../schemas/words.ts';
import { SourceNumber, type SourceValue } from './source-literal.ts';

/** A price of the source before it belongs to a name. Times as far as the source states them. */
export interface SourceLine {
  meter: Meter;
  unitPrice: string;
  /** Total input tokens beyond which (strictly) the whole request has this price. */
  beyondInputTokens?: number;
  /** Hours at which it holds, UTC. */
  time?: TimeBand;
  /** Owed once a request, whether or not the usage counts requests. */
  perRequest?: true;
  from?: string;
  to?: string;
}

type SourceObject = { [key: string]: SourceValue };
type Per = 'million' | 'thousand' | 'hour';

const UNITS_PER: Record<Per, string> = { million: '1000000', thousand: '1000', hour: '3600' };

/** The source's price keys: of which meters they are the price, and per how many. */
const PRICE_KEYS: Record<string, { meters: readonly Meter[]; per: Per }> = {
  input_mtok: { meters: ['input_uncached'], per: 'million' },
  output_mtok: { meters: ['output_text', 'output_reasoning'], per: 'million' },
  cache_read_mtok: { meters: ['cache_read'], per: 'million' },
  cache_write_1h_mtok: { meters: ['cache_write_1h'], per: 'million' },
  input_audio_mtok: { meters: ['input_uncached.audio'], per: 'million' },
  cache_audio_read_mtok: { meters: ['cache_read.audio'], per: 'million' },
  output_audio_mtok: { meters: ['output_text.audio'], per: 'million' },
  input_image_mtok: { meters: ['input_uncached.image'], per: 'million' },
  cache_image_read_mtok: { meters: ['cache_read.image'], per: 'million' },
  output_image_mtok: { meters: ['output_text.image'], per: 'million' },
  web_searches_kcount: { meters: ['web_search_requests'], per: 'thousand' },
  storage_searches_kcount: { meters: ['file_search_calls'], per: 'thousand' },
  input_video_mtok: { meters: ['input_uncached.video'], per: 'million' },
  output_video_mtok: { meters: ['output_text.video'], per: 'million' },
  output_reasoning_mtok: { meters: ['output_reasoning'], per: 'million' },
  requests_kcount: { meters: ['requests'], per: 'thousand' },
  input_document_kpages: { meters: ['pages'], per: 'thousand' },
  audio_hours: { meters: ['audio_seconds'], per: 'hour' },
  input_audio_hours: { meters: [], per: 'hour' }, // states audio_hours once more
};

export const asObject = (value: SourceValue | undefined): SourceObject =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof SourceNumber)
    ? value
    : {};

export const asList = (value: SourceValue | undefined): SourceValue[] =>
  Array.isArray(value) ? value : [];

/** Every name the source states by equality. What it matches by prefix or pattern is never taken for a name. */
export const equalNames = (match: SourceValue | undefined): string[] => {
  const rule = asObject(match);
  if (typeof rule['equals'] === 'string') return [rule['equals']];
  return asList(rule['or']).flatMap(equalNames);
};

/** The exact price of one unit; throws where it would need rounding. */
const perUnit = (key: string, number: SourceValue | undefined, per: Per): string => {
  if (!(number instanceof SourceNumber)) throw new Error(`The price of ${key} is not a number.`);
  const price = new Money(number.text).div(UNITS_PER[per]);
  if (price.decimalPlaces() > 12) {
    throw new Error(`${key} ${number.text} is no exact price of one unit in 12 decimal places.`);
  }
  return price.toFixed();
};

const linesOfKey = (key: string, value: SourceValue, cacheWrite: Meter): SourceLine[] => {
  const rule =
    key === 'cache_write_mtok'
      ? { meters: [cacheWrite], per: 'million' as const }
      : PRICE_KEYS[key];
  if (!rule) throw new Error(`The price key ${key} is of no known meter; map it first.`);
  const base = value instanceof SourceNumber ? value : asObject(value)['base'];
  const bands = asList(asObject(value)['tiers']).map(asObject);
  return rule.meters.flatMap((meter) => [
    {
      meter,
      unitPrice: perUnit(key, base, rule.per),
      ...(key === 'requests_kcount' ? { perRequest: true as const } : {}),
    },
    ...bands.map((band): SourceLine => {
      const start = band['start'];
      if (!(start instanceof SourceNumber)) throw new Error(`A band of ${key} has no start.`);
      return {
        meter,
        unitPrice: perUnit(key, band['price'], rule.per),
        beyondInputTokens: new Money(start.text).toNumber(),
      };
    }),
  ]);
};

const startOf = (entry: SourceObject): string | undefined => {
  const date = asObject(entry['constraint'])['start_date'];
  return typeof date === 'string' ? `${date}T00:00:00.000Z` : undefined;
};

const hoursOf = (entry: SourceObject): TimeBand | undefined => {
  const { start_time: start, end_time: end } = asObject(entry['constraint']);
  if (typeof start !== 'string' || typeof end !== 'string') return undefined;
  return { windows: [{ from: start.slice(0, 5), to: end.slice(0, 5) }] };
};

/** What the source may say of a model that is not taken over as it stands. */
export interface ReadingRules {
  cacheWrite: Meter;
  /** Price keys left out. */
  dropped?: readonly string[];
  /** Prices from later instants on are announcements: the price before them does not end by itself. */
  knownFrom: string;
}

/**
 * The source's prices of one model. Of dated prices each ends where the next begins. Throws where prices have both dates
 * and hours: the source cannot say which hours belong to which date, so such a price has to be stated by people.
 */
export const linesOfModel = (model: SourceObject, rules: ReadingRules): SourceLine[] => {
  const prices = model['prices'] ?? null;
  const entries = Array.isArray(prices) ? prices.map(asObject) : [{ prices }];
  const dated = entries.filter((entry) => hoursOf(entry) === undefined);
  if (dated.length < entries.length && dated.some((entry) => startOf(entry) !== undefined)) {
    throw new Error(
      `The source has dates and hours for ${model['id']}; exclude it and state its prices in the overlay.`,
    );
  }
  return entries.flatMap((entry) => {
    const time = hoursOf(entry);
    const from = startOf(entry);
    const next = time === undefined ? dated[dated.indexOf(entry) + 1] : undefined;
    const to = next === undefined ? undefined : startOf(next);
    const ends = to !== undefined && to <= rules.knownFrom ? to : undefined;
    const stated = asObject(entry['prices']);
    return Object.entries(stated)
      .filter(([key]) => !rules.dropped?.includes(key))
      .flatMap(([key, value]) =>
        linesOfKey(key, value, rules.cacheWrite)
          .filter(
            ({ meter }) =>
              meter !== 'output_reasoning' ||
              key === 'output_reasoning_mtok' ||
              !('output_reasoning_mtok' in stated),
          )
          .map((line) => ({
            ...line,
            ...(time === undefined ? {} : { time }),
            ...(from === undefined ? {} : { from }),
            ...(ends === undefined ? {} : { to: ends }),
          })),
      );
  });
};
