/** Tells a projection that stands still from one that has nothing to do. */
export type StallDetector = (
  seen: {
    /** Entries written and not yet counted; null while that cannot be known, which is not zero. */
    lag: number | null;
    /** Entries counted since the start; only grows. */
    counted: number;
  },
  nowMs: number,
) => boolean;

/** True while something, or nobody knows what, has waited for `limitMs` and nothing was counted in that time. */
export const createStallDetector = (limitMs: number): StallDetector => {
  let movedAtMs: number | undefined;
  let countedThen = 0;
  return ({ lag, counted }, nowMs) => {
    if (movedAtMs === undefined || lag === 0 || counted !== countedThen) movedAtMs = nowMs;
    countedThen = counted;
    return nowMs - movedAtMs >= limitMs;
  };
};
