/** How far each partition of a topic had come at a moment of the monotonic clock. */
export interface LogMark {
  atMs: number;
  offsets: readonly number[];
}

const MARKS_MAX = 256;

const isAtLeast = (offsets: readonly number[], others: readonly number[]): boolean =>
  others.every((offset, partition) => (offsets[partition] ?? 0) >= offset);

/** Neighbours become one, under the earlier time and with the later offsets: what waits looks older than it is, never younger. */
const thinned = (marks: readonly LogMark[]): LogMark[] => {
  const kept: LogMark[] = [];
  for (let index = 0; index < marks.length; index += 2) {
    const first = marks[index] as LogMark;
    kept.push({ atMs: first.atMs, offsets: (marks[index + 1] ?? first).offsets });
  }
  return kept;
};

/** Adds a mark where something has been written since the last, and forgets those that have been taken over. Bounded. */
export const markEnds = (
  marks: readonly LogMark[],
  now: LogMark,
  taken: readonly number[],
): readonly LogMark[] => {
  const waiting = marks.filter(({ offsets }) => !isAtLeast(taken, offsets));
  const last = waiting.at(-1);
  const isNew = !isAtLeast(taken, now.offsets) && !(last && isAtLeast(last.offsets, now.offsets));
  const next = isNew ? [...waiting, now] : waiting;
  return next.length > MARKS_MAX ? thinned(next) : next;
};

/** How long the oldest entry not taken over has waited, give or take one measurement. The wall clock has no say: it jumps. */
export const oldestAgeMs = (marks: readonly LogMark[], nowMs: number): number => {
  const oldest = marks[0];
  return oldest === undefined ? 0 : Math.max(0, nowMs - oldest.atMs);
};

/** Marks that are kept to know what was taken over some time ago; so few because retention need not be exact. */
const RETENTION_STEPS = 16;

/** Adds how far the log has been taken over, at most a few marks for each retention time. */
export const markTaken = (
  marks: readonly LogMark[],
  now: LogMark,
  retentionMs: number,
): readonly LogMark[] => {
  const last = marks.at(-1);
  if (last && now.atMs - last.atMs < retentionMs / RETENTION_STEPS) return marks;
  return [...marks, now];
};

/**
 * What was taken over at least so long ago and may be trimmed.
 * @returns the offsets or null, and the marks that are still of use.
 */
export const dueForTrim = (
  marks: readonly LogMark[],
  nowMs: number,
  retentionMs: number,
): { offsets: readonly number[] | null; rest: readonly LogMark[] } => {
  const due = marks.filter(({ atMs }) => nowMs - atMs >= retentionMs);
  return { offsets: due.at(-1)?.offsets ?? null, rest: marks.slice(due.length) };
};
