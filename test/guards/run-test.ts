import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** A test that was run, by its full name. */
export interface TestRun {
  readonly name: string;
  readonly status: 'passed' | 'failed' | 'skipped';
  /** The first line of why it failed; empty otherwise. */
  readonly why: string;
}

/** What a run of one test file gave: its tests, or why there was no result to judge. */
export type FileRun = { readonly tests: readonly TestRun[] } | { readonly broken: string };

interface JsonReport {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

const escapeRegExp = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

const firstLine = (text: string): string => text.trim().split('\n')[0]?.slice(0, 300) ?? '';

const readReport = (path: string): FileRun => {
  const report: JsonReport = JSON.parse(readFileSync(path, 'utf8'));
  const tests = report.testResults.flatMap(({ assertionResults }) =>
    assertionResults.map(({ fullName, status, failureMessages }): TestRun => {
      const known = status === 'passed' || status === 'failed' ? status : 'skipped';
      return { name: fullName, status: known, why: firstLine(failureMessages[0] ?? '') };
    }),
  );
  const failed = tests.some(({ status }) => status === 'failed');
  const file = report.testResults.find(({ status }) => status === 'failed');
  if (file !== undefined && !failed)
    return { broken: `the file failed outside its tests: ${firstLine(file.message)}` };
  if (!report.success && !failed) return { broken: 'the run failed outside its tests' };
  return { tests };
};

/**
 * Runs the tests of one file whose full name contains one of `names`, in the tree at `root`. The run, with all it started, is ended after
 * `limitMs` and is then broken.
 */
export const runTests = async (
  root: string,
  { file, names }: { readonly file: string; readonly names: readonly string[] },
  limitMs: number,
): Promise<FileRun> => {
  const report = join(root, '..', 'report.json');
  rmSync(report, { force: true });
  const child = spawn(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      file,
      `--testNamePattern=${names.map(escapeRegExp).join('|')}`,
      '--reporter=json',
      `--outputFile.json=${report}`,
      '--no-cache',
    ],
    {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    },
  );
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-2000);
  });
  let late = false;
  const endGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // Nothing of the run is left.
    }
  };
  process.once('exit', endGroup);
  const limit = setTimeout(() => {
    late = true;
    endGroup();
  }, limitMs);
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(limit);
  process.off('exit', endGroup);
  endGroup();
  if (late) return { broken: `the run did not end in ${limitMs / 1000} s` };
  try {
    return readReport(report);
  } catch {
    return { broken: `the run left no report: ${firstLine(complaint)}` };
  }
};
