/** 18 decimal places, the scale of an amount, in one integer: 1 USD = 10^18. */
const ATTO_DIGITS = 18;
const ATTO_PER_MICRO = 10n ** 12n;
const SHAPE = /^(-?)(\d+)(?:\.(\d{1,18}))?$/;

/** An amount as a whole number of 10^-18 USD, exactly. Throws a RangeError on anything but a plain decimal with at most 18 places. */
export const attoUsd = (amount: string): bigint => {
  const match = SHAPE.exec(amount);
  if (!match) throw new RangeError(`expected an amount in plain decimals, got ${amount}`);
  const digits = `${match[2]}${(match[3] ?? '').padEnd(ATTO_DIGITS, '0')}`;
  return match[1] === '-' ? -BigInt(digits) : BigInt(digits);
};

/** Micro-USD nearest to an amount of atto-USD; a tie goes to the even one. The only rounding between ledger and invoice. */
export const microUsdHalfEven = (atto: bigint): bigint => {
  const floor =
    atto >= 0n ? atto / ATTO_PER_MICRO : -((-atto + ATTO_PER_MICRO - 1n) / ATTO_PER_MICRO);
  const rest = atto - floor * ATTO_PER_MICRO;
  const twice = rest * 2n;
  if (twice > ATTO_PER_MICRO) return floor + 1n;
  if (twice < ATTO_PER_MICRO) return floor;
  return floor % 2n === 0n ? floor : floor + 1n;
};
