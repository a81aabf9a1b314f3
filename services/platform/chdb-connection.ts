import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ReckonerError } from './errors.ts';

type ChdbConnection = ReturnType<typeof import('chdb/connection')['createChdbConnection']>;

const unusable = (directory: string, cause: unknown): ReckonerError =>
  new ReckonerError(
    'DATA_DIR_UNUSABLE',
    `The warehouse directory ${directory} cannot be opened (${(cause as NodeJS.ErrnoException).code ?? 'the engine refused it'}). It must be a directory this user can write, on a local disk, and one process can have only one; choose another or mend its permissions.`,
    { cause },
  );

const prepare = (directory: string): void => {
  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unusable(directory, error);
  }
};

/** The process that holds the directory. The engine writes `PID: n` into `status` and locks it; it tells us neither. */
const livingHolder = (directory: string): number | null => {
  try {
    const pid = Number(/^PID: (\d+)/m.exec(readFileSync(join(directory, 'status'), 'utf8'))?.[1]);
    if (!Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid) return null;
    try {
      process.kill(pid, 0);
      return pid;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM' ? pid : null;
    }
  } catch {
    return null;
  }
};

/**
 * Opens sessions on one chDB directory. The native library (over 500 MB) is loaded here and only here, when first asked for, so
 * that a proxy never carries it.
 * @throws ReckonerError WAREHOUSE_LOCKED when another process has the directory, DATA_DIR_UNUSABLE when it cannot be used.
 */
export const openChdb = async (path: string): Promise<() => ChdbConnection> => {
  const directory = resolve(path);
  prepare(directory);
  const { createChdbConnection } = await import('chdb/connection');
  return () => {
    try {
      return createChdbConnection({ path: directory });
    } catch (error) {
      const holder = livingHolder(directory);
      if (holder === null) throw unusable(directory, error);
      throw new ReckonerError(
        'WAREHOUSE_LOCKED',
        `The warehouse in ${directory} is open in process ${holder}; only one process can have it. Talk to that process (the admin API), or stop it first.`,
        { cause: error, retryable: true },
      );
    }
  };
};
