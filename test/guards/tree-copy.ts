import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Guard } from './guard.ts';

const NOT_COPIED = new Set(['node_modules', '.git', '.cache', '.reckoner', 'coverage', 'reports']);

/** A copy of the tree that a guard can be taken out of. */
export interface TreeCopy {
  readonly root: string;
  /**
   * Takes a guard out and gives the way to put it back.
   * @throws Error naming the guard, when its text is not there exactly once or what is left is no program.
   */
  takeOut(guard: Guard): () => void;
  remove(): void;
}

/** The text of a file without the guard; throws when the text to take out is not there exactly once. */
export const withoutGuard = (source: string, { name, file, find, replace }: Guard): string => {
  const found = find === '' ? 0 : source.split(find).length - 1;
  if (found !== 1) {
    throw new Error(
      `The text that guard ${name} takes out occurs ${found} times in ${file}; it must be there exactly once.`,
    );
  }
  const rest = source.replace(find, () => replace);
  if (rest === source) throw new Error(`Guard ${name} replaces a text of ${file} by itself.`);
  if (!file.endsWith('.ts')) return rest;
  try {
    stripTypeScriptTypes(rest);
  } catch (error) {
    throw new Error(`Without guard ${name}, ${file} is no program any more: ${String(error)}`);
  }
  return rest;
};

/**
 * Copies the sources of the tree at `from` to a temporary directory: node_modules is linked, and so are the shared fixtures that tests
 * read beside the project (`../shared`).
 */
export const copyTree = (from: string): TreeCopy => {
  const home = realpathSync(mkdtempSync(join(tmpdir(), 'reckoner-guards-')));
  const root = join(home, 'tree');
  const remove = (): void => rmSync(home, { recursive: true, force: true });
  process.once('exit', remove);
  mkdirSync(root);
  cpSync(from, root, { recursive: true, filter: (path) => !NOT_COPIED.has(basename(path)) });
  symlinkSync(realpathSync(join(from, 'node_modules')), join(root, 'node_modules'));
  const shared = join(from, '..', 'shared');
  if (existsSync(shared)) symlinkSync(realpathSync(shared), join(home, 'shared'));
  return {
    root,
    takeOut: (guard) => {
      const path = join(root, guard.file);
      if (!existsSync(path))
        throw new Error(`Guard ${guard.name} names ${guard.file}, which is not there.`);
      const source = readFileSync(path, 'utf8');
      writeFileSync(path, withoutGuard(source, guard));
      return () => writeFileSync(path, source);
    },
    remove,
  };
};
