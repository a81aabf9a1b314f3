import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { GUARDS } from '../../guards/areas.ts';

const run = (file: string, ...args: string[]) =>
  spawnSync(process.execPath, [file, ...args], { encoding: 'utf8' });

test.for(['test/guards/main.ts', 'test/bench/main.ts'])(
  '%s: --help says how it is used, an unknown option too, and neither runs anything',
  (file) => {
    const help = run(file, '--help');
    expect([help.status, help.stderr.includes('    at ')]).toEqual([0, false]);
    expect(help.stdout).toMatch(/^Usage: npm run (guards|bench) -- /);
    const unknown = run(file, '--helpp');
    expect([unknown.status, unknown.stdout]).toEqual([2, '']);
    expect(unknown.stderr).toContain("Unknown option '--helpp'");
    expect(unknown.stderr).toContain('Usage: npm run');
    expect(unknown.stderr).not.toMatch(/\n\s+at /);
  },
);

test('--list names every guard with what it protects', () => {
  const { status, stdout } = run('test/guards/main.ts', '--list');
  expect(status).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => line.split(/ {2,}/))).toEqual(
    GUARDS.map(({ name, protects }) => [name, protects.join(', ')]),
  );
});
