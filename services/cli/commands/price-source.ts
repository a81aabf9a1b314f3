import { Money } from '../../../pricing/money.ts';
import type { Meter } from '../../../schemas/words.ts';
import { SourceNumber, type SourceValue } from './source-literal.ts';

/** A price of the source before it belongs to a name. Times as far as the source states them. */
export interface SourceLine {
  meter: Meter;
  unitPrice: string;
  /** Total input tokens beyond which (strictly) the whole request has this price. */
  beyondInputTokens?: number;
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
    { meter, unitPrice: perUnit(key, base, rule.per) },
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
  const constraint = asObject(entry['constraint']);
  if (Object.keys(constraint).length === 0) return undefined;
  const date = constraint['start_date'];
  if (typeof date !== 'string') throw new Error('The source has a price by time of day.');
  return `${date}T00:00:00.000Z`;
};

/** The source's prices of one model. Of dated prices each ends where the next begins. */
export const linesOfModel = (model: SourceObject, cacheWrite: Meter): SourceLine[] => {
  const prices = model['prices'] ?? null;
  const entries = Array.isArray(prices) ? prices.map(asObject) : [{ prices }];
  const starts = entries.map(startOf);
  return entries.flatMap((entry, index) => {
    const from = starts[index];
    const to = starts[index + 1];
    return Object.entries(asObject(entry['prices'])).flatMap(([key, value]) =>
      linesOfKey(key, value, cacheWrite).map((line) => ({
        ...line,
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
      })),
    );
  });
};
