import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Logger } from '../platform/logger.ts';
import { EXIT } from './run-process.ts';

/** One process of the house: what to run, and how to tell which. */
export interface ChildSpec {
  name: string;
  /** Module and arguments for this Node. */
  module: string;
  args: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
}

export interface Supervised {
  readonly name: string;
  /** Of the running child; null between a crash and the restart. */
  pid(): number | null;
  restarts(): number;
  /** Last known address; null before the first time it was ready. */
  url(): string | null;
  /** Address of the child once it answers; again a new promise after a restart. */
  ready(): Promise<string>;
  /** Resolves with an exit code when the child is given up; never while it can be restarted. */
  readonly gaveUp: Promise<number>;
  stop(): Promise<void>;
}

const RESTART_DELAY_MIN_MS = 100;
const RESTART_DELAY_MAX_MS = 5_000;
/** Crashes in a row, each at once, after which trying again only hides the cause. One that waited first for a neighbour does not count. */
const FAILED_STARTS_MAX = 8;
const AT_ONCE_MS = 5_000;
const STOP_TIMEOUT_MS = 40_000;

const isReady = (message: unknown): message is { ready: { url: string } } =>
  typeof message === 'object' && message !== null && 'ready' in message;

/**
 * Keeps one child running: restarts it when it crashes, later each time while it does not get ready, and gives up where a
 * person is needed (a child that ends with the usage code says so).
 *
 * States: starting -> ready -> (crashed -> starting)* ; stopping is final.
 */
export const supervise = (spec: ChildSpec, logger: Logger): Supervised => {
  let child: ChildProcess | null = null;
  let restarts = 0;
  let url: string | null = null;
  let failedStarts = 0;
  let startedMs = 0;
  let stopping = false;
  let restartTimer: NodeJS.Timeout | null = null;
  let readiness = Promise.withResolvers<string>();
  const gaveUp = Promise.withResolvers<number>();

  const onExit = (code: number | null, signal: NodeJS.Signals | null, wasReady: boolean): void => {
    child = null;
    if (stopping) return;
    const atOnce = performance.now() - startedMs < AT_ONCE_MS;
    failedStarts = wasReady || !atOnce ? 0 : failedStarts + 1;
    if (code === EXIT.usage || code === EXIT.ok || failedStarts >= FAILED_STARTS_MAX) {
      gaveUp.resolve(code === EXIT.ok || code === null ? EXIT.error : code);
      return;
    }
    if (wasReady) readiness = Promise.withResolvers<string>();
    restarts += 1;
    const delayMs = Math.min(RESTART_DELAY_MIN_MS * 2 ** failedStarts, RESTART_DELAY_MAX_MS);
    logger.warn({ child: spec.name, code, signal, restarts, delayMs }, 'child ended; restarting');
    restartTimer = setTimeout(start, delayMs);
  };

  const start = (): void => {
    restartTimer = null;
    startedMs = performance.now();
    let wasReady = false;
    const started = fork(spec.module, [...spec.args], {
      env: { ...spec.env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child = started;
    started.on('message', (message) => {
      if (!isReady(message)) return;
      wasReady = true;
      url = message.ready.url;
      readiness.resolve(url);
    });
    started.once('error', (error) =>
      logger.error({ child: spec.name, err: error.message }, 'child'),
    );
    started.once('exit', (code, signal) => onExit(code, signal, wasReady));
  };

  const stop = async (): Promise<void> => {
    stopping = true;
    if (restartTimer) clearTimeout(restartTimer);
    const running = child;
    if (!running || running.exitCode !== null) return;
    const exited = once(running, 'exit');
    running.kill('SIGTERM');
    const killTimer = setTimeout(() => running.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(killTimer);
  };

  start();
  return {
    name: spec.name,
    pid: () => child?.pid ?? null,
    restarts: () => restarts,
    url: () => url,
    ready: () => readiness.promise,
    gaveUp: gaveUp.promise,
    stop,
  };
};
