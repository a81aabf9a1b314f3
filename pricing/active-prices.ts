import type { Price, PriceBook } from '../schemas/price-book.ts';

/** All bands of one publication of one price: they are replaced together, so they are compared and restated together. */
export const setKey = ({ model, meter, when, valid_from: from }: Price): string =>
  JSON.stringify([model, meter, when?.tier ?? [], when?.geo ?? [], from]);

export const groupBy = <T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
};

/** What the published versions say together: of every set the one known last. */
export const activePrices = (versions: readonly PriceBook[]): Price[] => {
  const sets = new Map<string, Price[]>();
  for (const book of [...versions].sort((left, right) => left.version - right.version)) {
    for (const [key, prices] of groupBy(book.prices, setKey)) sets.set(key, prices);
  }
  return [...sets.values()].flat();
};
