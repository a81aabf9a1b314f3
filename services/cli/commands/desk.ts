import { HouseConfigSchema } from '../../../schemas/house-config.ts';
import { EXIT } from '../run-process.ts';
import type { AddCommands, OutputOptions } from './command-kit.ts';
import { adminOf, configOf, configOption, printRows } from './command-kit.ts';

interface DeskOptions extends OutputOptions {
  config?: string;
  url?: string;
}

const apply = async (options: DeskOptions & { file: string }): Promise<number> => {
  const { config } = configOf({ config: options.file });
  const records = HouseConfigSchema.shape.records.parse(config.records);
  const { changed } = await adminOf(options).post<{ changed: string[] }>(
    '/api/v1/records',
    records,
  );
  for (const name of changed) process.stdout.write(`${name}\n`);
  process.stderr.write(`${changed.length} record(s) changed\n`);
  return EXIT.ok;
};

const query = async (sql: string, options: DeskOptions): Promise<number> => {
  const answer = await adminOf(options).post<{ columns: { name: string }[]; rows: unknown[][] }>(
    '/api/v1/sql',
    { sql },
  );
  printRows(
    answer.columns.map((column) => column.name),
    answer.rows,
    options,
  );
  return EXIT.ok;
};

interface KeyRow {
  id: string;
  tenant: string;
  feature?: string;
  budgets: string[];
  revoked: boolean;
  expires_at?: string;
}

const listKeys = async (options: DeskOptions): Promise<number> => {
  const { keys } = await adminOf(options).get<{ keys: KeyRow[] }>('/api/v1/keys');
  printRows(
    ['id', 'tenant', 'feature', 'budgets', 'state', 'expires_at'],
    keys.map((key) => [
      key.id,
      key.tenant,
      key.feature,
      key.budgets.join(' '),
      key.revoked ? 'revoked' : 'active',
      key.expires_at,
    ]),
    options,
  );
  return EXIT.ok;
};

const createKey = async (
  id: string,
  options: DeskOptions & { tenant: string; feature?: string; budget?: string[] },
): Promise<number> => {
  const answer = await adminOf(options).post<{ key: string }>('/api/v1/keys', {
    id,
    tenant: options.tenant,
    budgets: options.budget ?? [],
    ...(options.feature === undefined ? {} : { feature: options.feature }),
  });
  process.stdout.write(`${answer.key}\n`);
  process.stderr.write('This is shown once; only its hash is kept.\n');
  return EXIT.ok;
};

interface BudgetRow {
  budget_id: string;
  tenant: string;
  limit_usd: string;
  spent_usd: string;
  state: string;
  resets_at?: string;
}

const listBudgets = async (options: DeskOptions): Promise<number> => {
  const { rows } = await adminOf(options).get<{ rows: BudgetRow[] }>('/api/v1/budgets');
  printRows(
    ['budget', 'tenant', 'limit_usd', 'spent_usd', 'state', 'resets_at'],
    rows.map((row) => [
      row.budget_id,
      row.tenant,
      row.limit_usd,
      row.spent_usd,
      row.state,
      row.resets_at,
    ]),
    options,
  );
  return EXIT.ok;
};

/** Verbs of the admin side: records, keys, budgets, SQL. They talk to the running back office. */
export const addDeskCommands: AddCommands = (program, run) => {
  const url = ['--url <url>', 'back office to talk to (default: from the configuration)'] as const;
  const json = ['--json', 'one JSON object a line'] as const;
  const csv = ['--csv', 'CSV'] as const;
  program
    .command('apply')
    .description('put the records of a reckoner.yaml into force')
    .requiredOption('-f, --file <file>', 'the file')
    .option(...configOption)
    .option(...url)
    .action((options: DeskOptions & { file: string }) => run(() => apply(options))());
  program
    .command('sql <query>')
    .description('ask the warehouse; read-only')
    .option(...configOption)
    .option(...url)
    .option(...json)
    .option(...csv)
    .action((sql: string, options: DeskOptions) => run(() => query(sql, options))());
  program
    .command('budgets')
    .description('limits and what is spent of them')
    .option(...configOption)
    .option(...url)
    .option(...json)
    .option(...csv)
    .action((options: DeskOptions) => run(() => listBudgets(options))());
  const keys = program.command('keys').description('virtual keys');
  keys
    .command('list')
    .description('all keys; never their secrets')
    .option(...configOption)
    .option(...url)
    .option(...json)
    .option(...csv)
    .action((options: DeskOptions) => run(() => listKeys(options))());
  keys
    .command('create <id>')
    .description('make a key and print it once')
    .requiredOption('--tenant <tenant>', 'whose key it is')
    .option('--feature <feature>', 'feature that every call with it is for')
    .option('--budget <id...>', 'budgets it is closed without')
    .option(...configOption)
    .option(...url)
    .action((id: string, options) => run(() => createKey(id, options))());
  keys
    .command('revoke <id>')
    .description('close a key for good')
    .option(...configOption)
    .option(...url)
    .action((id: string, options: DeskOptions) =>
      run(async () => {
        await adminOf(options).delete(`/api/v1/keys/${encodeURIComponent(id)}`);
        return EXIT.ok;
      })(),
    );
};
