import type { Guard } from './guard.ts';
import { judgeWithGuard, judgeWithoutGuard, type Verdict } from './judge.ts';
import { type FileRun, runTests } from './run-test.ts';
import { copyTree, type TreeCopy } from './tree-copy.ts';

/** A guard with what was found out about it; `seconds` is the run without it. */
export interface GuardResult {
  readonly guard: Guard;
  readonly verdict: Verdict;
  readonly seconds: number;
}

/** How the guards are run: copies of the tree worked on at once, what one run may take, and who is told of each step. */
export interface RunOptions {
  readonly root: string;
  readonly jobs: number;
  readonly onStep: (what: string) => void;
}

/** All tests of a file with their guards in place. */
const LIMIT_GREEN_MS = 240_000;
/** One test without its guard: a condition that never comes is waited for, but not for ever. */
const LIMIT_RED_MS = 120_000;

const inParallel = async <T>(
  trees: readonly TreeCopy[],
  work: readonly T[],
  run: (tree: TreeCopy, item: T) => Promise<void>,
): Promise<void> => {
  const queue = [...work];
  await Promise.all(
    trees.map(async (tree) => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift())
        await run(tree, item);
    }),
  );
};

const runWithout = async (tree: TreeCopy, guard: Guard): Promise<Verdict> => {
  let putBack: () => void;
  try {
    putBack = tree.takeOut(guard);
  } catch (error) {
    return { is: 'broken', why: error instanceof Error ? error.message : String(error) };
  }
  try {
    const { file, name } = guard.test;
    return judgeWithoutGuard(
      guard,
      await runTests(tree.root, { file, names: [name] }, LIMIT_RED_MS),
    );
  } finally {
    putBack();
  }
};

/**
 * Runs the tests of all guards as they stand, file by file; then takes the guards out one at a time and runs the test of each. The result is
 * in the order of `guards`.
 */
export const runGuards = async (
  guards: readonly Guard[],
  { root, jobs, onStep }: RunOptions,
): Promise<GuardResult[]> => {
  const trees = Array.from({ length: jobs }, () => copyTree(root));
  try {
    const files = [...new Set(guards.map(({ test }) => test.file))];
    const green = new Map<string, FileRun>();
    await inParallel(trees, files, async (tree, file) => {
      const names = guards.filter(({ test }) => test.file === file).map(({ test }) => test.name);
      green.set(
        file,
        await runTests(tree.root, { file, names: [...new Set(names)] }, LIMIT_GREEN_MS),
      );
      onStep(file);
    });
    const results = new Map<string, GuardResult>();
    await inParallel(trees, guards, async (tree, guard) => {
      const startedMs = performance.now();
      const asItStands = judgeWithGuard(guard, green.get(guard.test.file) ?? { tests: [] });
      const verdict = asItStands ?? (await runWithout(tree, guard));
      results.set(guard.name, { guard, verdict, seconds: (performance.now() - startedMs) / 1000 });
      onStep(guard.name);
    });
    return guards.flatMap(({ name }) => results.get(name) ?? []);
  } finally {
    for (const tree of trees) tree.remove();
  }
};
