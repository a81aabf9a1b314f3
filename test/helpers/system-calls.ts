import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { eventually } from '../contract/event-log-kit.ts';

/** Why system calls cannot be traced here, or null. */
export const whyNoTrace = (): string | null => {
  const { status, error } = spawnSync('strace', ['-o', '/dev/null', 'true']);
  if (error) return 'strace is not installed';
  return status === 0 ? null : 'this machine does not let processes be traced';
};

/** One system call as strace saw it. */
export interface SystemCall {
  name: string;
  /** What the first argument, a file descriptor, stands for: a path or `TCP:[here->there]`. */
  file: string;
  /** The line with its arguments. */
  text: string;
  /** Places in the order in which strace saw calls begin and end; `end` is Infinity while one has not returned. */
  begun: number;
  end: number;
  result: string;
}

const CALL = /^(\d+) +(\w+)\(\d*<?(.*?)>?(?:,|\)| <unfinished)/;
const resultOf = (text: string): string => / = (.*)$/.exec(text)?.[1] ?? '';

/** Reads the output of `strace -f -yy -o FILE`, in which one thread's call may be interrupted by the lines of others. */
export const readSystemCalls = (path: string): SystemCall[] => {
  const calls: SystemCall[] = [];
  const unfinished = new Map<string, SystemCall>();
  for (const [place, line] of readFileSync(path, 'latin1').split('\n').entries()) {
    const thread = /^\d+/.exec(line)?.[0] ?? '';
    if (/^\d+ +<\.\.\. /.test(line)) {
      const call = unfinished.get(thread);
      if (call) Object.assign(call, { end: place, result: resultOf(line) });
      unfinished.delete(thread);
      continue;
    }
    const [, , name, file] = CALL.exec(line) ?? [];
    if (name === undefined || file === undefined) continue;
    const whole = !line.includes('<unfinished ...>');
    const call = { name, file, text: line, begun: place, end: Infinity, result: '' };
    if (whole) Object.assign(call, { end: place, result: resultOf(line) });
    else unfinished.set(thread, call);
    calls.push(call);
  }
  return calls;
};

/** Options of strace that show what a proxy writes, flushes and sends; and what is to be done to it. */
export const traced = (output: string, inject: readonly string[] = []): string[] => [
  'strace',
  '-D',
  '-f',
  '-yy',
  '-s',
  '65536',
  '--seccomp-bpf',
  '-e',
  'trace=pwrite64,pwritev,fdatasync,fsync,msync,write,writev,sendto,sendmsg',
  ...inject.flatMap((what) => ['-e', `inject=${what}`]),
  '-o',
  output,
];

const isTraced = (pid: number, thread: string): boolean => {
  try {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    return !/^TracerPid:\s*0$/m.test(status);
  } catch {
    return true;
  }
};

/**
 * Begins to trace and disturb a process that runs already, in all its threads.
 * @returns how to let go of it.
 */
export const attachTracer = async (
  pid: number,
  output: string,
  inject: string,
): Promise<() => Promise<void>> => {
  const name = inject.split(':')[0] ?? '';
  const args = ['-f', '-yy', '-p', `${pid}`, '-e', `trace=${name}`, '-e', `inject=${inject}`];
  const tracer = spawn('strace', [...args, '-o', output], { stdio: 'ignore' });
  const exited = once(tracer, 'exit');
  onTestFinished(() => void tracer.kill('SIGKILL'));
  await eventually('all threads traced', () =>
    readdirSync(`/proc/${pid}/task`).every((thread) => isTraced(pid, thread)),
  );
  return async () => {
    tracer.kill('SIGINT');
    await exited;
  };
};
