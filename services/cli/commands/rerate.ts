import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import type { PeriodState } from '../../../schemas/control-record.ts';
import { ReckonerError } from '../../platform/errors.ts';
import type { RerateStep } from '../../rater/rerate-run.ts';
import type { RerateReport } from '../../rater/rerate-tally.ts';
import { EXIT } from '../run-process.ts';
import type { AddCommands, OutputOptions } from './command-kit.ts';
import { adminOf, configOption, printRows } from './command-kit.ts';
import { createRerateProgress } from './rerate-progress.ts';

interface DeskOptions extends OutputOptions {
  config?: string;
  url?: string;
}

interface RerateFlags extends DeskOptions {
  period?: string;
  from?: string;
  to?: string;
  provider?: string;
  model?: string;
  tenant?: string;
  books?: string;
  knownAt?: string;
  yes?: boolean;
}

/** A day is its first instant; seconds get their milliseconds. What is wrong the back office says. */
const instantOf = (text: string | undefined): string | undefined => {
  if (text === undefined) return undefined;
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return `${text}T00:00:00.000Z`;
  return text.replace(/(:\d{2})Z$/, '$1.000Z');
};

type Line = RerateStep | { step: 'failed'; detail: string };

const askFor = async (flags: RerateFlags): Promise<RerateReport> => {
  const { period, provider, model, tenant, books } = flags;
  const body = {
    period,
    from: instantOf(flags.from),
    to: instantOf(flags.to),
    ...{ provider, model, tenant },
    books: books === undefined ? undefined : resolve(books),
    known_at: instantOf(flags.knownAt),
    yes: flags.yes === true,
  };
  const progress = createRerateProgress();
  try {
    for await (const line of adminOf(flags).postLines<Line>('/api/v1/rerate', body)) {
      if (line.step === 'report') return line.report;
      if (line.step === 'progress') progress.show(line.events, line.of);
      else
        throw new ReckonerError(
          'REQUEST_INVALID',
          `${line.detail} What was appended stays; the same command goes on from there.`,
        );
    }
  } finally {
    progress.stop();
  }
  throw new ReckonerError(
    'REQUEST_INVALID',
    'The back office ended the answer without a report. What was appended stays; the same command goes on from there.',
    { retryable: true },
  );
};

const sayWhatWasFound = (report: RerateReport): void => {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const leftOut = report.superseded + report.not_rated_yet;
  say(
    `${report.events_read} event(s) read: ${report.changed} changed (${report.newly_rated} had no price before), ${report.unchanged} unchanged, ${leftOut} left out (${report.superseded} replaced by a later fact, ${report.not_rated_yet} not rated yet); ${report.still_unrated} without a price still`,
  );
  for (const { period, posting_period: posting, entries, amount_usd: usd } of report.postings) {
    const where = period === posting ? period : `${posting}, since ${period} is closed`;
    say(`${entries} entries, ${usd} USD for ${period} into ${where}`);
  }
  say(`difference ${report.difference_usd} USD, prices as known at ${report.known_at}`);
  if (report.dry_run && report.changed > 0) say('Nothing was appended. Append it with --yes.');
};

const rerate = async (flags: RerateFlags): Promise<number> => {
  const report = await askFor(flags);
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(report)}\n`);
  } else {
    printRows(
      ['tenant', 'cause', 'events', 'before_usd', 'after_usd', 'difference_usd'],
      report.differences.map((row) => [
        row.tenant,
        row.cause,
        row.events,
        row.before_usd,
        row.after_usd,
        row.difference_usd,
      ]),
      flags,
    );
    sayWhatWasFound(report);
  }
  return report.dry_run && report.changed > 0 ? EXIT.differences : EXIT.ok;
};

interface PeriodFlags extends DeskOptions {
  by?: string;
  reason: string;
  force?: boolean;
}

const printStates = (rows: readonly PeriodState[], options: OutputOptions): void =>
  printRows(
    ['period', 'state', 'by', 'at', 'reason', 'unrated', 'quarantined', 'not_rated_yet'],
    rows.map(({ id, state, by, at, reason, open_items: open }) => [
      ...[id, state, by, at, reason],
      ...[open.unrated, open.quarantined, open.not_rated_yet],
    ]),
    options,
  );

const speakOf = async (
  act: 'close' | 'reopen',
  period: string,
  flags: PeriodFlags,
): Promise<number> => {
  const word = await adminOf(flags).post<PeriodState>(`/api/v1/periods/${act}`, {
    period,
    by: flags.by ?? userInfo().username,
    reason: flags.reason,
    ...(act === 'close' ? { force: flags.force === true } : {}),
  });
  printStates([word], flags);
  return EXIT.ok;
};

/** Verbs that rate the past again and close it. */
export const addRerateCommands: AddCommands = (program, run) => {
  const url = ['--url <url>', 'back office to talk to (default: from the configuration)'] as const;
  const json = ['--json', 'JSON'] as const;
  const csv = ['--csv', 'CSV'] as const;
  program
    .command('rerate')
    .description(
      'rate past usage again; a dry run unless --yes, with exit code 3 where amounts would change',
    )
    .option('--period <month>', 'accounting month, such as 2026-10')
    .option('--from <instant>', 'first instant or day (UTC)')
    .option('--to <instant>', 'first instant or day that is left out (UTC)')
    .option('--provider <name>', 'only usage of this provider')
    .option('--model <name>', 'only usage of this model, as answered or as asked for')
    .option('--tenant <name>', 'only usage of this tenant')
    .option('--books <dir>', 'folder of other price books, on the machine of the back office')
    .option('--known-at <instant>', 'prices as known then (default: all that is in the books)')
    .option('--yes', 'append reversals and new charges')
    .option(...configOption)
    .option(...url)
    .option(...json)
    .option(...csv)
    .action((flags: RerateFlags) => run(() => rerate(flags))());
  const period = program.command('period').description('accounting months');
  for (const act of ['close', 'reopen'] as const) {
    const command = period
      .command(`${act} <month>`)
      .description(
        act === 'close'
          ? 'nothing is posted into it again by re-rating; refused while something is not settled'
          : 'open it again',
      )
      .requiredOption('--reason <text>', 'why; kept for good')
      .option('--by <name>', 'who (default: the user of this machine)')
      .option(...configOption)
      .option(...url)
      .option(...json)
      .option(...csv);
    if (act === 'close') command.option('--force', 'although something is not settled');
    command.action((month: string, flags: PeriodFlags) => run(() => speakOf(act, month, flags))());
  }
  period
    .command('list')
    .description('months somebody closed or reopened, with the newest word about each')
    .option(...configOption)
    .option(...url)
    .option(...json)
    .option(...csv)
    .action((flags: DeskOptions) =>
      run(async () => {
        const answer = await adminOf(flags).get<{ rows: PeriodState[] }>('/api/v1/periods/states');
        printStates(answer.rows, flags);
        return EXIT.ok;
      })(),
    );
};
