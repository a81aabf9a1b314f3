import { isCostStated } from '../../../pricing/pass-through.ts';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import type { Instant } from '../../../schemas/instant.ts';
import type { Meter } from '../../../schemas/words.ts';
import { CLASS_KEYS, UNITS } from '../../../schemas/words.ts';
import type { JsonObject } from './flavour.ts';
import { asArray, asObject } from './flavour.ts';
import { furtherModels } from './request-facts.ts';

const METERS: readonly Meter[] = [...CLASS_KEYS, ...UNITS];

/** A model as one upstream would be asked for it. */
export interface AskedModel {
  provider: string;
  /** The account that is billed: decides which contract prices apply. */
  account: string;
  model: string;
  tier: string | undefined;
  at: Instant;
}

/**
 * Whether anything that a model can be charged for has a price at the tier asked for. Which meters a call will use is not known before
 * it is made, so one price is enough; a disputed price is none. Where the provider's own statement is what counts, every model has one.
 */
export const isPriced = (books: PriceBooks, asked: AskedModel): boolean => {
  const query = { ...asked, knownAt: books.newestKnownFrom };
  if (isCostStated({ ...query, rawUsage: undefined }, books)) return true;
  const priceOf = books.pricesOf({ ...query, scaledInputTokens: 0n });
  return priceOf !== null && METERS.some((meter) => isSure(priceOf(meter)));
};

const isSure = (found: ReturnType<NonNullable<ReturnType<PriceBooks['pricesOf']>>>): boolean =>
  found !== null && found.price.claim === undefined && found.inexact === undefined;

/** Models that a body sets to work beside its own: fallbacks, tools, the items of a batch. One that cannot be read is an empty name. */
export const modelsBeside = (body: JsonObject | null): string[] => [
  ...furtherModels(body),
  ...asArray(body?.['requests']).flatMap((item) => {
    const params = asObject(asObject(item)?.['params']);
    if (!params) return [];
    return typeof params['model'] === 'string' ? [params['model']] : [''];
  }),
];
