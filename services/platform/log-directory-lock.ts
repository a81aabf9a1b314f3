import { accessSync, constants, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ReckonerError } from './errors.ts';

/** Holding it means: no other process writes this directory. The operating system gives it back when the process dies, however it dies. */
interface DirectoryLock {
  /** Tells readers that the directory is ready, and later starters who holds it. */
  announce(): void;
  release(): void;
}

const LOCK_FILE = 'writer.lock';
const HOLDER_FILE = 'writer.pid';

/** Whether a writer has ever made this directory ready for reading. */
export const wasAnnounced = (directory: string): boolean => {
  try {
    return statSync(join(directory, HOLDER_FILE)).isFile();
  } catch {
    return false;
  }
};

/** The error for a directory that cannot hold a log, with the operating system's reason. */
export const directoryUnusable = (directory: string, cause: unknown): ReckonerError => {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ReckonerError(
    'DATA_DIR_UNUSABLE',
    `The log directory ${directory} cannot be used (${reason}). It must be a directory this process may write, on a disk with room; correct it or configure another one.`,
    { cause },
  );
};

const prepareDirectory = (directory: string): void => {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
};

const holderOf = (directory: string): string => {
  try {
    const pid = readFileSync(join(directory, HOLDER_FILE), 'utf8').trim();
    return /^\d+$/.test(pid) ? `process ${pid}` : 'another process';
  } catch {
    return 'another process';
  }
};

const SQLITE_BUSY = 5;
const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;

/**
 * Creates the directory if need be and locks it for writing. Node has no file locks of its own; SQLite has, the
 * same on every platform and between containers that share a disk, so an open exclusive transaction on an empty
 * database file is the lock. A socket or a file with a process id would have to be taken over after a crash, and two starters
 * can both do that.
 * @throws ReckonerError DATA_DIR_UNUSABLE or LOG_LOCKED.
 */
export const lockDirectory = (directory: string): DirectoryLock => {
  let database: DatabaseSync | undefined;
  try {
    prepareDirectory(directory);
    database = new DatabaseSync(join(directory, LOCK_FILE));
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    if (!isBusy(error)) throw directoryUnusable(directory, error);
    throw new ReckonerError(
      'LOG_LOCKED',
      `The log directory ${directory} is being written by ${holderOf(directory)}. A log has one writer: stop that process, or configure another directory.`,
      { cause: error, retryable: true },
    );
  }
  const held = database;
  return {
    announce: () =>
      writeFileSync(join(directory, HOLDER_FILE), `${process.pid}\n`, { mode: 0o600 }),
    release: () => held.close(),
  };
};
