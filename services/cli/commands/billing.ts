import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { PeriodSchema } from '../../../schemas/instant.ts';
import type { BillingRun, ChargebeePlan } from '../../biller/main.ts';
import type { BillingPlan } from '../../biller/plan-period.ts';
import type { BillingProof } from '../../biller/verify-pushes.ts';
import { ReckonerError } from '../../platform/errors.ts';
import type { ReconciliationReport } from '../../reconciler/core/report.ts';
import { renderReport } from '../../reconciler/core/report.ts';
import { EXIT } from '../run-process.ts';
import type { AddCommands, OutputOptions } from './command-kit.ts';
import { adminOf, configOption, printRows } from './command-kit.ts';

interface BillingOptions extends OutputOptions {
  config?: string;
  url?: string;
  period: string;
}

const readBytes = (file: string): Uint8Array => {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ReckonerError(
      'REQUEST_INVALID',
      `Cannot read ${file} (${(error as NodeJS.ErrnoException).code}).`,
    );
  }
};

const checkPeriod = (period: string): void => {
  if (PeriodSchema.safeParse(period).success) return;
  throw new ReckonerError(
    'CONFIG_INVALID',
    `The period is ${JSON.stringify(period)}; expected an accounting month such as 2026-11.`,
  );
};

const reconcile = async (
  options: BillingOptions & {
    provider: string;
    statement?: string;
    items?: string;
    tolerance: string;
  },
): Promise<number> => {
  checkPeriod(options.period);
  const admin = adminOf(options);
  if (options.statement) {
    await admin.postBytes(
      `/api/v1/statements?provider=${encodeURIComponent(options.provider)}&file=${encodeURIComponent(basename(options.statement))}`,
      readBytes(options.statement),
      'text/csv',
    );
  }
  const report = await admin.post<ReconciliationReport>('/api/v1/reconcile', {
    provider: options.provider,
    period: options.period,
    tolerance_usd: options.tolerance,
    ...(options.items ? { items_csv: Buffer.from(readBytes(options.items)).toString('utf8') } : {}),
  });
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : renderReport(report));
  return report.within_tolerance ? EXIT.ok : EXIT.differences;
};

const plan = async (options: BillingOptions & { destination: string }): Promise<number> => {
  checkPeriod(options.period);
  const answer = await adminOf(options).post<BillingPlan | ChargebeePlan>('/api/v1/billing/plan', {
    period: options.period,
    destination: options.destination,
  });
  if (options.json) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  } else if (answer.destination === 'chargebee') {
    printRows(Object.keys(answer.lines[0] ?? {}), answer.lines.map(Object.values), options);
  } else {
    printRows(
      ['tenant', 'customer', 'meter', 'window_start', 'revision', 'value'],
      answer.pushes.map((p) => [
        p.tenant,
        p.customer,
        p.meter,
        p.window_start,
        p.revision,
        p.value,
      ]),
      options,
    );
    process.stderr.write(
      `${answer.pushes.length} push(es), ${answer.total} micro-USD, ${answer.customers} customer(s)\n`,
    );
    for (const { tenant, amount_usd: usd } of answer.unmapped) {
      process.stderr.write(
        `${usd} USD of ${tenant} go nowhere: no record under "mappings" names this tenant for Stripe\n`,
      );
    }
    for (const problem of answer.problems) process.stderr.write(`${JSON.stringify(problem)}\n`);
  }
  return EXIT.ok;
};

const push = async (options: BillingOptions & { yes?: boolean }): Promise<number> => {
  checkPeriod(options.period);
  const run = await adminOf(options).post<BillingRun>('/api/v1/billing/push', {
    period: options.period,
    yes: options.yes === true,
  });
  process.stdout.write(`${JSON.stringify(run, null, options.json ? 0 : 2)}\n`);
  if (run.dry_run) process.stderr.write('Nothing was sent. Send it with --yes.\n');
  return run.stopped || run.failed.pushes > 0 || run.unknown.pushes > 0 ? EXIT.error : EXIT.ok;
};

const verify = async (options: BillingOptions): Promise<number> => {
  checkPeriod(options.period);
  const proof = await adminOf(options).post<BillingProof>('/api/v1/billing/verify', {
    period: options.period,
  });
  process.stdout.write(`${JSON.stringify(proof, null, options.json ? 0 : 2)}\n`);
  return proof.equal ? EXIT.ok : EXIT.differences;
};

/** Verbs that compare with a provider's statement and bill customers on. */
export const addBillingCommands: AddCommands = (program, run) => {
  const url = ['--url <url>', 'back office to talk to (default: from the configuration)'] as const;
  const json = ['--json', 'JSON'] as const;
  const period = ['--period <month>', 'accounting month, such as 2026-11'] as const;
  program
    .command('reconcile')
    .description(
      'compare the ledger with the provider’s statement; exit code 3 outside the tolerance',
    )
    .requiredOption('--provider <name>', 'openai or anthropic')
    .requiredOption(...period)
    .option('--statement <file>', 'cost CSV to import first')
    .option(
      '--items <file>',
      'the provider’s own record per call, to name differences call by call',
    )
    .option('--tolerance <usd>', 'unexplained USD that is accepted', '0')
    .option(...configOption)
    .option(...url)
    .option(...json)
    .action((options) => run(() => reconcile(options))());
  const bill = program.command('bill').description('push usage to billing');
  bill
    .command('plan')
    .description('what would be sent')
    .requiredOption(...period)
    .option('--destination <name>', 'stripe or chargebee', 'stripe')
    .option(...configOption)
    .option(...url)
    .option(...json)
    .option('--csv', 'CSV')
    .action((options) => run(() => plan(options))());
  bill
    .command('push')
    .description('send it; a dry run unless --yes')
    .requiredOption(...period)
    .option('--yes', 'really send')
    .option(...configOption)
    .option(...url)
    .option(...json)
    .action((options) => run(() => push(options))());
  bill
    .command('verify')
    .description('read back what the destination holds; exit code 3 when it differs')
    .requiredOption(...period)
    .option(...configOption)
    .option(...url)
    .option(...json)
    .action((options) => run(() => verify(options))());
};
