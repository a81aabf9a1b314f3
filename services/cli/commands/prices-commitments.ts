import type { Command } from 'commander';
import type { AccountSpend } from '../../../pricing/commitments.ts';
import { commitmentStatus } from '../../../pricing/commitments.ts';
import { ReckonerError } from '../../platform/errors.ts';
import { EXIT } from '../run-process.ts';
import type { OutputOptions, Run } from './command-kit.ts';
import { adminOf, printRows } from './command-kit.ts';
import type { FolderOptions } from './price-folders.ts';
import { pricesOf, withPriceFolders } from './price-folders.ts';

interface CommitmentOptions extends OutputOptions, FolderOptions {
  url?: string;
  /** Left out: the ledger is asked. */
  spent?: readonly string[];
}

/** Exact sums a day, spelled out: a number would come back as a float. */
const SPEND_SQL = `SELECT provider, credential_pool_id, toString(toDate(event_ts)) AS day, toString(sum(amount_usd)) AS usd
FROM charges GROUP BY provider, credential_pool_id, day`;

const SPENT = /^([^/=@]+)\/([^/=@]+)(?:@(\d{4}-\d{2}-\d{2}))?=(-?\d+(?:\.\d{1,18})?)$/;
const startOf = (day: string): string => `${day}T00:00:00.000Z`;

/** `openai/main=1200.50`, of one day `openai/main@2026-11-03=1200.50`. */
export const spentOf = (text: string, now: string): AccountSpend => {
  const [, provider, account, day, amount] = SPENT.exec(text) ?? [];
  if (provider === undefined || account === undefined || amount === undefined) {
    throw new ReckonerError(
      'REQUEST_INVALID',
      `--spent is ${JSON.stringify(text.slice(0, 80))}; expected PROVIDER/ACCOUNT=USD or PROVIDER/ACCOUNT@YYYY-MM-DD=USD.`,
    );
  }
  return { provider, account, at: day === undefined ? now : startOf(day), amount_usd: amount };
};

const spendOfLedger = async (options: CommitmentOptions): Promise<AccountSpend[]> => {
  const answer = await adminOf(options).post<{ rows: [string, string, string, string][] }>(
    '/api/v1/sql',
    { sql: SPEND_SQL },
  );
  return answer.rows.map(([provider, account, day, amount]) => ({
    provider,
    account,
    at: startOf(day),
    amount_usd: amount,
  }));
};

const COLUMNS = [
  'contract',
  'provider',
  'accounts',
  'valid_from',
  'valid_to',
  'state',
  'committed_usd',
  'used_usd',
  'remaining_usd',
  'source',
] as const;

const commitments = async (options: CommitmentOptions, now: string): Promise<number> => {
  const { contracts } = pricesOf(options);
  const spends = options.spent?.map((text) => spentOf(text, now)) ?? (await spendOfLedger(options));
  const rows = commitmentStatus(contracts, spends, { now, knownAt: now });
  printRows(
    COLUMNS,
    rows.map((row) =>
      COLUMNS.map((name) => (name === 'accounts' ? row.accounts.join(' ') : row[name])),
    ),
    options,
  );
  return EXIT.ok;
};

/** What contracts promise to be spent and how far it is: from the ledger of a running back office, or from figures given. */
export const addPricesCommitments = (prices: Command, run: Run): void => {
  withPriceFolders(prices.command('commitments'))
    .description('what contracts commit to, what of it is used and what remains')
    .option('--url <url>', 'admin API of the back office')
    .option(
      '--spent <provider/account=usd...>',
      'what was spent, in place of the ledger; @YYYY-MM-DD after the account for a day',
    )
    .option('--json', 'one JSON object a line')
    .option('--csv', 'CSV')
    .action((options: CommitmentOptions) =>
      run(() => commitments(options, new Date().toISOString()))(),
    );
};
