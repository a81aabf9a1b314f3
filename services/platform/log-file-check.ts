import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

const MAGIC = 0xbeefc0de;
const MAGIC_AT = 24;

/** lmdb takes the process down with it when the file is something else, so that is looked at first. */
export const checkLogFile = (directory: string): void => {
  let file: number;
  try {
    file = openSync(join(directory, 'data.mdb'), 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const start = Buffer.alloc(MAGIC_AT + 4);
    const bytes = readSync(file, start, 0, start.byteLength, 0);
    if (bytes > 0 && start.readUInt32LE(MAGIC_AT) !== MAGIC) {
      throw new Error('its file data.mdb is not an LMDB environment');
    }
  } finally {
    closeSync(file);
  }
};
