import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { HouseConfigSchema } from '../../../schemas/house-config.ts';
import { loadConfig } from '../../../services/platform/config.ts';

/** No container runs here: what can be checked of the compose file is that it agrees with the configuration it feeds. */
interface Service {
  image: string;
  command?: string;
  ports?: string[];
  environment: Record<string, string>;
}
const compose = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
};
const service = (name: string): Service => {
  const found = compose.services[name];
  if (!found) throw new Error(`no service ${name}`);
  return found;
};

const ours = ['proxy', 'back-office'] as const;

describe('docker-compose.yml', () => {
  test('pins every image to a version', () => {
    for (const [name, { image }] of Object.entries(compose.services)) {
      expect(image, name).toMatch(/:[0-9]/);
    }
  });

  test('runs the Node the project asks for', () => {
    const { engines } = JSON.parse(readFileSync('package.json', 'utf8'));
    const wanted = /\d+/.exec(engines.node)?.[0];
    for (const name of ours) expect(service(name).image).toContain(`node:${wanted}-`);
  });

  test.for(ours)('%s starts that process with a configuration that is valid', (name) => {
    const { command, environment } = service(name);
    const [, role, path] = /serve (\S+) --config (\S+)/.exec(command ?? '') ?? [];
    expect(role).toBe(name);
    const loaded = loadConfig(path ?? null, environment);
    expect(loaded.config.process.event_log).toMatchObject({ kind: 'kafka' });
  });

  test('publishes the ports the processes listen on, to this machine only', () => {
    const defaults = HouseConfigSchema.parse({}).process;
    expect(service('proxy').ports).toEqual([
      `127.0.0.1:${defaults.proxy.port}:${defaults.proxy.port}`,
    ]);
    expect(service('back-office').ports).toEqual([
      `127.0.0.1:${defaults.back_office.port}:${defaults.back_office.port}`,
    ]);
  });

  test('points at the broker and the warehouse by the names and ports they have there', () => {
    const { config } = loadConfig(
      'deploy/reckoner.compose.yaml',
      service('back-office').environment,
    );
    const { event_log: log, warehouse } = config.process;
    if (log.kind !== 'kafka' || warehouse.kind !== 'clickhouse')
      throw new Error('expected a cluster');
    for (const broker of log.brokers) {
      const [host = '', port] = broker.split(':');
      expect(service(host).environment['KAFKA_ADVERTISED_LISTENERS']).toBe(
        `PLAINTEXT://${host}:${port}`,
      );
    }
    const url = new URL(warehouse.url);
    expect(service(url.hostname).environment['CLICKHOUSE_USER']).toBe(warehouse.username);
    expect(url.port).toBe('8123');
  });
});
