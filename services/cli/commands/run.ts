import { writeFileSync } from 'node:fs';
import { houseSecret, processEnvironment } from '../../platform/config.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { createLogger } from '../../platform/logger.ts';
import { SABOTAGES, type Sabotage } from '../demo/sabotage-kinds.ts';
import { houseReady, startHouse } from '../house.ts';
import { EXIT } from '../run-process.ts';
import type { AddCommands } from './command-kit.ts';
import { configOf, configOption, wholeNumber } from './command-kit.ts';
import { exportJsonSchemas } from './export-schemas.ts';

/** `reckoner up`: both processes under one supervisor, until a signal comes. */
const up = async (configPath: string | null): Promise<number> => {
  const loaded = configOf(configPath === null ? {} : { config: configPath });
  const logger = createLogger('supervisor', loaded.config.process.log_level);
  // Asked here once, so that an unusable data directory is one message and not one of each process.
  houseSecret(loaded.dataDir, 'pepper');
  const house = startHouse({ configPath, env: processEnvironment(), logger });
  const signalled = new Promise<null>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(null));
  });
  try {
    const ready = await Promise.race([houseReady(house), signalled]);
    if (ready !== null) {
      process.stderr.write(
        `Reckoner is up\n  proxy    ${ready.proxyUrl}\n  console  ${ready.consoleUrl}   token: ${loaded.dataDir}/bootstrap-token\n`,
      );
      const code = await Promise.race([house.gaveUp, signalled]);
      if (code !== null) return code;
    }
    return EXIT.ok;
  } finally {
    await house.stop();
  }
};

const serve = async (role: string, options: { config?: string }): Promise<number> => {
  const loaded = configOf(options);
  // Loaded on demand: the proxy must never load the warehouse's native library.
  if (role === 'proxy') {
    const { runProxyProcess } = await import('../proxy-process.ts');
    return runProxyProcess(loaded);
  }
  if (role === 'back-office') {
    const { runBackOfficeProcess } = await import('../back-office-process.ts');
    return runBackOfficeProcess(loaded);
  }
  throw new ReckonerError(
    'CONFIG_INVALID',
    `There is no process called ${JSON.stringify(role)}. Expected: reckoner serve proxy, or reckoner serve back-office.`,
  );
};

interface DemoFlags {
  events: number;
  seed: number;
  trace?: string;
  keep?: boolean;
  json?: boolean;
  sabotage?: string;
}

const demo = async (flags: DemoFlags): Promise<number> => {
  const sabotage = SABOTAGES.find((kind): kind is Sabotage => kind === flags.sabotage);
  if (flags.sabotage !== undefined && !sabotage) {
    throw new ReckonerError(
      'CONFIG_INVALID',
      `There is no sabotage called ${JSON.stringify(flags.sabotage)}. Expected one of: ${SABOTAGES.join(', ')}.`,
    );
  }
  const { runDemo } = await import('../demo/main.ts');
  return runDemo({
    events: flags.events,
    seed: flags.seed,
    keep: flags.keep === true,
    json: flags.json === true,
    ...(flags.trace === undefined ? {} : { trace: flags.trace }),
    ...(sabotage ? { sabotage } : {}),
  });
};

/** Verbs that run something: up, serve, demo, config check, schemas export. */
export const addRunCommands: AddCommands = (program, run) => {
  program
    .command('up')
    .description('run proxy and back office under one supervisor')
    .option(...configOption)
    .action((options: { config?: string }) => run(() => up(options.config ?? null))());

  program
    .command('serve <process>')
    .description('run one process: proxy or back-office')
    .option(...configOption)
    .action((role: string, options: { config?: string }) => run(() => serve(role, options))());

  program
    .command('demo')
    .description(
      'play traffic through the real proxy against a sandbox provider and prove the bill',
    )
    .option('--events <n>', 'calls to play', wholeNumber(20, 1_000_000), 5000)
    .option('--seed <n>', 'seed of the made-up traffic', wholeNumber(0, 999_999_999), 1)
    .option('--trace <file>', 'sizes of real traffic: CSV or JSONL')
    .option('--keep', 'stay up afterwards, to look around')
    .option('--json', 'print one JSON object on stdout')
    .option('--sabotage <kind>', `damage one record on the way: ${SABOTAGES.join(' | ')}`)
    .action((flags: DemoFlags) => run(() => demo(flags))());

  const config = program.command('config').description('look at the configuration');
  config
    .command('check')
    .description('check reckoner.yaml and say everything that is wrong with it')
    .option(...configOption)
    .action((options: { config?: string }) =>
      run(async () => {
        const loaded = configOf(options);
        const { checkConfig } = await import('./config-check.ts');
        return checkConfig(loaded);
      })(),
    );

  program
    .command('schemas')
    .description('the published contracts')
    .command('export <directory>')
    .description('write the contracts as JSON Schema')
    .action((directory: string) =>
      run(async () => {
        for (const [file, text] of exportJsonSchemas()) writeFileSync(`${directory}/${file}`, text);
        return EXIT.ok;
      })(),
    );
};
