/**
 * The value below which so large a share of the values lies, by nearest rank.
 * @param sorted ascending. @param share between 0 and 1.
 * @returns NaN of no values: a figure that was not measured is no zero.
 */
export const percentile = (sorted: ArrayLike<number>, share: number): number => {
  const rank = Math.ceil(share * sorted.length);
  return sorted[Math.max(0, rank - 1)] ?? Number.NaN;
};

/** The middle of a few measurements; of an even number the mean of the two in the middle. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
};

/**
 * The median of what two cases differ by in each round. Rounds are compared with themselves: what else the machine did in a
 * round fell on both.
 */
export const pairedMedian = (
  ours: readonly number[],
  theirs: readonly number[],
  compare: (our: number, their: number) => number,
): number => median(ours.map((our, round) => compare(our, theirs[round] ?? Number.NaN)));

export const rounded = (value: number, places: number): number => Number(value.toFixed(places));
