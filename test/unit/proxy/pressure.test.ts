import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogMark } from '../../../services/proxy/core/log-marks.ts';
import {
  dueForTrim,
  markEnds,
  markTaken,
  oldestAgeMs,
} from '../../../services/proxy/core/log-marks.ts';
import type {
  PressureCause,
  PressureFacts,
  PressureMarks,
} from '../../../services/proxy/core/pressure.ts';
import { goesOn, pressureCauses } from '../../../services/proxy/core/pressure.ts';

const MARKS: PressureMarks = {
  mode: 'fail_closed',
  log_bytes_max: 1_000,
  log_age_ms_max: 60_000,
  disk_free_bytes_min: 900,
};
const CALM: PressureFacts = { logBytes: 10, oldestAgeMs: 0, freeBytes: 1_000_000 };
const NONE: ReadonlySet<PressureCause> = new Set();
const causesOf = (facts: Partial<PressureFacts> | null, held = NONE): PressureCause[] => [
  ...pressureCauses(held, facts && { ...CALM, ...facts }, MARKS),
];

describe('which marks are passed', () => {
  test('none while the log is small, young and has room', () => {
    expect(causesOf({})).toEqual([]);
    expect(causesOf({ logBytes: 999, oldestAgeMs: 59_999, freeBytes: 900 })).toEqual([]);
  });

  test('each at its own mark', () => {
    expect(causesOf({ logBytes: 1_000 })).toEqual(['log_bytes']);
    expect(causesOf({ oldestAgeMs: 60_000 })).toEqual(['log_age']);
    expect(causesOf({ freeBytes: 899 })).toEqual(['disk']);
  });

  test('a mark is left only a tenth below it, so that calls are not let in and out by turns', () => {
    expect(causesOf({ logBytes: 900 }, new Set(['log_bytes']))).toEqual(['log_bytes']);
    expect(causesOf({ logBytes: 899 }, new Set(['log_bytes']))).toEqual([]);
    expect(causesOf({ oldestAgeMs: 54_000 }, new Set(['log_age']))).toEqual(['log_age']);
    expect(causesOf({ oldestAgeMs: 53_999 }, new Set(['log_age']))).toEqual([]);
    // 900 / 0.9 = 1000 bytes must be free again.
    expect(causesOf({ freeBytes: 999 }, new Set(['disk']))).toEqual(['disk']);
    expect(causesOf({ freeBytes: 1_000 }, new Set(['disk']))).toEqual([]);
  });

  test('what cannot be measured is pressure, and does not end what was known', () => {
    expect(causesOf(null)).toEqual(['unmeasured']);
    expect(causesOf(null, new Set(['disk']))).toEqual(['disk', 'unmeasured']);
    expect(causesOf({}, new Set(['unmeasured']))).toEqual([]);
  });
});

describe('who goes on', () => {
  const serve = { under_pressure: 'serve' } as const;
  const table = [
    ['fail_closed', [], {}, true],
    ['fail_closed', ['log_bytes'], serve, false],
    ['fail_closed', ['journal'], serve, false],
    ['degrade', ['log_bytes'], serve, true],
    ['degrade', ['log_age'], serve, true],
    ['degrade', ['log_bytes'], {}, false],
    ['degrade', ['log_bytes'], { under_pressure: 'refuse' }, false],
    ['degrade', ['disk'], serve, false],
    ['degrade', ['log_age', 'disk'], serve, false],
    ['degrade', ['unmeasured'], serve, false],
    ['degrade', ['journal'], serve, false],
    ['degrade', ['log_bytes'], null, true],
    ['degrade', ['disk'], null, false],
    ['fail_open', ['disk', 'journal', 'unmeasured'], {}, true],
  ] as const;
  for (const [mode, causes, key, expected] of table) {
    const who = key === null ? 'all keys' : `a key with ${JSON.stringify(key)}`;
    test(`${mode}, ${causes.join(' and ') || 'calm'}: ${who} ${expected ? 'go' : 'stop'}`, () => {
      expect(goesOn(mode, new Set<PressureCause>(causes), key)).toBe(expected);
    });
  }
});

describe('the age of what waits', () => {
  const mark = (atMs: number, ...offsets: number[]): LogMark => ({ atMs, offsets });

  test('is that of the oldest mark not taken over in every partition', () => {
    let marks = markEnds([], mark(0, 5, 0), [0, 0]);
    marks = markEnds(marks, mark(1_000, 7, 2), [0, 0]);
    expect(oldestAgeMs(marks, 10_000)).toBe(10_000);
    marks = markEnds(marks, mark(11_000, 7, 2), [5, 0]);
    expect(oldestAgeMs(marks, 11_000)).toBe(10_000);
    marks = markEnds(marks, mark(12_000, 7, 2), [7, 2]);
    expect(oldestAgeMs(marks, 12_000)).toBe(0);
  });

  test('is never taken for less than it is, and memory stays bounded, however long nobody takes anything over', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ wait: fc.nat(5_000), write: fc.nat(3), take: fc.nat(4) }), {
          maxLength: 900,
        }),
        (steps) => {
          let marks: readonly LogMark[] = [];
          let now = 0;
          let taken = 0;
          const writtenAt: number[] = [];
          for (const { wait, write, take } of steps) {
            now += wait;
            for (let entry = 0; entry < write; entry += 1) writtenAt.push(now);
            taken = Math.min(writtenAt.length, taken + (take > 3 ? take : 0));
            marks = markEnds(marks, { atMs: now, offsets: [writtenAt.length] }, [taken]);
            const oldest = writtenAt[taken];
            const age = oldestAgeMs(marks, now);
            expect(age).toBeGreaterThanOrEqual(oldest === undefined ? 0 : now - oldest);
            if (oldest === undefined) expect(age).toBe(0);
            expect(marks.length).toBeLessThanOrEqual(256);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('what was taken over is let go only after the retention, never what was taken over since', () => {
    let marks = markTaken([], mark(0, 3), 16_000);
    marks = markTaken(marks, mark(500, 4), 16_000); // Within a sixteenth of the retention: no mark of its own.
    marks = markTaken(marks, mark(1_000, 9), 16_000);
    expect(dueForTrim(marks, 15_999, 16_000).offsets).toBeNull();
    const first = dueForTrim(marks, 16_000, 16_000);
    expect(first.offsets).toEqual([3]);
    expect(dueForTrim(first.rest, 17_000, 16_000).offsets).toEqual([9]);
  });
});
