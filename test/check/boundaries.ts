import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cruise } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';

/**
 * `npm run check:boundaries`: import rules (dependency-cruiser), file sizes, and a README in every room.
 * Fails too when it sees fewer modules than there are files: an unreadable graph must not look clean.
 */
const require = createRequire(import.meta.url);
const rules = require('../../.dependency-cruiser.cjs');
const ROOTS = ['schemas', 'pricing', 'services'];
const LINES_MAX = 250;
const LINES_MAX_TESTS = 400;

const files = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/node_modules|\/dist\//.test(path));

const linesOfCode = (path: string): number =>
  readFileSync(path, 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('//')).length;

const problems: string[] = [];
const sources = ROOTS.flatMap(files);

const result = await cruise(
  ROOTS,
  { ...rules.options, ruleSet: { forbidden: rules.forbidden }, validate: true },
  undefined,
  { tsConfig: extractTSConfig('tsconfig.json') },
);
const output = result.output;
if (typeof output === 'string')
  throw new Error('dependency-cruiser gave text where a graph was expected');
for (const violation of output.summary.violations) {
  problems.push(`${violation.rule.name}: ${violation.from} -> ${violation.to}`);
}
const seen = output.modules.filter((module) =>
  ROOTS.some((root) => module.source.startsWith(`${root}/`)),
);
if (seen.length < sources.length) {
  problems.push(
    `the import graph has ${seen.length} of ${sources.length} source files: dependency-cruiser cannot read some`,
  );
}
const edges = seen.reduce((total, module) => total + module.dependencies.length, 0);
if (edges < sources.length)
  problems.push(`the import graph has only ${edges} edges: it was not read`);

for (const path of sources) {
  const lines = linesOfCode(path);
  if (lines > LINES_MAX) problems.push(`${path} has ${lines} lines of code; at most ${LINES_MAX}`);
  if (/(^|\/)(utils?|common|misc|helpers?|manager|index)\.tsx?$/.test(path)) {
    problems.push(`${path}: a name that says nothing`);
  }
}
for (const path of files('test')) {
  const lines = linesOfCode(path);
  if (lines > LINES_MAX_TESTS)
    problems.push(`${path} has ${lines} lines of code; at most ${LINES_MAX_TESTS}`);
}
const rooms = readdirSync('services').map((name) => join('services', name));
for (const room of ['schemas', 'pricing', 'migrations', 'test', ...rooms]) {
  if (!existsSync(join(room, 'README.md'))) problems.push(`${room} has no README.md`);
}

if (problems.length > 0) {
  process.stderr.write(`${problems.join('\n')}\n${problems.length} boundary problem(s)\n`);
  process.exit(1);
}
process.stdout.write(`boundaries hold: ${seen.length} modules, ${edges} imports\n`);
