import { mkdirSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** Files that large inserts go through on their way into the embedded engine, in a directory of their own. */
export interface InsertFiles {
  /** Puts the text into a file for as long as `use` takes. Not flushed: what is lost with the power was not committed either. */
  lend(body: string, use: (path: string) => Promise<void>): Promise<void>;
}

const NAME = 'inserting';
/** The engine reads these as patterns. */
const PLAIN_PATH = /^[^*?{}[\]]+$/;

/**
 * The directory for such files, emptied of what a killed process left.
 * @returns null where the engine could not name a file in it.
 */
export const openInsertFiles = (warehouseDirectory: string): InsertFiles | null => {
  const directory = join(resolve(warehouseDirectory), NAME);
  if (!PLAIN_PATH.test(directory)) return null;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let last = 0;
  return {
    lend: async (body, use) => {
      last += 1;
      const path = join(directory, `block-${last}`);
      try {
        await writeFile(path, body, { mode: 0o600 });
        await use(path);
      } finally {
        await rm(path, { force: true });
      }
    },
  };
};
