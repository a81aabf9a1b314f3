import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { houseSecret } from '../../services/platform/config.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { hashSecret } from '../../services/platform/virtual-key.ts';
import { putKey, putUpstream, readEvents } from '../integration/proxy-harness.ts';

/** A data directory with the records a proxy needs, as a back office would have left them; the back office itself is not running. */
export interface ProxyHouse {
  directory: string;
  dataDir: string;
  /** The log of the proxy, for when it does not run. */
  logDirectory: string;
  configPath: string;
}

export const createProxyHouse = async (
  upstreamUrl: string,
  options: { proxy?: object; parent?: string; logLevel?: string } = {},
): Promise<ProxyHouse> => {
  const directory = mkdtempSync(join(options.parent ?? tmpdir(), 'reckoner-house-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const dataDir = join(directory, 'data');
  mkdirSync(dataDir);
  const pepper = houseSecret(dataDir, 'pepper');
  const log = await openLmdbEventLog({
    directory: join(dataDir, 'log', 'back-office'),
    name: 'back-office',
  });
  await putKey(log, { secret_hash: hashSecret('s'.repeat(32), pepper) });
  await putUpstream(log, { base_url: upstreamUrl, attempts_max: 1 });
  await log.close();
  const configPath = join(directory, 'reckoner.yaml');
  const config = {
    process: {
      data_dir: dataDir,
      proxy: { port: 0, pressure: { disk_free_bytes_min: 0 }, ...options.proxy },
      log_level: options.logLevel ?? 'info',
    },
  };
  writeFileSync(configPath, JSON.stringify(config));
  const logDirectory = join(dataDir, 'log', 'proxy-1');
  return { directory, dataDir, logDirectory, configPath };
};

/** The events of its proxy's log, while that does not run. */
export const eventsOf = async (house: ProxyHouse): Promise<UsageEvent[]> => {
  const log = await openLmdbEventLog({ directory: house.logDirectory, name: 'proxy-1' });
  try {
    return await readEvents(log);
  } finally {
    await log.close();
  }
};

export interface ProxyProcess {
  child: ChildProcess;
  url: string;
  port: number;
  pid: number;
  /** Lines of its log. */
  said: string[];
  ended: Promise<number | null>;
}

/**
 * Runs `reckoner serve proxy` as its user would.
 * @param runner what to put before the command, such as `strace -D` and its options; the command must keep its process id.
 */
export const runProxy = async (
  house: ProxyHouse,
  runner: readonly string[] = [],
): Promise<ProxyProcess> => {
  const command = [
    ...runner,
    process.execPath,
    'services/cli/bin.js',
    'serve',
    'proxy',
    '--config',
    house.configPath,
  ];
  const child = spawn(command[0] as string, command.slice(1), {
    env: { ...process.env, UPSTREAM_KEY: 'upstream-secret' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said: string[] = [];
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  if (!child.stderr) throw new Error('the proxy was started without a pipe');
  const lines = createInterface({ input: child.stderr });
  const { promise: ready, resolve } = Promise.withResolvers<{ url: string } | null>();
  lines.on('line', (line) => {
    said.push(line);
    if (line.includes('"msg":"proxy ready"')) resolve(JSON.parse(line));
  });
  lines.on('error', () => undefined);
  void exited.then(() => resolve(null));
  const found = await ready;
  if (found === null) throw new Error(`the proxy did not start: ${said.join('\n')}`);
  const port = Number(new URL(found.url).port);
  return { child, url: found.url, port, pid: child.pid ?? -1, said, ended: exited };
};
