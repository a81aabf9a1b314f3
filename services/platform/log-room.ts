import { statfs } from 'node:fs/promises';

/** What a log occupies and what is left for it, in bytes. */
export interface LogRoom {
  /** Pages in use. The file itself never shrinks: what was trimmed is written over before it grows. */
  bytesKept: number;
  /** What can still be written: the file system's free space, as far as this user may take it, and the file's own unused pages. */
  bytesFree: number;
}

/** A log on this machine's disk. */
export interface LogOnDisk {
  /** Asks the file system; to be called on an interval, not per call. Rejects when it does not answer. */
  room(): Promise<LogRoom>;
}

/** Pages of the file, in bytes: used, and all it has grown to. */
export interface PagesInBytes {
  used: number;
  all: number;
}

export const roomOf = async (directory: string, pages: PagesInBytes): Promise<LogRoom> => {
  const { bavail, bsize } = await statfs(directory);
  return { bytesKept: pages.used, bytesFree: bavail * bsize + (pages.all - pages.used) };
};
