import type { ScaledDecimal } from './scaled-decimal.ts';
import { powerOfTen } from './scaled-decimal.ts';

/** What a provider says that a call cost, in USD, exactly as it is written. */
export interface StatedCost {
  /** What the provider itself takes. */
  readonly own: ScaledDecimal;
  /** What the vendor behind it takes from the customer's own key there, beside that. */
  readonly upstream?: ScaledDecimal;
}

/** Strings, literals and marks of JSON; what lies between them does not matter here. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\]:,]/g;
const NUMBER = /^(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,2}))?$/;
/** xAI: a tick is 10^-10 USD. */
const TICK_PLACES = 10;

type Literals = ReadonlyMap<string, string>;

/** Numbers and words of every object in the text, one map an object, by the path of their names; those in lists are left out. */
const literalsOf = (raw: string): Literals[] => {
  const roots: Map<string, string>[] = [];
  const path: string[] = [];
  let name = '';
  let text = '';
  for (const [token] of raw.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      if (path.length === 0) roots.push(new Map());
      path.push(name);
      name = '';
    } else if (token === '}' || token === ']') {
      path.pop();
      name = '';
    } else if (token === ':') name = text;
    else if (token.startsWith('"')) text = token.slice(1, -1);
    else if (token !== ',' && name !== '') {
      roots.at(-1)?.set([...path.slice(1), name].join('.'), token);
      name = '';
    }
  }
  return roots;
};

/** An amount as JSON writes it, exponents included; null where it is no amount or has more than 99 zeros before or behind. */
const amountOf = (literal: string | undefined): ScaledDecimal | null => {
  const match = literal === undefined ? null : NUMBER.exec(literal);
  if (!match) return null;
  const fraction = match[2] ?? '';
  let value = BigInt(`${match[1]}${fraction}`);
  let places = fraction.length - Number(match[3] ?? '0');
  if (places < 0) {
    value *= powerOfTen(-places);
    places = 0;
  }
  while (places > 0 && value % 10n === 0n) {
    value /= 10n;
    places -= 1;
  }
  return { value, places };
};

const costIn = (stated: Literals): StatedCost | null => {
  const amount = (name: string): ScaledDecimal | null => amountOf(stated.get(name));
  const ticks = amount('cost_in_usd_ticks');
  if (ticks) return { own: { value: ticks.value, places: ticks.places + TICK_PLACES } };
  const own = amount('cost') ?? amount('cost.total_cost') ?? amount('total_cost');
  if (!own || stated.get('is_byok') !== 'true') return own ? { own } : null;
  const upstream =
    amount('cost_details.upstream_inference_cost') ?? amount('upstream_inference_cost');
  return upstream ? { own, upstream } : null;
};

/**
 * The cost that a provider states beside its usage: OpenRouter's `cost` (with the customer's own key at the vendor, `is_byok`, beside
 * it what the vendor takes), Perplexity's `total_cost`, xAI's ticks. Of several objects the last that states one counts, as with
 * the usage. Read as text: a float never holds money. Null where none is stated, or only one of the two that make it up.
 */
export const readStatedCost = (rawUsage: string | undefined): StatedCost | null => {
  if (rawUsage === undefined || !rawUsage.includes('cost')) return null;
  for (const stated of literalsOf(rawUsage).reverse()) {
    const cost = costIn(stated);
    if (cost) return cost;
  }
  return null;
};
