import type { Guard } from './guard.ts';
import type { FileRun } from './run-test.ts';

/**
 * `bites`: the test turned red without the guard. `unnoticed`: it stayed green. `skipped`: what the test needs is not on this machine.
 * `broken`: there is nothing to judge (the test is red as it stands, does not exist, or the run failed outside it).
 */
export type Verdict =
  | { readonly is: 'bites'; readonly why: string }
  | { readonly is: 'unnoticed' }
  | { readonly is: 'skipped' }
  | { readonly is: 'broken'; readonly why: string };

/** Errors of a program that was spoilt rather than one that lost a guard. */
const SPOILT =
  /^(SyntaxError|ReferenceError)\b|Cannot find (module|package)|Failed to (load|resolve)/;

const matching = (run: FileRun, { test }: Guard) =>
  'broken' in run ? [] : run.tests.filter(({ name }) => name.includes(test.name));

/** Whether the guard's test can be judged at all: it exists, ran and is green with the guard in place; otherwise why not. */
export const judgeWithGuard = (guard: Guard, run: FileRun): Verdict | undefined => {
  if ('broken' in run) return { is: 'broken', why: `with the guard in place ${run.broken}` };
  const tests = matching(run, guard);
  if (tests.length === 0)
    return { is: 'broken', why: `no test of ${guard.test.file} is named “${guard.test.name}”` };
  const red = tests.find(({ status }) => status === 'failed');
  if (red !== undefined) return { is: 'broken', why: `red with the guard in place: ${red.why}` };
  return tests.some(({ status }) => status === 'passed') ? undefined : { is: 'skipped' };
};

/** What the run without the guard says. */
export const judgeWithoutGuard = (guard: Guard, run: FileRun): Verdict => {
  if ('broken' in run) return { is: 'broken', why: `without the guard ${run.broken}` };
  const red = matching(run, guard).filter(({ status }) => status === 'failed');
  const first = red[0];
  if (
    red.length > 0 &&
    red.every(({ why }) => /^Error: (Test timed out|STACK_TRACE_ERROR)/.test(why))
  ) {
    return { is: 'broken', why: 'its test hangs without the guard; it must fail' };
  }
  if (first === undefined) return { is: 'unnoticed' };
  return red.every(({ why }) => SPOILT.test(why))
    ? { is: 'broken', why: `the program is spoilt, not unguarded: ${first.why}` }
    : { is: 'bites', why: first.why };
};
