import { readFileSync, writeFileSync } from 'node:fs';

/**
 * `npm run check:lock`: the lock file names every platform's build of every native package, and no download address. npm leaves out
 * what it could not fetch when the lock was written, and then refuses to install from it, here or on another platform.
 * With `--write` it adds what is missing, by the exact version its parent asks for.
 */
interface LockEntry {
  version?: string;
  resolved?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}
const PATH = 'package-lock.json';
const lock = JSON.parse(readFileSync(PATH, 'utf8')) as { packages: Record<string, LockEntry> };

const OS = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const CPU = ['arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32'];

/** What a package's name says about where it runs: `binding-linux-arm64-musl`. */
const platformOf = (name: string): Pick<LockEntry, 'os' | 'cpu' | 'libc'> => {
  const words = name.split(/[-/]/);
  const os =
    OS.find((word) => words.includes(word)) ?? (name === 'fsevents' ? 'darwin' : undefined);
  const cpu = CPU.find((word) => words.includes(word));
  const libc = words.includes('musl') ? 'musl' : words.includes('gnu') ? 'glibc' : undefined;
  return {
    ...(os ? { os: [os] } : {}),
    ...(cpu ? { cpu: [cpu] } : {}),
    ...(libc && os === 'linux' ? { libc: [libc] } : {}),
  };
};

const exact = (range: string): string => range.replace(/^[~^]/, '');
const missing: [string, LockEntry][] = [];
for (const [parentPath, parent] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(parent.optionalDependencies ?? {})) {
    const nested = `${parentPath}/node_modules/${name}`;
    const hoisted = `node_modules/${name}`;
    if (lock.packages[hoisted] || lock.packages[nested]) continue;
    missing.push([
      hoisted,
      {
        version: exact(range),
        ...platformOf(name),
        ...(parent.dev ? { dev: true } : {}),
        optional: true,
      },
    ]);
  }
}
const addressed = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined);

if (process.argv.includes('--write')) {
  const packages = Object.entries({ ...lock.packages, ...Object.fromEntries(missing) });
  packages.sort(([left], [right]) => left.localeCompare(right, 'en'));
  writeFileSync(
    PATH,
    `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, null, 2)}\n`,
  );
  process.stdout.write(`added ${missing.length} entries\n`);
} else if (missing.length > 0 || addressed.length > 0) {
  for (const [path] of missing) process.stderr.write(`${path} is not in ${PATH}\n`);
  for (const [path] of addressed) process.stderr.write(`${path} has a download address\n`);
  process.stderr.write('Correct with: node test/check/lock.ts --write\n');
  process.exit(1);
} else {
  process.stdout.write(
    `the lock names every platform: ${Object.keys(lock.packages).length} packages\n`,
  );
}
