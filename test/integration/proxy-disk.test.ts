import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ProcessConfigSchema } from '../../schemas/house-config.ts';
import { checkDurability } from '../../services/cli/check-durability.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { volatileFileSystem } from '../../services/platform/log-room.ts';
import { eventually } from '../contract/event-log-kit.ts';
import type { ProxyHouse } from '../helpers/proxy-house.ts';
import { createProxyHouse, eventsOf, runProxy } from '../helpers/proxy-house.ts';
import { runCli } from '../helpers/run-cli.ts';
import { call, startUpstream } from './proxy-harness.ts';

const CHAT = '/openai/v1/chat/completions';
const bodyOf = (note: string): string =>
  JSON.stringify({ model: 'gpt-5-mini', messages: [{ role: 'user', content: note }] });
const REPLY = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'gpt-5-mini',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' } }],
  usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 },
});

const startProvider = () =>
  startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(REPLY);
  });

const newDirectory = (parent = tmpdir()): string => {
  const directory = mkdtempSync(join(parent, 'reckoner-disk-'));
  onTestFinished(() => {
    chmodSync(directory, 0o700);
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
};

/** The largest size of a file the process may write from now on: what lies beyond is written short and then refused. */
const limitFiles = (pid: number, bytes: number | 'unlimited'): void => {
  execFileSync('prlimit', ['--pid', `${pid}`, `--fsize=${bytes}:unlimited`]);
};

test('row 8 · a disk that takes no more: short writes, no answered call lost, 503 before anything goes upstream, and on again without a restart', async () => {
  const provider = await startProvider();
  const house = await createProxyHouse(provider.url);
  const proxy = await runProxy(house);
  const answered: string[] = [];
  const ask = async (): Promise<number> => {
    const { status, headers, cut } = await call(proxy.url + CHAT, bodyOf('hi'));
    if (status === 200 && !cut) answered.push(String(headers['x-reckoner-request-id']));
    return status;
  };
  expect(await ask()).toBe(200);
  // A little room is left, so that the failure comes in the middle of a transaction.
  limitFiles(proxy.pid, 65_536);
  let refused = 0;
  await eventually(
    'three refusals',
    async () => {
      if ((await ask()) === 503) refused += 1;
      return refused >= 3;
    },
    60_000,
  );
  const before = provider.seen.length;
  // An opened record that was taken, whose event was not, keeps the door closed until the event is on disk.
  limitFiles(proxy.pid, 'unlimited');
  await eventually('served again', async () => (await ask()) === 200, 60_000);
  expect(provider.seen.length).toBeGreaterThan(before);
  proxy.child.kill('SIGTERM');
  expect(await proxy.ended).toBe(0);
  const events = await eventsOf(house);
  const kept = events.map(({ request_id }) => request_id);
  expect(answered.filter((id) => !kept.includes(id))).toEqual([]);
  expect(new Set(kept).size).toBe(kept.length);
  // Every call that went upstream has its event, and none has more.
  expect(events.length).toBe(provider.seen.length);
});

describe('a directory that cannot hold the log', () => {
  test('row 10 · read-only: refused at the start, with what was found, expected, and what to do', async () => {
    const parent = newDirectory();
    const directory = join(parent, 'proxy-1');
    mkdirSync(directory);
    chmodSync(directory, 0o555);
    chmodSync(parent, 0o755);
    const us = process.getuid?.() ?? -1;
    // Root may write everywhere, so another user is asked.
    if (us === 0) process.seteuid?.(65_534);
    try {
      await expect(openLmdbEventLog({ directory, name: 'proxy-1' })).rejects.toMatchObject({
        code: 'DATA_DIR_UNUSABLE',
        message: expect.stringMatching(
          /^The log directory \S+ cannot be used \(.+\)\. It must be a directory this process may write, on a disk with room; correct it or configure another one\.$/,
        ),
      });
    } finally {
      if (us === 0) process.seteuid?.(0);
    }
  });

  test('row 10 · missing and not to be made: the command ends with the code for a person, and says where', async () => {
    const directory = newDirectory();
    writeFileSync(join(directory, 'a-file'), '');
    const dataDir = join(directory, 'a-file', 'data');
    const configPath = join(directory, 'reckoner.yaml');
    writeFileSync(
      configPath,
      JSON.stringify({ process: { data_dir: dataDir, proxy: { port: 0 } } }),
    );
    const { code, stderr } = await runCli(['serve', 'proxy', '--config', configPath]);
    expect(code).toBe(2);
    expect(stderr).toContain(`Cannot use the data directory ${dataDir} (ENOTDIR).`);
    expect(stderr).toContain('process.data_dir');
  });
});

test('row 11 · a second proxy over one directory is refused, and the first serves on', async () => {
  const provider = await startProvider();
  const house = await createProxyHouse(provider.url);
  const proxy = await runProxy(house);
  const { code, stderr } = await runCli(['serve', 'proxy', '--config', house.configPath]);
  expect(code).toBe(2);
  expect(stderr).toContain(`is being written by process ${proxy.pid}. A log has one writer`);
  expect((await call(proxy.url + CHAT, bodyOf('hi'))).status).toBe(200);
});

describe('promises this machine cannot keep', () => {
  const MEMORY = '/dev/shm';
  const isMemory = (): boolean => {
    try {
      return volatileFileSystem(MEMORY) !== null;
    } catch {
      return false;
    }
  };

  test.skipIf(!isMemory())(
    `case 36 · durability "disk" on a file system that is memory is refused at the start; "process" is not (needs ${MEMORY})`,
    async () => {
      const provider = await startProvider();
      const disk = await createProxyHouse(provider.url, { parent: MEMORY });
      const promised = ProcessConfigSchema.parse({}).proxy;
      expect(() => checkDurability(promised, disk.dataDir)).toThrow('which is memory');
      const refused = await runCli(['serve', 'proxy', '--config', disk.configPath]);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain(
        `process.proxy.durability is "disk", but the data directory ${disk.dataDir} lies on tmpfs, which is memory`,
      );
      const house = await createProxyHouse(provider.url, {
        parent: MEMORY,
        proxy: { durability: 'process', pressure: { disk_free_bytes_min: 0 } },
      });
      const proxy = await runProxy(house);
      expect((await call(proxy.url + CHAT, bodyOf('hi'))).status).toBe(200);
    },
  );

  test('case 36 · a ballast larger than the disk is refused at the start: no call could ever be taken', async () => {
    const house = await createProxyHouse('http://127.0.0.1:9', {
      proxy: { pressure: { disk_free_bytes_min: Number.MAX_SAFE_INTEGER } },
    });
    const { proxy } = ProcessConfigSchema.parse({
      proxy: { durability: 'process', pressure: { disk_free_bytes_min: Number.MAX_SAFE_INTEGER } },
    });
    expect(() => checkDurability(proxy, house.dataDir)).toThrow('no call could ever be taken');
    const { code, stderr } = await runCli(['serve', 'proxy', '--config', house.configPath]);
    expect(code).toBe(2);
    expect(stderr).toContain('disk_free_bytes_min is 9007199254740991, but the whole disk');
  });
});

describe('a logging sink that is down', () => {
  const serveOn = async (
    breakSink: (house: ProxyHouse) => Promise<{ url: string; stop(): Promise<void> }>,
  ) => {
    const provider = await startProvider();
    const house = await createProxyHouse(provider.url, { logLevel: 'trace' });
    const proxy = await breakSink(house);
    for (let number = 0; number < 20; number += 1) {
      expect((await call(proxy.url + CHAT, bodyOf('hi'))).status).toBe(200);
      // A key nobody has, an upstream nobody has: what is refused is logged too.
      await call(`${proxy.url}/nowhere/v1/chat/completions`, bodyOf('hi'));
    }
    await proxy.stop();
    return (await eventsOf(house)).length;
  };

  test('case 20 · closed: every accepted call has its event', async () => {
    const count = await serveOn(async (house) => {
      const proxy = await runProxy(house);
      proxy.child.stderr?.destroy();
      return {
        url: proxy.url,
        stop: async () => {
          proxy.child.kill('SIGTERM');
          expect(await proxy.ended).toBe(0);
        },
      };
    });
    expect(count).toBe(20);
  });
});
