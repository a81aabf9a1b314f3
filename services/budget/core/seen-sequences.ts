/**
 * Which sequence numbers of one gap-free series were seen, as merged intervals: a series seen whole is one interval, however
 * long, so memory is bounded by the holes, not by the events.
 */
export interface SeenSequences {
  /** Marks the number; false when it was marked before. */
  add(sequence: number): boolean;
  /** Intervals held; the measure of memory. */
  intervals(): number;
}

type Interval = [first: number, last: number];

/** Index of the first interval that ends at or after `sequence - 1`: the only one that can hold or touch it from below. */
const indexFor = (intervals: readonly Interval[], sequence: number): number => {
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((intervals[middle] as Interval)[1] < sequence - 1) low = middle + 1;
    else high = middle;
  }
  return low;
};

export const createSeenSequences = (): SeenSequences => {
  const intervals: Interval[] = [];
  return {
    add: (sequence) => {
      const index = indexFor(intervals, sequence);
      const at = intervals[index];
      if (at === undefined || sequence < at[0] - 1) {
        intervals.splice(index, 0, [sequence, sequence]);
        return true;
      }
      if (sequence >= at[0] && sequence <= at[1]) return false;
      if (sequence === at[0] - 1) {
        at[0] = sequence;
        return true;
      }
      at[1] = sequence;
      const next = intervals[index + 1];
      if (next !== undefined && next[0] === sequence + 1) {
        at[1] = next[1];
        intervals.splice(index + 1, 1);
      }
      return true;
    },
    intervals: () => intervals.length,
  };
};
