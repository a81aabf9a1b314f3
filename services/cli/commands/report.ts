import type {
  LogExtent,
  ReportGrouping,
  ReportLedger,
  ReportRecipe,
  ReportRow,
  ReportStep,
  ReportTotals,
} from '../../../schemas/report.ts';
import { REPORT_GROUPINGS } from '../../../schemas/report.ts';
import { ReckonerError } from '../../platform/errors.ts';
import type { Report } from '../../rater/core/compare-reports.ts';
import { compareReports } from '../../rater/core/compare-reports.ts';
import { EXIT } from '../run-process.ts';
import type { AddCommands, OutputOptions } from './command-kit.ts';
import { adminOf, configOption } from './command-kit.ts';
import { instantOption } from './instant-option.ts';
import type { ReportFile } from './report-file.ts';
import { matchReport, readReportFile } from './report-file.ts';
import type { ReportFormat } from './report-text.ts';
import { comparisonText, reportText } from './report-text.ts';
import { createRerateProgress } from './rerate-progress.ts';

interface ReportFlags extends OutputOptions {
  config?: string;
  url?: string;
  period?: string;
  from?: string;
  to?: string;
  tenant?: string;
  provider?: string;
  model?: string;
  by?: string;
  knownAt?: string;
  arrivedBy?: string;
  again?: string;
  /** A file, an instant, or true: with what is known now. */
  compare?: string | true;
}

type Line = ReportStep | { step: 'failed'; detail: string };
type Made = Report & { ledger: ReportLedger };

const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Asks the back office; a report counts only when it is whole. */
const ask = async (flags: ReportFlags, path: string, body: unknown): Promise<Made> => {
  const progress = createRerateProgress();
  const rows: ReportRow[] = [];
  let recipe: ReportRecipe | undefined;
  let totals: ReportTotals | undefined;
  try {
    for await (const line of adminOf(flags).postLines<Line>(path, body)) {
      if (line.step === 'progress') progress.show(line.events, line.of);
      else if (line.step === 'recipe') recipe = line.recipe;
      else if (line.step === 'row') rows.push(line.row);
      else if (line.step === 'totals') totals = line.totals;
      else if (line.step === 'failed') throw new ReckonerError('REQUEST_INVALID', line.detail);
      else if (recipe && totals) return { recipe, rows, totals, ledger: line.ledger };
    }
  } finally {
    progress.stop();
  }
  throw new ReckonerError(
    'REQUEST_INVALID',
    'The back office ended the answer before the report was whole. Nothing of it is shown; ask again.',
    { retryable: true },
  );
};

const groupings = (text: string): ReportGrouping[] => {
  if (text === 'none') return [];
  return text.split(',').map((name) => {
    const known = REPORT_GROUPINGS.find((grouping) => grouping === name.trim());
    if (known !== undefined) return known;
    throw new ReckonerError(
      'CONFIG_INVALID',
      `--by names ${JSON.stringify(name.trim())}; expected a list of ${REPORT_GROUPINGS.join(', ')}, or none.`,
    );
  });
};

const instant = (name: string, text: string | undefined): string | undefined =>
  text === undefined ? undefined : instantOption(name, text);

/** A new report as the options have it. */
const askNew = (
  flags: ReportFlags,
  over: { knownAt?: string | undefined; upTo?: readonly LogExtent[] } = {},
): Promise<Made> => {
  const { period, tenant, provider, model } = flags;
  const [from, to] = [instant('--from', flags.from), instant('--to', flags.to)];
  return ask(flags, '/api/v1/report', {
    slice: { period, from, to, tenant, provider, model },
    by: groupings(flags.by ?? 'tenant'),
    known_at: 'knownAt' in over ? over.knownAt : instant('--known-at', flags.knownAt),
    ...(over.upTo
      ? { up_to: over.upTo.map(({ log, partition, up_to }) => ({ log, partition, up_to })) }
      : { arrived_by: instant('--arrived-by', flags.arrivedBy) }),
  });
};

const SLICING = ['period', 'from', 'to', 'tenant', 'provider', 'model', 'by', 'arrivedBy'] as const;

const refuseBeside = (
  flags: ReportFlags,
  option: string,
  names: readonly (keyof ReportFlags)[],
) => {
  if (names.every((name) => flags[name] === undefined)) return;
  throw new ReckonerError(
    'CONFIG_INVALID',
    `${option} takes all that a report is made of out of the file; leave the other options of the report away.`,
  );
};

/** Makes a kept report again; whole, or not at all. */
const askAgain = async (
  flags: ReportFlags,
  file: ReportFile,
): Promise<{ report: Made; format: ReportFormat } | { differsAt: number }> => {
  const report = await ask(flags, '/api/v1/report/again', file.recipe);
  const match = matchReport(file, report);
  return 'differsAt' in match ? match : { report, format: match.format };
};

const sayDiffers = (file: ReportFile, differsAt: number): number => {
  say(
    `${file.path} differs from what its recipe gives, first in line ${differsAt}. Events and prices are those that the recipe names, so the file was edited, or another version of Reckoner wrote it. The report is not shown.`,
  );
  return EXIT.differences;
};

