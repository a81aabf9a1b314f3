import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addBillingCommands } from './commands/billing.ts';
import { addDeskCommands } from './commands/desk.ts';
import { addPriceCommands } from './commands/price-commands.ts';
import { addRecordingsCommand } from './commands/recordings.ts';
import { addReportCommand } from './commands/report.ts';
import { addRerateCommands } from './commands/rerate.ts';
import { addRunCommands } from './commands/run.ts';
import { describeError, EXIT, exitCodeOf } from './run-process.ts';

const version = (): string =>
  (
    JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    }
  ).version;

const createProgram = (): Command =>
  new Command('reckoner')
    .description(
      'Meters LLM traffic, prices it, stops it at its budget, proves it and bills it on.',
    )
    .version(version())
    .exitOverride()
    .configureHelp({ sortSubcommands: true, showGlobalOptions: true })
    .showHelpAfterError('Run with --help to see what is possible.');

/**
 * The command line. Data on stdout, messages on stderr. Exit codes: 0 ok, 1 error, 2 usage, 3 differences found, 4 blocked.
 */
export const runCli = async (args: readonly string[]): Promise<void> => {
  const program = createProgram();
  let exitCode: number = EXIT.ok;
  const run = (work: () => Promise<number>) => async (): Promise<void> => {
    exitCode = await work();
  };
  addRunCommands(program, run);
  addDeskCommands(program, run);
  addBillingCommands(program, run);
  addPriceCommands(program, run);
  addRerateCommands(program, run);
  addReportCommand(program, run);
  addRecordingsCommand(program, run);
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    } else {
      process.stderr.write(`${describeError(error)}\n`);
      exitCode = exitCodeOf(error);
    }
  }
  // Output to a pipe may still be under way; nothing else is allowed to keep the process.
  process.exitCode = exitCode;
  // Whoever was to read it may be gone; that is no failure of the command.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  await Promise.all(
    [process.stdout, process.stderr].map(
      (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
    ),
  );
  process.exit(exitCode);
};
