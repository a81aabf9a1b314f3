import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { HouseConfig } from '../../../schemas/house-config.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { randomText } from '../../platform/id-source.ts';
import { volatileFileSystem } from '../../platform/log-room.ts';
import { createVirtualKey } from '../../platform/virtual-key.ts';
import { BLOCKED_TENANT, TENANTS } from './plan.ts';

/** Addresses of the running sandbox provider. */
export interface SandboxUrls {
  url: string;
  openaiUrl: string;
  anthropicUrl: string;
  stripeUrl: string;
}

export interface RunningSandbox extends SandboxUrls {
  stop(): Promise<void>;
}

const SANDBOX = fileURLToPath(new URL('../../sandbox/serve.ts', import.meta.url));

/** Starts the sandbox provider as a process of its own: the witness shares neither code nor memory with the house. */
export const startSandboxProcess = async (): Promise<RunningSandbox> => {
  const child: ChildProcess = spawn(process.execPath, [SANDBOX, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (!child.stdout) throw new Error('the sandbox was started without a pipe');
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    new Promise<string>((resolve) => lines.once('line', resolve)),
    new Promise<null>((resolve) => child.once('exit', () => resolve(null))),
  ]);
  if (first === null) {
    throw new ReckonerError(
      'PORT_IN_USE',
      'The sandbox provider could not start; see its message above.',
    );
  }
  const urls = JSON.parse(first) as SandboxUrls;
  return {
    ...urls,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    },
  };
};

/** Everything a demo run has on disk and in its environment. */
export interface DemoHouse {
  directory: string;
  configPath: string;
  env: Record<string, string | undefined>;
  keyOf: (tenant: string) => string;
  remove(): void;
}

const envName = (tenant: string): string => `RECKONER_DEMO_KEY_${tenant.toUpperCase()}`;

const houseConfig = (
  sandbox: SandboxUrls,
  blockedLimitUsd: string,
  directory: string,
): Omit<HouseConfig, 'process'> & { process: object } => {
  const common = {
    allow_private: true,
    credential: { env: 'RECKONER_DEMO_PROVIDER_KEY' },
    disconnect: 'drain' as const,
    attempts_max: 3,
    timeout_ms: 60_000,
  };
  return {
    process: {
      data_dir: join(directory, 'data'),
      // Where the temporary directory is memory, the disk cannot be waited for.
      proxy: { port: 0, durability: volatileFileSystem(directory) ? 'process' : 'disk' },
      back_office: { port: 0 },
      stripe: { api_key: { env: 'RECKONER_DEMO_STRIPE_KEY' }, base_url: sandbox.stripeUrl },
      log_level: 'warn',
    },
    records: {
      tenants: TENANTS.map((id) => ({ id })),
      keys: TENANTS.map((tenant) => ({
        id: `${tenant}-demo`,
        tenant,
        secret: { env: envName(tenant) },
        budgets: tenant === BLOCKED_TENANT ? [BLOCKED_TENANT] : [],
        bind: {},
        block_status: 402,
      })),
      routes: [],
      upstreams: [
        {
          ...common,
          id: 'openai',
          provider: 'openai',
          dialect: 'openai',
          base_url: sandbox.openaiUrl,
          models: ['gpt-*', 'o4-*', 'text-embedding-*'],
        },
        {
          ...common,
          id: 'anthropic',
          provider: 'anthropic',
          dialect: 'anthropic',
          base_url: sandbox.anthropicUrl,
          models: ['claude-*'],
        },
      ],
      budgets: [
        {
          id: BLOCKED_TENANT,
          tenant: BLOCKED_TENANT,
          limit_usd: blockedLimitUsd,
          window: 'month',
          warn_at_percent: 80,
        },
      ],
      mappings: TENANTS.flatMap((tenant) => [
        {
          id: `stripe-${tenant}`,
          destination: 'stripe' as const,
          tenant,
          customer: `cus_${tenant}`,
          event_name: 'llm_cost_micros',
        },
        {
          id: `chargebee-${tenant}`,
          destination: 'chargebee' as const,
          tenant,
          subscription: `sub_${tenant}`,
          item_price: 'llm-usage-USD-monthly',
        },
      ]),
    },
  };
};

/** Writes the demo's `reckoner.yaml` (JSON is YAML) into a fresh folder and makes its keys. */
export const createDemoHouse = (
  sandbox: SandboxUrls,
  blockedLimitUsd: string,
  env: Readonly<Record<string, string | undefined>>,
): DemoHouse => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-demo-'));
  const keys = new Map<string, string>(TENANTS.map((id) => [id, createVirtualKey().text]));
  const configPath = join(directory, 'reckoner.yaml');
  writeFileSync(
    configPath,
    `${JSON.stringify(houseConfig(sandbox, blockedLimitUsd, directory), null, 2)}\n`,
  );
  const childEnv: Record<string, string | undefined> = {
    ...env,
    RECKONER_DEMO_PROVIDER_KEY: `sk-demo-${randomText(24)}`,
    RECKONER_DEMO_STRIPE_KEY: `sk_test_${randomText(24)}`,
    // Runs that share a broker must not read each other's topics.
    KAFKA_PREFIX: `demo-${randomText(8).toLowerCase()}.`,
  };
  for (const [tenant, key] of keys) childEnv[envName(tenant)] = key;
  return {
    directory,
    configPath,
    env: childEnv,
    keyOf: (tenant) => keys.get(tenant) ?? '',
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
};
