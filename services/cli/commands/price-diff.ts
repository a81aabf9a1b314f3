import { activePrices, groupBy, setKey } from '../../../pricing/active-prices.ts';
import { Money } from '../../../pricing/money.ts';
import { ceilingOf } from '../../../pricing/price-book-lint.ts';
import { timeBandName } from '../../../pricing/time-band.ts';
import type { Price, PriceBook } from '../../../schemas/price-book.ts';
import type { PriceChange } from './price-change.ts';
import { newRules } from './price-rule-diff.ts';

const conditionsOf = ({ when, claim }: Price): string =>
  [
    when?.tier?.join('/') ?? '',
    when?.geo?.join('/') ?? '',
    when?.context ? `input ${when.context.operator} ${when.context.input_tokens}` : '',
    when?.time ? timeBandName(when.time) : '',
    claim === undefined ? '' : 'claim',
  ]
    .filter((part) => part !== '')
    .join(', ');

const lineKey = (price: Price): string =>
  JSON.stringify([
    setKey(price),
    conditionsOf(price),
    price.claim === undefined ? '' : price.unit_price,
  ]);

const percentOf = (before: string, after: string): string =>
  new Money(before).isZero()
    ? ''
    : new Money(after).div(before).minus(1).times(100).toDecimalPlaces(1).toFixed();

const flagOf = (change: PriceChange, price: Price, options: DiffOptions): string => {
  if (price.claim !== undefined) return `claim: ${price.claim}`;
  if (change.kind === 'removed') {
    return options.restated?.has(setKey(price))
      ? 'replaced by what is stated with it'
      : 'stays in force until it is ended by hand';
  }
  const flags: string[] = [];
  const ceiling = ceilingOf(price.meter);
  if (new Money(price.unit_price).gt(ceiling)) flags.push(`above the plausible ${ceiling}`);
  if (price.valid_from > options.now) flags.push(`waits until ${price.valid_from.slice(0, 10)}`);
  const far =
    change.percent !== '' && new Money(change.percent).abs().gt(options.flagBeyondPercent);
  if (far) flags.push(`beyond ${options.flagBeyondPercent} %`);
  return flags.join(', ');
};

const subjectKey = (price: Price): string =>
  JSON.stringify([price.model, price.meter, conditionsOf(price)]);

/**
 * Which price of the same model, meter and conditions a new one takes over from at its `valid_from`; one that ends just then counts. A
 * price "from a date on" replaces nothing, so without this a slip in it would look like a meter that never had a price.
 */
const pricesBefore = (
  active: readonly Price[],
  candidate: readonly Price[],
  restated: ReadonlySet<string>,
): ((price: Price) => Price | undefined) => {
  const standing = active.filter((price) => !restated.has(setKey(price)));
  const subjects = groupBy(
    [...standing, ...candidate].filter(({ claim }) => claim === undefined),
    subjectKey,
  );
  return (price) =>
    (subjects.get(subjectKey(price)) ?? [])
      .filter(({ valid_from: from }) => from < price.valid_from)
      .filter(({ valid_to: to }) => to === undefined || to >= price.valid_from)
      .sort((left, right) => (left.valid_from < right.valid_from ? -1 : 1))
      .at(-1);
};

export interface DiffOptions {
  now: string;
  /** Changes of more than this many percent are flagged. */
  flagBeyondPercent: number;
  /** Sets that the candidate states; filled in here. */
  restated?: ReadonlySet<string>;
}

const says = (price: Price): string =>
  JSON.stringify([
    price.unit_price,
    price.valid_to ?? null,
    price.claim ?? null,
    price.per_request ?? false,
  ]);

const changeOf = (
  kind: PriceChange['kind'],
  before: Price | undefined,
  after: Price | undefined,
  options: DiffOptions,
): PriceChange[] => {
  const price = after ?? before;
  if (!price) return [];
  const change: PriceChange = {
    kind,
    model: price.model,
    meter: price.meter,
    conditions: conditionsOf(price),
    valid_from: price.valid_from,
    before: before?.unit_price ?? '',
    after: after?.unit_price ?? '',
    percent: before && after ? percentOf(before.unit_price, after.unit_price) : '',
    flag: '',
  };
  return [{ ...change, flag: flagOf(change, price, options) }];
};

/** Added, changed and removed prices, in the order of the candidate; sources and days of retrieval do not count. */
export const diffPrices = (
  active: readonly Price[],
  candidate: readonly Price[],
  given: DiffOptions,
): PriceChange[] => {
  const restated = new Set(candidate.map(setKey));
  const options = { ...given, restated };
  const priceBefore = pricesBefore(active, candidate, restated);
  const before = new Map(active.map((price) => [lineKey(price), price]));
  const after = new Set(candidate.map(lineKey));
  return [
    ...candidate.flatMap((price) => {
      const old = before.get(lineKey(price));
      if (!old) return changeOf('added', priceBefore(price), price, options);
      return says(old) === says(price) ? [] : changeOf('changed', old, price, options);
    }),
    ...active
      .filter((price) => !after.has(lineKey(price)))
      .flatMap((price) => changeOf('removed', price, undefined, options)),
  ];
};

/** The next version: whole sets in which anything was added or changed, and names and rules that are new. Null when there is nothing. */
export const nextVersion = (
  versions: readonly PriceBook[],
  candidate: PriceBook,
): PriceBook | null => {
  const active = groupBy(activePrices(versions), setKey);
  const textOf = (prices: readonly Price[]): string =>
    prices
      .map((price) => `${lineKey(price)}${says(price)}`)
      .sort()
      .join('\n');
  const prices = [...groupBy(candidate.prices, setKey)]
    .filter(([key, set]) => textOf(active.get(key) ?? []) !== textOf(set))
    .flatMap(([, set]) => set);
  const known = new Map(versions.flatMap((b) => b.aliases.map((a) => [a.alias, a.model])));
  const aliases = candidate.aliases.filter(({ alias, model }) => known.get(alias) !== model);
  const newest = versions.at(-1);
  const same = (name: 'standard_tiers' | 'standard_geos'): boolean =>
    newest !== undefined && JSON.stringify(newest[name]) === JSON.stringify(candidate[name]);
  const rules = newRules(versions, candidate);
  const unchanged =
    same('standard_tiers') && same('standard_geos') && Object.keys(rules).length === 0;
  if (prices.length === 0 && aliases.length === 0 && unchanged) return null;
  const { allowances: _allowances, pass_through: _passThrough, ...stated } = candidate;
  return { ...stated, ...rules, aliases, prices };
};
