import type { PriceBooks } from '../../../pricing/price-books.ts';
import { nearName } from '../../platform/near-name.ts';
import type { PriceFilter } from './prices.ts';

const meant = (name: string, names: Iterable<string>): string => {
  const near = nearName(name, names);
  return near === null ? '' : ` Did you mean ${near}?`;
};

/** A sentence for a name of a provider that nothing is known of, with the near name. */
export const noProvider = (name: string, names: Iterable<string>): string =>
  `No provider ${name} has a price book.${meant(name, names)}`;

/** Why no price passes a filter: no such provider or model, nothing known then, or nothing in force then. */
export const whyNoPrice = ({ books }: PriceBooks, filter: PriceFilter): string => {
  const { provider, model, knownAt, asOf } = filter;
  const ofProvider = books.filter((book) => provider === undefined || book.provider === provider);
  if (ofProvider.length === 0) {
    return provider === undefined
      ? 'No price book was found.'
      : noProvider(provider, new Set(books.map((book) => book.provider)));
  }
  const whose = provider === undefined ? 'any provider' : provider;
  const namesOf = ({ prices, aliases }: (typeof books)[number]): string[] => [
    ...prices.map((price) => price.model),
    ...aliases.map(({ alias }) => alias),
  ];
  const withModel = ofProvider.filter((b) => model === undefined || namesOf(b).includes(model));
  if (model !== undefined && withModel.length === 0) {
    return `No book of ${whose} prices a model ${model}.${meant(model, new Set(ofProvider.flatMap(namesOf)))}`;
  }
  const first = withModel.map(({ known_from: from }) => from).sort()[0] ?? '';
  if (knownAt !== undefined && knownAt < first) {
    const what = model === undefined ? `The first book of ${whose}` : `The first price of ${model}`;
    return `Nothing was known at ${knownAt}. ${what} is known from ${first}.`;
  }
  return asOf === undefined
    ? 'No price passes the filter.'
    : `No price was in force at ${asOf} by what was known then; leave --as-of out to see every price.`;
};
