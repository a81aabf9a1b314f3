import { createHash } from 'node:crypto';
import { realpathSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lineReader } from './log-acknowledgement.ts';
import { directoryUnusable } from './log-directory-lock.ts';

/** A pathname longer than this does not fit a socket address on every system (104 bytes on macOS, 108 on Linux). */
const MAX_PATH_BYTES = 100;
const WAKE = Uint8Array.of(1);
const RECONNECT_MIN_MS = 20;
const RECONNECT_MAX_MS = 1000;
/** A lost wake costs at most this. */
const RECHECK_MS = 1000;

/**
 * Where the socket of a directory may lie, best first: in it, or under the hash of its real path in the temporary directory when
 * that is too long or its file system has no sockets.
 */
const wakePaths = (directory: string): string[] => {
  const real = realpathSync(directory);
  const inside = join(real, 'wake.sock');
  const hash = createHash('sha256').update(real).digest('hex').slice(0, 32);
  const outside = join(tmpdir(), `reckoner-${hash}.sock`);
  return Buffer.byteLength(inside) <= MAX_PATH_BYTES ? [inside, outside] : [outside];
};

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    // Only the holder of the directory lock comes here, so a socket that is there is a dead writer's.
    rmSync(path, { force: true });
    server.once('error', reject);
    server.listen(path, () => {
      server.removeListener('error', reject);
      server.on('error', () => undefined);
      resolve();
    });
  });

/** The writer's side: tells every connected reader that there is something new, and hears their lines. */
interface WakeServer {
  wakeAll(): void;
  close(): Promise<void>;
}

/** Listens; the caller holds the directory lock. @throws ReckonerError DATA_DIR_UNUSABLE when no place takes a socket. */
export const serveWakes = async (
  directory: string,
  onLine: (line: string) => void,
): Promise<WakeServer> => {
  const readers = new Set<Socket>();
  let problem: unknown;
  for (const path of wakePaths(directory)) {
    const server = createServer((socket) => {
      readers.add(socket);
      socket.unref();
      socket.on('error', () => undefined);
      socket.on('close', () => readers.delete(socket));
      socket.on('data', lineReader(onLine));
    });
    try {
      await listen(server, path);
    } catch (error) {
      problem = error;
      continue;
    }
    server.unref();
    return {
      wakeAll: () => {
        for (const reader of readers) {
          // A byte that still waits to be sent will be read after this commit: one is enough.
          if (reader.writableLength === 0) reader.write(WAKE);
        }
      },
      close: () =>
        new Promise((resolve) => {
          for (const reader of readers) reader.destroy();
          server.close(() => resolve());
        }),
    };
  }
  throw directoryUnusable(directory, problem);
};

/** A reader's connection to the writer. */
interface WakeFollower {
  /** Sends a line if the writer is there and has taken the last one. */
  tell(line: string): void;
  stop(): void;
}

/**
 * The reader's side: calls `onWake` after each commit of the writer, after each (re)connection, and once a second in case a
 * wake was lost. The writer may be absent, die and come back.
 */
export const followWakes = (directory: string, onWake: () => void): WakeFollower => {
  let stopped = false;
  let socket: Socket | null = null;
  let timer: NodeJS.Timeout | null = null;
  let delayMs = RECONNECT_MIN_MS;
  let attempt = 0;

  const retry = (): void => {
    socket = null;
    if (stopped) return;
    timer = setTimeout(connect, delayMs);
    delayMs = Math.min(delayMs * 2, RECONNECT_MAX_MS);
  };
  const nextPath = (): string | undefined => {
    try {
      const paths = wakePaths(directory);
      attempt += 1;
      return paths[(attempt - 1) % paths.length];
    } catch {
      return undefined;
    }
  };
  const connect = (): void => {
    const path = nextPath();
    if (path === undefined) {
      retry();
      return;
    }
    socket = createConnection(path);
    socket.on('connect', () => {
      delayMs = RECONNECT_MIN_MS;
      attempt -= 1;
      onWake();
    });
    socket.on('data', onWake);
    socket.on('error', () => undefined);
    socket.on('close', retry);
  };
  connect();
  const recheck = setInterval(onWake, RECHECK_MS);
  return {
    // One line at a time: a writer that does not read is told again later.
    tell: (line) => {
      if (socket?.readyState === 'open' && socket.writableLength === 0) socket.write(line);
    },
    stop: () => {
      stopped = true;
      clearInterval(recheck);
      if (timer) clearTimeout(timer);
      socket?.destroy();
    },
  };
};
