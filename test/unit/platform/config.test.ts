import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { VirtualKeySchema } from '../../../schemas/control-record.ts';
import { houseSecret, loadConfig } from '../../../services/platform/config.ts';
import {
  createVirtualKey,
  findVirtualKey,
  hashSecret,
} from '../../../services/platform/virtual-key.ts';

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'reckoner-config-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

describe('configuration', () => {
  test('without a file and without environment is the embedded house on its usual ports', () => {
    const { config } = loadConfig(null, {});
    expect(config.process).toMatchObject({
      proxy: { id: 'proxy-1', port: 8787, durability: 'disk' },
      back_office: { port: 8788 },
      event_log: { kind: 'lmdb' },
      warehouse: { kind: 'chdb' },
    });
  });

  test('from the environment wins over the file', () => {
    const path = join(folder(), 'reckoner.yaml');
    writeFileSync(path, 'process: { data_dir: here, proxy: { port: 1 } }\n');
    const env = {
      RECKONER_DATA_DIR: '/there',
      RECKONER_PROXY_PORT: '2',
      EVENT_LOG: 'kafka',
      KAFKA_BROKERS: 'a:9092,b:9092',
      KAFKA_PREFIX: 'x.',
    };
    const loaded = loadConfig(path, env);
    expect(loaded.dataDir).toBe('/there');
    expect(loaded.config.process.proxy.port).toBe(2);
    expect(loaded.config.process.event_log).toEqual({
      kind: 'kafka',
      brokers: ['a:9092', 'b:9092'],
      prefix: 'x.',
    });
  });

  test('resolves a data directory against the file it stands in', () => {
    const directory = folder();
    const path = join(directory, 'reckoner.yaml');
    writeFileSync(path, 'process: { data_dir: here }\n');
    expect(loadConfig(path, {}).dataDir).toBe(join(directory, 'here'));
  });

  test('refuses an upstream that would hide the proxy’s own routes', () => {
    const path = join(folder(), 'reckoner.yaml');
    writeFileSync(
      path,
      'records: { upstreams: [{ id: api, provider: openai, dialect: openai, base_url: "https://api.openai.com/v1" }] }\n',
    );
    expect(() => loadConfig(path, {})).toThrow(
      /records\.upstreams\.api\.id: "api" and "v1" are reserved/,
    );
  });

  test('names the place of a secret that cannot be had, never a value', () => {
    const { resolveSecret } = loadConfig(null, { EMPTY: ' ' });
    expect(() => resolveSecret({ env: 'EMPTY' })).toThrow(/environment variable EMPTY/);
    expect(() => resolveSecret({ file: '/nowhere/key' })).toThrow(/\/nowhere\/key.*ENOENT/);
    expect(loadConfig(null, { KEY: ' sk-1 ' }).resolveSecret({ env: 'KEY' })).toBe('sk-1');
  });
});

describe('a secret of the house', () => {
  test('is made once, for its owner only, and the same for whoever asks later', () => {
    const directory = join(folder(), 'data');
    const first = houseSecret(directory, 'pepper');
    expect(first).toMatch(/^[A-Za-z0-9]{43}$/);
    expect(houseSecret(directory, 'pepper')).toBe(first);
    expect(houseSecret(directory, 'bootstrap-token')).not.toBe(first);
    expect(statSync(join(directory, 'pepper')).mode & 0o777).toBe(0o600);
  });

  test('that was cut short is refused, not silently replaced', () => {
    const directory = folder();
    writeFileSync(join(directory, 'pepper'), 'short\n');
    expect(() => houseSecret(directory, 'pepper')).toThrow(/too short to be a secret/);
  });
});

describe('a virtual key', () => {
  const made = createVirtualKey();
  const record = VirtualKeySchema.parse({
    id: 'k',
    tenant: 'acme',
    public_id: made.publicId,
    secret_hash: hashSecret(made.secret, 'pepper'),
  });
  const keys = new Map([[record.public_id, record]]);

  test('is found by what its owner presents', () => {
    expect(findVirtualKey(made.text, keys, 'pepper')).toBe(record);
  });

  test.for([
    ['another secret', `rk_${made.publicId}_${'x'.repeat(32)}`],
    ['an unknown id', `rk_${'y'.repeat(12)}_${made.secret}`],
    ['a provider key', 'sk-proj-1234567890'],
    ['nothing', ''],
    ['a longer text', `${made.text}x`],
  ] as const)('is not found by %s', ([, presented]) => {
    expect(findVirtualKey(presented, keys, 'pepper')).toBeNull();
  });

  test('is not found under another pepper: a stolen hash alone opens nothing', () => {
    expect(findVirtualKey(made.text, keys, 'salt')).toBeNull();
  });
});
