import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { LoadJob, LoadResult } from './load-job.ts';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 40_000;
/** How long a job may take beyond its own time before the benchmark gives up. */
const JOB_GRACE_MS = 90_000;

/** A process of the benchmark that answers at an address. */
export interface Served {
  url: string;
  pid: number;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  running(): boolean;
  stop(): Promise<void>;
}

const messageOf = (
  child: ChildProcess,
  what: string,
  timeoutMs: number,
  start: () => void = () => undefined,
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${what} did not answer in ${timeoutMs} ms`)),
      timeoutMs,
    );
    const exited = (code: number | null): void =>
      reject(new Error(`${what} ended with code ${code}`));
    child.once('exit', exited);
    child.once('message', (message) => {
      clearTimeout(timer);
      child.off('exit', exited);
      resolve(message);
    });
    start();
  });

const stop = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGCONT');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
};

const here = (module: string): string => fileURLToPath(new URL(module, import.meta.url));

interface StartOptions {
  env?: Readonly<Record<string, string | undefined>>;
  /** For Node itself, such as `--cpu-prof`. */
  nodeOptions?: readonly string[];
}

/** Starts a module that tells its address on the IPC channel, as `{ url }` or as the CLI does, `{ ready: { url } }`. */
export const startServed = async (
  module: string,
  args: readonly string[] = [],
  { env = process.env, nodeOptions = [] }: StartOptions = {},
): Promise<Served> => {
  const child = fork(here(module), [...args], {
    env: { ...env },
    execArgv: [...nodeOptions],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const told = (await messageOf(child, `${module} ${args.join(' ')}`, START_TIMEOUT_MS)) as {
    url?: string;
    ready?: { url: string };
  };
  return {
    url: told.ready?.url ?? told.url ?? '',
    pid: child.pid ?? 0,
    signal: (signal) => {
      child.kill(signal);
    },
    running: () => child.exitCode === null && child.signalCode === null,
    stop: () => stop(child),
  };
};

export interface LoadGenerator {
  run(job: LoadJob): Promise<LoadResult>;
  stop(): Promise<void>;
}

export const startLoadGenerator = (): LoadGenerator => {
  const child = fork(here('./load-process.ts'), [], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return {
    run: async (job) =>
      (await messageOf(child, 'the load generator', job.forMs + JOB_GRACE_MS, () =>
        child.send(job),
      )) as LoadResult,
    stop: () => stop(child),
  };
};

const CLOCK_TICKS_PER_SECOND = 100;

/** Processor time of all threads of a process so far, in seconds. */
export const processorSeconds = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Behind the name, which may hold anything: fields 14 and 15 of proc(5) are user and system time.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
};

/** Memory of a process that is in RAM now, in MiB: all of it, and the part that no file backs. */
export const residentMib = (pid: number): { all: number; anonymous: number } => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024;
  return { all: mib('VmRSS'), anonymous: mib('RssAnon') };
};
