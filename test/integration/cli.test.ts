import { fork, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runCli } from '../helpers/run-cli.ts';

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'reckoner-cli-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};
const configFile = (text: string): string => {
  const path = join(folder(), 'reckoner.yaml');
  writeFileSync(path, text);
  return path;
};

describe('a configuration that cannot be used gets one message and exit code 2', () => {
  test('YAML that does not parse: the place', async () => {
    const path = configFile('process:\n  proxy: { port: 1\nrecords: [\n');
    const run = await runCli(['config', 'check', '--config', path]);
    expect(run.code).toBe(2);
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(/is not valid YAML at line \d+, column \d+/);
  });

  test('values of the wrong kind: every problem at once, by its path', async () => {
    const path = configFile(
      'process: { proxy: { port: eighty }, log_level: loud }\nrecords: { budgets: [{ id: b, tenant: acme, limit_usd: 20 }] }\n',
    );
    const run = await runCli(['up', '--config', path]);
    expect(run.code).toBe(2);
    for (const place of [
      'process.proxy.port',
      'process.log_level',
      'records.budgets.b.limit_usd',
    ]) {
      expect(run.stderr).toContain(place);
    }
    expect(run.stderr).toContain(`npx reckoner config check -c ${path}\n`);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  });

  test('a file that is not there', async () => {
    const run = await runCli(['up', '--config', '/nowhere/reckoner.yaml']);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('Cannot read the configuration /nowhere/reckoner.yaml (ENOENT)');
  });

  test('a secret that is not set: its name, and never a value', async () => {
    const path = configFile(
      'records: { tenants: [{ id: acme }], keys: [{ id: k, tenant: acme, secret: { env: RECKONER_TEST_NO_SUCH_KEY } }] }\n',
    );
    const run = await runCli(['config', 'check', '--config', path]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('RECKONER_TEST_NO_SUCH_KEY');
  });

  test('what `up` would refuse: every problem at once, also of a key without its secret', async () => {
    const path = configFile(
      `records:
  tenants: [{ id: acme }, { id: acme }]
  keys:
    - { id: unset, tenant: nobody, secret: { env: RECKONER_TEST_NO_SUCH_KEY } }
    - { id: odd, tenant: acme, budgets: [gone], secret: { env: RECKONER_TEST_ODD_KEY } }
  mappings: [{ id: m, destination: stripe, tenant: nowhere, customer: cus_1, event_name: llm }]
`,
    );
    const run = await runCli(['config', 'check', '--config', path], {
      RECKONER_TEST_ODD_KEY: 'sk-not-ours',
    });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(
      'key unset: The secret is to come from the environment variable RECKONER_TEST_NO_SUCH_KEY',
    );
    expect(run.stderr).toContain('key odd: the environment variable RECKONER_TEST_ODD_KEY holds');
    expect(run.stderr).toContain('key unset names tenant nobody, which does not exist');
    expect(run.stderr).toContain('key odd names budget gone, which does not exist');
    expect(run.stderr).toContain('mapping m names tenant nowhere, which does not exist');
    expect(run.stderr).toContain('tenant acme is declared twice');
    expect(run.stderr).not.toContain('is valid');
    expect(run.stderr).not.toContain('sk-not-ours');
  });

  test('a policy for unknown prices that cannot work is refused; one that needs care is a warning', async () => {
    const at = 'dialect: openai, base_url: "https://api.example.com/v1"';
    const azure = 'dialect: azure, base_url: "https://x.openai.azure.com"';
    const path = configFile(
      `records: { upstreams: [{ id: a, provider: nobody, unknown_price: block, ${at} }, { id: b, provider: nobody, unknown_price: ceiling, ${at} }, { id: c, provider: azure, unknown_price: block, ${azure} }] }\n`,
    );
    const run = await runCli(['config', 'check', '--config', path]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('upstream a: unknown_price is block and provider "nobody" has no');
    expect(run.stderr).toContain('upstream b: unknown_price is ceiling and provider "nobody" has');
    expect(run.stderr).toContain('warning: upstream c: unknown_price is block, and Azure is asked');
  });

  test('a provider without a price book is a warning, with the one that was probably meant', async () => {
    const path = configFile(
      'records: { upstreams: [{ id: typo, provider: opnai, dialect: openai, base_url: "https://api.openai.com/v1" }] }\n',
    );
    const run = await runCli(['config', 'check', '--config', path]);
    expect(run.code).toBe(0);
    expect(run.stderr).toContain('is valid\n');
    expect(run.stderr).toMatch(
      /warning: upstream typo: no price book for provider "opnai"; its calls will be unrated\. Books: anthropic, .*\. Did you mean openai\?\n/,
    );
  });

  test('Kafka asked for without brokers', async () => {
    const run = await runCli(['config', 'check'], { EVENT_LOG: 'kafka', KAFKA_BROKERS: '' });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('process.event_log.brokers');
  });

  test('a data directory that is a file: the supervisor stops instead of trying for ever', async () => {
    const path = join(folder(), 'data');
    writeFileSync(path, 'not a directory');
    const run = await runCli(['up'], {
      RECKONER_DATA_DIR: path,
      RECKONER_PROXY_PORT: '0',
      RECKONER_CONSOLE_PORT: '0',
    });
    expect(run.code).toBe(2);
    expect(run.stderr.trim().split('\n')).toHaveLength(1);
    expect(run.stderr).toContain(`Cannot use the data directory ${path}`);
  });
});

test('a Node that is too old gets one clear message, whatever the verb', () => {
  // Any Node can be told to be an old one; where a really old one is installed it is asked too.
  const pretend = `data:text/javascript,${encodeURIComponent("Object.defineProperty(process.versions, 'node', { value: '20.20.2' })")}`;
  const runs: [string, string[]][] = [[process.execPath, ['--import', pretend]]];
  const installed = '/usr/bin/node';
  const version = existsSync(installed)
    ? spawnSync(installed, ['--version'], { encoding: 'utf8' }).stdout
    : '';
  if (/^v(1\d|2[0-3])\./.test(version)) runs.push([installed, []]);
  for (const [node, flags] of runs) {
    const run = spawnSync(node, [...flags, 'services/cli/bin.js', 'demo'], { encoding: 'utf8' });
    expect(run.status).toBe(1);
    expect(run.stderr).toContain('Reckoner needs Node 24.12 or newer');
    expect(run.stderr.trim().split('\n')).toHaveLength(2);
  }
});

test.each(['proxy', 'back-office'])(
  'a %s whose supervisor dies while it starts stops by itself, without a crash',
  async (role) => {
    const child = fork('services/cli/bin.js', ['serve', role], {
      env: {
        ...process.env,
        RECKONER_DATA_DIR: folder(),
        RECKONER_PROXY_PORT: '0',
        RECKONER_CONSOLE_PORT: '0',
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let stderr = '';
    child.stderr?.on('data', (chunk) => {
      stderr += chunk;
    });
    child.disconnect();
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(stderr).not.toContain('Error');
    expect(code).toBe(0);
  },
);

describe('what the command line answers without a house', () => {
  test('an unknown verb is a usage error', async () => {
    const run = await runCli(['fly']);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain("unknown command 'fly'");
  });

  test('rate says what usage would cost', async () => {
    const path = join(folder(), 'usage.jsonl');
    const line = (model: string) =>
      JSON.stringify({
        provider: 'openai',
        model,
        at: '2026-11-01T00:00:00.000Z',
        classes: { input_uncached: '900', cache_read: '300', output_text: '211' },
      });
    writeFileSync(path, `${line('gpt-4o-mini-2024-07-18')}\n${line('gpt-99')}\n`);
    const run = await runCli(['rate', path, '--json']);
    expect(run.code).toBe(0);
    const [priced, unpriced] = run.stdout
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text));
    // 900 x 0.15 + 300 x 0.075 + 211 x 0.60 = 135 + 22.5 + 126.6 = 284.1 USD per million
    expect(priced).toMatchObject({ index: 0, total_usd: '0.0002841', book: 'openai@3' });
    expect(unpriced).toMatchObject({ index: 1, unrated: 'unknown_model' });
  });

  test('a verb that needs the back office says how to start one', async () => {
    const run = await runCli(['sql', 'select 1', '--url', 'http://127.0.0.1:1'], {
      RECKONER_TOKEN: 'x'.repeat(43),
    });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('reckoner up');
  });
});
