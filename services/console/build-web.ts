import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '../platform/id-source.ts';

const WEB = join(import.meta.dirname, 'web');
const BUILDS_KEPT = 3;

/** Hash over what the page is made of, this file included: the build's settings stand here. */
const hashSources = async (): Promise<string> => {
  const entries = await readdir(join(WEB, 'src'), { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .concat(join(WEB, 'index.html'), import.meta.filename)
    .sort();
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(file.slice(WEB.length))
      .update('\0')
      .update(await readFile(file));
  return hash.digest('hex').slice(0, 16);
};

const runVite = async (outDir: string): Promise<void> => {
  // Loaded only when there is something to build: the server itself does not need it.
  const { build } = await import('vite');
  await build({
    root: WEB,
    configFile: false,
    logLevel: 'error',
    mode: 'production',
    // Stated, since NODE_ENV would decide otherwise: a development build carries the paths of this machine.
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact', development: false } },
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2022',
      // Data URLs would need a wider content security policy.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
  });
};

/** Old builds go, newest kept: a server that started earlier may still hand out its own. */
const dropOldBuilds = async (dist: string): Promise<void> => {
  const builds = await Promise.all(
    (await readdir(dist)).map(async (name) => ({
      path: join(dist, name),
      modifiedMs: (await stat(join(dist, name)).catch(() => null))?.mtimeMs ?? 0,
    })),
  );
  const old = builds.sort((a, b) => b.modifiedMs - a.modifiedMs).slice(BUILDS_KEPT);
  await Promise.all(old.map(({ path }) => rm(path, { recursive: true, force: true })));
};

/**
 * Builds the page if these sources were not built before; otherwise does nothing. Safe when several processes do it at once: each builds
 * aside, and the first to finish is taken.
 * @returns the directory to serve.
 */
export const ensureWebBuilt = async (): Promise<string> => {
  const dist = join(WEB, 'dist');
  const built = join(dist, await hashSources());
  if (existsSync(join(built, 'index.html'))) return built;
  await mkdir(dist, { recursive: true });
  const aside = join(dist, `.building-${newId()}`);
  try {
    await runVite(aside);
    await rename(aside, built);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    if (!existsSync(join(built, 'index.html'))) throw error;
  }
  await dropOldBuilds(dist);
  return built;
};
