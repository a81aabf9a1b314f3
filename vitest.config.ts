import { defineConfig } from 'vitest/config';

const project = (name: string, include: string[], rest: object = {}) => ({
  test: { name, include, testTimeout: 20_000, hookTimeout: 60_000, ...rest },
});

/**
 * Five projects. `unit`, `property` and `contract` need nothing; `integration` opens chDB and LMDB and, where a
 * broker can be started, Kafka; `scenario` runs whole processes and kills them.
 */
export default defineConfig({
  test: {
    projects: [
      project('unit', ['test/unit/**/*.test.ts']),
      project('property', ['test/property/**/*.test.ts']),
      project('contract', ['test/contract/**/*.test.ts'], {
        testTimeout: 60_000,
        hookTimeout: 120_000,
      }),
      project('integration', ['test/integration/**/*.test.ts', 'test/recordings/**/*.test.ts'], {
        testTimeout: 120_000,
        hookTimeout: 120_000,
        pool: 'forks',
      }),
      project('scenario', ['test/scenario/**/*.test.ts'], {
        testTimeout: 600_000,
        hookTimeout: 120_000,
        pool: 'forks',
        fileParallelism: false,
      }),
    ],
  },
});
