/**
 * Exact decimals as a big integer and a number of places: the arithmetic under every amount. Nothing here rounds; what does
 * not fit is the caller's to refuse. Property tests hold it equal to decimal.js.
 */
export interface ScaledDecimal {
  readonly value: bigint;
  readonly places: number;
}

const PLAIN_DECIMAL = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?$/;
const POWERS: readonly bigint[] = Array.from(
  { length: 80 },
  (_, exponent) => 10n ** BigInt(exponent),
);

export const powerOfTen = (exponent: number): bigint => POWERS[exponent] ?? 10n ** BigInt(exponent);

const ZERO = 48;
const NINE = 57;

/** Whether the text is a whole number in its one spelling: most quantities are, and need no regular expression. */
const isWhole = (text: string): boolean => {
  const { length } = text;
  if (length === 0 || (length > 1 && text.charCodeAt(0) === ZERO)) return false;
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < ZERO || code > NINE) return false;
  }
  return true;
};

/** Reads a plain decimal (no exponent, no plus, no leading zeros); null when the text is anything else. */
export const parseScaled = (text: string): ScaledDecimal | null => {
  if (isWhole(text)) return { value: BigInt(text), places: 0 };
  const match = PLAIN_DECIMAL.exec(text);
  if (!match) return null;
  const fraction = match[3] ?? '';
  const magnitude = BigInt(`${match[2]}${fraction}`);
  return { value: match[1] === '-' ? -magnitude : magnitude, places: fraction.length };
};

/** The value as an integer count of 10^-places. Only widens: places must be at least those of the number. */
export const widen = (number: ScaledDecimal, places: number): bigint =>
  number.value * powerOfTen(places - number.places);

/** The one spelling of a value: no trailing zeros, no exponent, zero is "0" and has no sign. */
export const formatScaled = (value: bigint, places: number): string => {
  if (value === 0n) return '0';
  if (places === 0) return value.toString();
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(places + 1, '0');
  const whole = digits.slice(0, digits.length - places);
  let end = digits.length;
  while (end > digits.length - places && digits.charCodeAt(end - 1) === 48) end -= 1;
  const fraction = digits.slice(digits.length - places, end);
  return `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
};
