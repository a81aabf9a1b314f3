import { statfsSync } from 'node:fs';
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

/** What lmdb says of a tree, counted in pages. */
interface Tree {
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
}
export type LmdbStats = Tree & { pageSize: number; lastPageNumber: number; free: Tree };

const pagesOf = (tree: Tree): number =>
  tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages;

export const pagesInBytes = (stats: LmdbStats): PagesInBytes => ({
  used: (pagesOf(stats) + pagesOf(stats.free)) * stats.pageSize,
  all: (stats.lastPageNumber + 1) * stats.pageSize,
});

/** File systems that are memory, by the kernel's numbers: a flush to them keeps nothing. */
const IN_MEMORY = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
]);

/** The name of the directory's file system if it is none that survives a loss of power, else null. */
export const volatileFileSystem = (directory: string): string | null =>
  IN_MEMORY.get(statfsSync(directory).type) ?? null;

/** Bytes the whole file system has. */
export const sizeOfDisk = (directory: string): number => {
  const { blocks, bsize } = statfsSync(directory);
  return blocks * bsize;
};

export const roomOf = async (directory: string, pages: PagesInBytes): Promise<LogRoom> => {
  const { bavail, bsize } = await statfs(directory);
  return { bytesKept: pages.used, bytesFree: bavail * bsize + (pages.all - pages.used) };
};