const formatOf = (flags: ReportFlags, otherwise: ReportFormat): ReportFormat => {
  if (flags.json) return 'json';
  return flags.csv ? 'csv' : otherwise;
};

const sayBeside = ({ recipe, ledger }: Made): void => {
  const missing = recipe.books.filter(({ version }) => version === null);
  for (const { provider } of missing) {
    say(`no price book of ${provider} was known at ${recipe.known_at}, so its usage is unrated`);
  }
  const why = [
    ledger.not_in_ledger > 0 ? `${ledger.not_in_ledger} event(s) are not in the ledger yet` : '',
    ledger.difference_usd === '0' ? '' : '"reckoner rerate" says what the ledger would gain',
  ].filter((text) => text !== '');
  say(
    `ledger ${ledger.ledger_usd} USD of the same events now, difference ${ledger.difference_usd} USD${why.length > 0 ? `: ${why.join('; ')}` : ''}`,
  );
};

/** Before and after, and between them the events of before by the prices of after. Null where the file is not what its recipe gives. */
const statesOf = async (
  flags: ReportFlags,
  compare: string | true,
): Promise<{ before: Made; between: Made; after: Made } | number> => {
  const isInstant = compare === true || /^\d{4}-\d{2}-\d{2}(T[\d:.]+Z)?$/.test(compare);
  if (isInstant) {
    const before = await askNew(flags);
    const knownAt = compare === true ? undefined : instantOption('--compare', compare);
    const after = await askNew(flags, { knownAt, upTo: before.recipe.logs });
    return { before, between: after, after };
  }
  refuseBeside(flags, '--compare FILE', SLICING);
  const file = readReportFile(compare);
  const again = await askAgain(flags, file);
  if ('differsAt' in again) return sayDiffers(file, again.differsAt);
  const { slice, by, logs } = file.recipe;
  const stated = Object.entries(slice).filter(([, value]) => value !== undefined);
  const same: ReportFlags = {
    ...flags,
    ...Object.fromEntries(stated),
    by: by.length === 0 ? 'none' : by.join(','),
  };
  const after = await askNew(same);
  const upTo = { knownAt: after.recipe.known_at, upTo: logs };
  return { before: again.report, between: await askNew(same, upTo), after };
};

const compareStates = async (flags: ReportFlags, compare: string | true): Promise<number> => {
  refuseBeside(flags, '--compare', ['again']);
  const states = await statesOf(flags, compare);
  if (typeof states === 'number') return states;
  const comparison = compareReports(states.before, states.between, states.after);
  process.stdout.write(comparisonText(comparison, formatOf(flags, 'table')));
  const { totals, before, after } = comparison;
  say(
    `known at ${before.known_at}: ${totals.before_usd} USD; known at ${after.known_at}: ${totals.after_usd} USD; difference ${totals.difference_usd} USD in ${comparison.rows.length} group(s)`,
  );
  return comparison.differs ? EXIT.differences : EXIT.ok;
};

const report = async (flags: ReportFlags): Promise<number> => {
  if (flags.compare !== undefined) return compareStates(flags, flags.compare);
  if (flags.again === undefined) {
    const made = await askNew(flags);
    process.stdout.write(reportText(made, formatOf(flags, 'table')));
    sayBeside(made);
    return EXIT.ok;
  }
  refuseBeside(flags, '--again', [...SLICING, 'knownAt']);
  const file = readReportFile(flags.again);
  const again = await askAgain(flags, file);
  if ('differsAt' in again) return sayDiffers(file, again.differsAt);
  process.stdout.write(reportText(again.report, formatOf(flags, again.format)));
  sayBeside(again.report);
  return EXIT.ok;
};

/** What usage cost, in a form that can be made again. */
export const addReportCommand: AddCommands = (program, run) => {
  program
    .command('report')
    .description(
      'what usage cost by the prices known at an instant; begins with its recipe, by which it can be made again byte for byte',
    )
    .option('--period <month>', 'accounting month, such as 2026-10')
    .option('--from <instant>', 'first instant or day (UTC)')
    .option('--to <instant>', 'first instant or day that is left out (UTC)')
    .option('--tenant <name>', 'only usage of this tenant')
    .option('--provider <name>', 'only usage of this provider')
    .option('--model <name>', 'only usage of this model, as answered or as asked for')
    .option(
      '--by <list>',
      `group by a list of ${REPORT_GROUPINGS.join(', ')}; or none (default: tenant)`,
    )
    .option('--known-at <instant>', 'prices as known then (default: all that is in the books)')
    .option('--arrived-by <instant>', 'only usage that was in the archive by then')
    .option('--again <file>', 'make the report in this file again: the same bytes, or none')
    .option(
      '--compare [file|instant]',
      'the difference by group to a kept report, or to what was known at an instant (default: now); exit code 3 where there is one',
    )
    .option('--json', 'JSON, an object a line')
    .option('--csv', 'CSV')
    .option(...configOption)
    .option('--url <url>', 'back office to talk to (default: from the configuration)')
    .action((flags: ReportFlags) => run(() => report(flags))());
};
