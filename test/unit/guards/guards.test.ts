import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GUARDS } from '../../guards/areas.ts';
import type { Guard } from '../../guards/guard.ts';
import { judgeWithGuard, judgeWithoutGuard } from '../../guards/judge.ts';
import type { TestRun } from '../../guards/run-test.ts';
import { withoutGuard } from '../../guards/tree-copy.ts';

const guard: Guard = {
  name: 'no-negative-cost',
  protects: ['case 62'],
  file: 'services/somewhere.ts',
  find: 'if (cost < 0) return null;',
  replace: '',
  test: { file: 'test/unit/somewhere.test.ts', name: 'case 62 ·' },
};
const SOURCE =
  'const rate = (cost: number) => {\n  if (cost < 0) return null;\n  return cost;\n};\n';

describe('the guards as they are written down', () => {
  test('no two have the same name', () => {
    expect(new Set(GUARDS.map(({ name }) => name)).size).toBe(GUARDS.length);
  });

  test.each(GUARDS.map((one) => [one.name, one] as const))(
    '%s: its text is in the product exactly once, and its test file is there',
    (_name, one) => {
      expect(() => withoutGuard(readFileSync(one.file, 'utf8'), one)).not.toThrow();
      expect(existsSync(one.test.file)).toBe(true);
    },
  );
});

describe('taking a guard out', () => {
  test('leaves the rest of the file as it was', () => {
    expect(withoutGuard(SOURCE, guard)).toBe(
      'const rate = (cost: number) => {\n  \n  return cost;\n};\n',
    );
  });

  test('a text that is there twice, or not at all, names the guard', () => {
    const problem = /guard no-negative-cost takes out occurs (\d) times/;
    expect(() => withoutGuard(SOURCE + SOURCE, guard)).toThrow(problem);
    expect(() => withoutGuard('', guard)).toThrow(problem);
  });

  test('what is left must be a program, and another one', () => {
    expect(() => withoutGuard(SOURCE, { ...guard, replace: 'if (' })).toThrow(
      /no program any more/,
    );
    expect(() => withoutGuard(SOURCE, { ...guard, replace: guard.find })).toThrow(/by itself/);
  });
});

describe('judging a run', () => {
  const ran = (status: TestRun['status'], why = ''): { tests: TestRun[] } => ({
    tests: [
      { name: 'rating case 62 · a negative cost is none', status, why },
      { name: 'rating case 6 · another', status: 'failed', why: 'AssertionError: not this one' },
    ],
  });

  test('red without the guard means that it bites; green, that nobody noticed', () => {
    expect(
      judgeWithoutGuard(guard, ran('failed', 'AssertionError: expected -1 to be null')),
    ).toEqual({
      is: 'bites',
      why: 'AssertionError: expected -1 to be null',
    });
    expect(judgeWithoutGuard(guard, ran('passed'))).toEqual({ is: 'unnoticed' });
  });

  test('a spoilt program and a run that failed outside its tests prove nothing', () => {
    const spoilt = ran('failed', 'ReferenceError: cots is not defined');
    const hanging = ran('failed', 'Error: STACK_TRACE_ERROR');
    expect(judgeWithoutGuard(guard, hanging)?.is).toBe('broken');
    expect(judgeWithoutGuard(guard, spoilt)?.is).toBe('broken');
    expect(judgeWithoutGuard(guard, { broken: 'the file failed outside its tests' })?.is).toBe(
      'broken',
    );
  });

  test('with the guard in place the test must exist, run and be green', () => {
    expect(judgeWithGuard(guard, ran('passed'))).toBeUndefined();
    expect(judgeWithGuard(guard, ran('skipped'))).toEqual({ is: 'skipped' });
    expect(judgeWithGuard(guard, ran('failed', 'AssertionError'))?.is).toBe('broken');
    expect(judgeWithGuard(guard, { tests: [] })?.is).toBe('broken');
  });
});
