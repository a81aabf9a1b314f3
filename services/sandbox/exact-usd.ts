/**
 * Exact money without a float: whole pico-USD (1e-12 USD) in BigInt. One token of the cheapest model costs 20,000 of them.
 */
const PICO_DIGITS = 12;
/** A price per million tokens, shifted six places, is a price per token in pico-USD. */
const PRICE_DIGITS = 6;

const scaled = (decimal: string, digits: number): bigint => {
  const match = /^(\d{1,15})(?:\.(\d+))?$/.exec(decimal);
  const fraction = match?.[2] ?? '';
  if (match?.[1] === undefined || fraction.length > digits) {
    throw new RangeError(
      `"${decimal}" is not a plain decimal of at most ${digits} places; write it like 0.075.`,
    );
  }
  return BigInt(match[1] + fraction.padEnd(digits, '0'));
};

/** Pico-USD of one token, from USD per million tokens. Throws RangeError where that is not a whole number. */
export const picoPerToken = (usdPerMillion: string): bigint => scaled(usdPerMillion, PRICE_DIGITS);

/** Pico-USD of an amount in USD. Throws RangeError beyond 12 decimal places. */
export const picoOfUsd = (usd: string): bigint => scaled(usd, PICO_DIGITS);

/** Plain decimal string in USD, no trailing zeros, never an exponent. */
export const usdOfPico = (pico: bigint): string => {
  const sign = pico < 0n ? '-' : '';
  const digits = (pico < 0n ? -pico : pico).toString().padStart(PICO_DIGITS + 1, '0');
  const whole = digits.slice(0, -PICO_DIGITS);
  const fraction = digits.slice(-PICO_DIGITS).replace(/0+$/, '');
  return fraction === '' ? `${sign}${whole}` : `${sign}${whole}.${fraction}`;
};
