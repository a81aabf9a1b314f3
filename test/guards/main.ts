import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Presets, SingleBar } from 'cli-progress';
import { GUARDS, unguarded } from './areas.ts';
import { type GuardResult, runGuards } from './run-guards.ts';

/**
 * `npm run guards [-- --only NAME …] [--jobs N] [--json] [--list]`: takes each guard out of a copy of the tree and expects its test to turn red.
 * Exit codes: 0 every guard bites and every known failure has one, 1 not so, 2 wrong usage.
 */
const JOBS_MAX = 8;

const USAGE = `Usage: npm run guards -- [--only NAME]… [--jobs N] [--json]
       npm run guards -- --list | --help

Takes each guard out of a copy of the tree and expects its test to turn red.
  --only NAME  only this guard; may be given more than once
  --jobs N     tests at the same time, 1 to ${JOBS_MAX} (1)
  --json       one JSON object on stdout
  --list       the guards and what each protects; runs nothing
Exit codes: 0 every guard bites and every known failure has one, 1 not so, 2 wrong usage.`;

const sentence = ({ verdict, seconds }: GuardResult): string => {
  if (verdict.is === 'bites') return `red after ${seconds.toFixed(1)} s`;
  if (verdict.is === 'unnoticed') return 'NOT NOTICED: its test stays green without it';
  if (verdict.is === 'skipped') return 'skipped: what its test needs is not on this machine';
  return `NOTHING TO JUDGE: ${verdict.why}`;
};

const printTable = (results: readonly GuardResult[]): void => {
  const nameWidth = Math.max(5, ...results.map(({ guard }) => guard.name.length));
  const protects = results.map(({ guard }) => guard.protects.join(', '));
  const protectsWidth = Math.max(8, ...protects.map(({ length }) => length));
  console.log(`${'guard'.padEnd(nameWidth)}  ${'protects'.padEnd(protectsWidth)}  taken out`);
  results.forEach((result, index) => {
    const cells = [result.guard.name.padEnd(nameWidth), protects[index]?.padEnd(protectsWidth)];
    console.log(`${cells.join('  ')}  ${sentence(result)}`);
  });
};

/** In CI everything a test needs is there: a guard whose test was skipped is not proven. */
const failed = ({ verdict }: GuardResult): boolean =>
  verdict.is === 'unnoticed' ||
  verdict.is === 'broken' ||
  (verdict.is === 'skipped' && Boolean(process.env['CI']));

const report = (
  results: readonly GuardResult[],
  missing: readonly string[],
  json: boolean,
): void => {
  const bite = results.filter(({ verdict }) => verdict.is === 'bites').length;
  const doNot = results.filter(failed).length;
  if (json) {
    const guards = results.map(({ guard: { name, protects, test }, verdict, seconds }) => ({
      name,
      protects,
      test,
      ...verdict,
      seconds: Math.round(seconds * 10) / 10,
    }));
    console.log(JSON.stringify({ guards, bite, do_not: doNot, unguarded: missing }));
    return;
  }
  printTable(results);
  const skipped = results.length - bite - doNot;
  if (skipped > 0) console.log(`${skipped} skipped`);
  if (missing.length > 0) console.log(`no guard protects ${missing.join(', ')}`);
  console.log(`${results.length} guards, ${bite} bite, ${doNot} do not`);
};

const readOptions = () => {
  try {
    return parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        jobs: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return null;
  }
};

const printList = (): void => {
  const width = Math.max(...GUARDS.map(({ name }) => name.length));
  for (const { name, protects } of GUARDS) {
    console.log(`${name.padEnd(width)}  ${protects.join(', ')}`);
  }
};

const main = async (): Promise<number> => {
  const values = readOptions();
  if (values === null) return 2;
  if (values.help || values.list) {
    if (values.help) console.log(USAGE);
    else printList();
    return 0;
  }
  const only = values.only;
  const jobs = Number(values.jobs);
  const strangers = (only ?? []).filter((name) => GUARDS.every((guard) => guard.name !== name));
  if (strangers.length > 0 || !Number.isInteger(jobs) || jobs < 1 || jobs > JOBS_MAX) {
    console.error(
      strangers.length > 0
        ? `No guard is named ${strangers.join(', ')}; there are: ${GUARDS.map(({ name }) => name).join(', ')}.`
        : `--jobs is a whole number from 1 to ${JOBS_MAX}.`,
    );
    return 2;
  }
  const guards = only === undefined ? GUARDS : GUARDS.filter(({ name }) => only.includes(name));
  const files = new Set(guards.map(({ test }) => test.file));
  const bar = process.stderr.isTTY
    ? new SingleBar(
        {
          format: '  guards  {bar}  {value} / {total}  {what}',
          hideCursor: true,
          clearOnComplete: true,
          stream: process.stderr,
        },
        Presets.shades_classic,
      )
    : undefined;
  bar?.start(files.size + guards.length, 0, { what: '' });
  const results = await runGuards(guards, {
    root: resolve(import.meta.dirname, '../..'),
    jobs: Math.min(jobs, Math.max(1, guards.length)),
    onStep: (what) => bar?.increment(1, { what }),
  });
  bar?.stop();
  const missing = only === undefined ? unguarded(guards) : [];
  report(results, missing, values.json);
  return results.some(failed) || missing.length > 0 ? 1 : 0;
};

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.exitCode = await main();
