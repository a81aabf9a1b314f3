import type { AddCommands } from './command-kit.ts';

/** `reckoner recordings`: what does the proxy make of recorded provider replies? */
export const addRecordingsCommand: AddCommands = (program, run) => {
  program
    .command('recordings')
    .description(
      'replay recorded provider replies through a running proxy; a line per record with what was metered; exit code 3 when bytes differ',
    )
    .requiredOption('--records <file>', 'recorded exchanges, one JSON object a line')
    .requiredOption('--out <file>', 'where to write the lines')
    .action((options: { records: string; out: string }) =>
      run(async () => {
        // Loaded on demand: other verbs do not need the proxy.
        const { runRecordings } = await import('../recordings/main.ts');
        return runRecordings(options);
      })(),
    );
};
