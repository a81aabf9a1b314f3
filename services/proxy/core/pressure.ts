import type { VirtualKey } from '../../../schemas/control-record.ts';
import type { ProcessConfig } from '../../../schemas/house-config.ts';

export type PressureMarks = ProcessConfig['proxy']['pressure'];

/** What was last measured of the local log. */
export interface PressureFacts {
  /** Bytes the log keeps. */
  logBytes: number;
  /** How long the oldest event that nobody has taken over has waited, in milliseconds; 0 when none waits. */
  oldestAgeMs: number;
  /** Bytes that can still be written. */
  freeBytes: number;
}

/** `disk`: under the floor. `unmeasured`: nothing is known, which is not the same as all being well. */
export type PressureCause = 'log_bytes' | 'log_age' | 'disk' | 'unmeasured' | 'journal';

/** A mark once passed is left again only this far below it, so that calls are not let in and out by turns. */
const LEFT_AT = 0.9;

const isOver = (value: number, mark: number, held: boolean): boolean =>
  value >= (held ? mark * LEFT_AT : mark);

/**
 * Which marks are passed.
 * @param held the causes of the measurement before. @param facts null when they could not be measured.
 */
export const pressureCauses = (
  held: ReadonlySet<PressureCause>,
  facts: PressureFacts | null,
  marks: PressureMarks,
): ReadonlySet<PressureCause> => {
  if (facts === null) return new Set<PressureCause>([...held, 'unmeasured']);
  const causes = new Set<PressureCause>();
  if (isOver(facts.logBytes, marks.log_bytes_max, held.has('log_bytes'))) causes.add('log_bytes');
  if (isOver(facts.oldestAgeMs, marks.log_age_ms_max, held.has('log_age'))) causes.add('log_age');
  const floor = held.has('disk') ? marks.disk_free_bytes_min / LEFT_AT : marks.disk_free_bytes_min;
  if (facts.freeBytes < floor) causes.add('disk');
  return causes;
};

/** Causes under which a record may not be kept at all, so that no key's promise to pay later helps. */
const HARD: ReadonlySet<PressureCause> = new Set(['disk', 'unmeasured', 'journal']);

/**
 * Whether a call goes on. `fail_closed`: none does. `degrade`: those of keys that say `serve`, as long as the log can take their
 * records. `fail_open`: all do, metered where possible.
 * @param key null asks for all keys alike: refused only when every key would be.
 */
export const goesOn = (
  mode: PressureMarks['mode'],
  causes: ReadonlySet<PressureCause>,
  key: Pick<VirtualKey, 'under_pressure'> | null,
): boolean => {
  if (causes.size === 0 || mode === 'fail_open') return true;
  if (mode === 'fail_closed') return false;
  for (const cause of causes) if (HARD.has(cause)) return false;
  return key === null || key.under_pressure === 'serve';
};
