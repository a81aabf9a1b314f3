/** Amounts are decimal strings and stay exact: arithmetic is on whole numbers of 10^-18 USD, never on floats. */
const SCALE = 18;

const toAtto = (amount: string): bigint => {
  const negative = amount.startsWith('-');
  const [whole = '0', fraction = ''] = (negative ? amount.slice(1) : amount).split('.');
  const atto = BigInt(whole + fraction.padEnd(SCALE, '0').slice(0, SCALE));
  return negative ? -atto : atto;
};

const abs = (value: bigint): bigint => (value < 0n ? -value : value);

export const isZero = (amount: string): boolean => toAtto(amount) === 0n;

/** How many decimals a column shows so that its amounts line up: cents from 100 USD on, hundredths of cents below. */
export const decimalsFor = (amounts: readonly string[]): number =>
  amounts.some((amount) => abs(toAtto(amount)) >= 100n * 10n ** 18n) ? 2 : 4;

/** A short form, rounded half up, with thousands apart. An amount that rounds to nothing says so instead of showing zero. */
export const shortUsd = (amount: string, decimals: number): string => {
  const atto = toAtto(amount);
  const unit = 10n ** BigInt(SCALE - decimals);
  const rounded = (abs(atto) + unit / 2n) / unit;
  const sign = atto < 0n ? '−' : '';
  if (rounded === 0n && atto !== 0n) return `${sign}< 0.${'0'.repeat(decimals - 1)}1`;
  const digits = rounded.toString().padStart(decimals + 1, '0');
  const whole = digits.slice(0, -decimals).replace(/\B(?=(\d{3})+$)/g, ',');
  return `${sign}${whole}.${digits.slice(-decimals)}`;
};

/** A part of a whole between 0 and 1, for lengths on the screen. 0 where there is no whole. */
export const shareOf = (part: string, whole: string): number => {
  const all = toAtto(whole);
  if (all <= 0n) return 0;
  const tenThousandths = (toAtto(part) * 10_000n) / all;
  return Math.max(0, Number(tenThousandths) / 10_000);
};

/** Greatest amount, `0` where there is none. */
export const maxUsd = (amounts: readonly string[]): string =>
  amounts.reduce((max, amount) => (toAtto(amount) > toAtto(max) ? amount : max), '0');

export const isSame = (a: string, b: string): boolean => toAtto(a) === toAtto(b);

export const percent = (share: number): string => {
  if (share > 0 && share < 0.005) return '< 1 %';
  return `${Math.round(share * 100)} %`;
};

/** Even steps for an axis that ends at or above the amount: 1, 2 or 5 times a power of ten apart. At most five. */
export const axisSteps = (max: string): string[] => {
  const top = toAtto(max);
  if (top <= 0n) return [];
  for (let unit = 10n ** 6n; ; unit *= 10n) {
    for (const factor of [1n, 2n, 5n]) {
      const step = unit * factor;
      const count = (top + step - 1n) / step;
      if (count <= 4n) {
        return Array.from({ length: Number(count) + 1 }, (_, at) => fromAtto(step * BigInt(at)));
      }
    }
  }
};

const fromAtto = (atto: bigint): string => {
  const digits = atto.toString().padStart(SCALE + 1, '0');
  const fraction = digits.slice(-SCALE).replace(/0+$/, '');
  return fraction === '' ? digits.slice(0, -SCALE) : `${digits.slice(0, -SCALE)}.${fraction}`;
};
