import { fileURLToPath } from 'node:url';
import { ReckonerError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Supervised } from './supervisor.ts';
import { supervise } from './supervisor.ts';

/** The running house: two processes under one supervisor. */
export interface House {
  readonly proxy: Supervised;
  readonly backOffice: Supervised;
  /** Resolves with the exit code when one part cannot be kept running. */
  readonly gaveUp: Promise<number>;
  stop(): Promise<void>;
}

export interface HouseOptions {
  /** `reckoner.yaml`; null for the defaults. */
  configPath: string | null;
  env: Readonly<Record<string, string | undefined>>;
  logger: Logger;
  /** Another module to run as back office than the command line, for the demo's saboteur. */
  backOfficeModule?: { module: string; args: readonly string[] };
}

const CLI = fileURLToPath(new URL('./bin.js', import.meta.url));

/** Starts both processes. The proxy serves as soon as the control records are there, whatever analytics does. */
export const startHouse = (options: HouseOptions): House => {
  const { env, logger } = options;
  const configArgs = options.configPath === null ? [] : ['--config', options.configPath];
  const backOffice = supervise(
    {
      name: 'back-office',
      module: options.backOfficeModule?.module ?? CLI,
      args: options.backOfficeModule
        ? [...options.backOfficeModule.args, ...configArgs]
        : ['serve', 'back-office', ...configArgs],
      env,
    },
    logger,
  );
  const proxy = supervise(
    { name: 'proxy', module: CLI, args: ['serve', 'proxy', ...configArgs], env },
    logger,
  );
  return {
    proxy,
    backOffice,
    gaveUp: Promise.race([proxy.gaveUp, backOffice.gaveUp]),
    // Proxy first: what it closes still reaches the back office, or waits on disk for the next start.
    stop: async () => {
      await proxy.stop();
      await backOffice.stop();
    },
  };
};

/** Waits until both answer, or until one is given up. */
export const houseReady = async (
  house: House,
): Promise<{ proxyUrl: string; consoleUrl: string }> => {
  const ready = Promise.all([house.proxy.ready(), house.backOffice.ready()]);
  const first = await Promise.race([ready, house.gaveUp]);
  if (typeof first === 'number') {
    throw new ReckonerError(
      'CONFIG_INVALID',
      'Reckoner could not start; the reason is in the message of the process above.',
    );
  }
  return { proxyUrl: first[0], consoleUrl: first[1] };
};
