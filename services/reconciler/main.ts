import { createHash } from 'node:crypto';
import { addAmounts } from '../../pricing/money.ts';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { AmountSchema } from '../../schemas/decimal-string.ts';
import { NameSchema } from '../../schemas/ids.ts';
import type { Period } from '../../schemas/instant.ts';
import { PeriodSchema } from '../../schemas/instant.ts';
import type { StatementItem } from '../../schemas/statement-line.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import { ReckonerError } from '../platform/errors.ts';
import { newId } from '../platform/id-source.ts';
import type { Logger } from '../platform/logger.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { ReconciliationInput } from './core/build-report.ts';
import { buildReport } from './core/build-report.ts';
import { freeCredits, listPrices } from './core/list-prices.ts';
import type { PricedLedger } from './core/prove-causes.ts';
import type { ReconciliationReport } from './core/report.ts';
import {
  readCalls,
  readLedgerSums,
  readQuarters,
  readSlices,
  readUnrated,
} from './ledger-reads.ts';
import { readAnthropicCosts } from './sources/anthropic-cost-csv.ts';
import { readOpenaiCosts } from './sources/openai-costs-csv.ts';
import type { ParsedLine } from './sources/statement-source.ts';
import { isImported, readStatements, storeStatement } from './statement-store.ts';
import { zoneDaysOf } from './zone-days.ts';

export type StatementProvider = 'openai' | 'anthropic';

export interface ImportedStatement {
  /** SHA-256 of the file's bytes, hex. */
  statement_id: string;
  lines: number;
  /** Lines whose text no table maps; kept, and shown in every report. */
  unmapped: number;
  total_usd: string;
}

export interface Reconciler {
  /**
   * Reads a statement file and keeps every line. The same bytes again change nothing.
   * @throws ReckonerError STATEMENT_UNREADABLE, WAREHOUSE_FAILED.
   */
  importStatement(request: {
    provider: StatementProvider;
    bytes: Uint8Array;
    fileName: string;
  }): Promise<ImportedStatement>;
  /**
   * Compares ledger and imported statements of one accounting month and keeps the result.
   * @param request.items the provider's own record per call, where there is one: then differences are named call by call.
   * @throws ReckonerError NOT_FOUND when no statement has a line in the period, REQUEST_INVALID, WAREHOUSE_FAILED.
   */
  reconcile(request: {
    provider: string;
    period: Period;
    tolerance_usd: string;
    items?: readonly StatementItem[];
  }): Promise<ReconciliationReport>;
}

interface Deps {
  warehouse: Warehouse;
  /** The books in force: what else the provider may have charged. Without them only prices that were charged are known. */
  books?: () => PriceBooks;
  clock: Clock;
  logger: Logger;
}

const SOURCES: Record<StatementProvider, (bytes: Uint8Array, fileName: string) => ParsedLine[]> = {
  openai: readOpenaiCosts,
  anthropic: readAnthropicCosts,
};

const importStatement = async (
  deps: Deps,
  request: { provider: StatementProvider; bytes: Uint8Array; fileName: string },
): Promise<ImportedStatement> => {
  const lines = SOURCES[request.provider](request.bytes, request.fileName);
  const imported = {
    statement_id: createHash('sha256').update(request.bytes).digest('hex'),
    lines: lines.length,
    unmapped: lines.filter(({ line }) => line.meter === null).length,
    total_usd: addAmounts(lines.map(({ line }) => line.amount_usd)),
  };
  if (await isImported(deps.warehouse, request.provider, imported.statement_id)) return imported;
  await storeStatement(
    deps.warehouse,
    {
      ...imported,
      provider: request.provider,
      file_name: request.fileName,
      imported_at: toInstant(deps.clock.nowMs()),
    },
    lines,
  );
  deps.logger.info({ provider: request.provider, ...imported }, 'statement imported');
  return imported;
};

const RESULT_COLUMNS = [
  'run_id',
  'run_at',
  'provider',
  'period',
  'model',
  'meter',
  'ledger_quantity',
  'statement_quantity',
  'ledger_usd',
  'statement_usd',
  'delta_usd',
  'explained_usd',
  'unexplained_usd',
  'causes',
] as const;
const BLOCK_ROWS = 10_000;

const storeReport = async (warehouse: Warehouse, report: ReconciliationReport): Promise<void> => {
  for (let start = 0; start < report.cells.length; start += BLOCK_ROWS) {
    await warehouse.insert({
      table: 'reconciliation_rows',
      columns: RESULT_COLUMNS,
      rows: report.cells
        .slice(start, start + BLOCK_ROWS)
        .map((cell) => [
          report.run_id,
          report.run_at.replace('T', ' ').replace('Z', ''),
          report.provider,
          report.period,
          cell.model,
          cell.meter,
          cell.ledger_quantity,
          cell.statement_quantity,
          cell.ledger_usd,
          cell.statement_usd,
          cell.delta_usd,
          cell.explained_usd,
          cell.unexplained_usd,
          JSON.stringify(cell.causes),
        ]),
      token: `reconciliation/${report.run_id}/${start}`,
    });
  }
};

const checkRequest = (request: {
  provider: string;
  period: string;
  tolerance_usd: string;
}): void => {
  const isAmount = AmountSchema.safeParse(request.tolerance_usd).success;
  if (
    NameSchema.safeParse(request.provider).success &&
    PeriodSchema.safeParse(request.period).success &&
    isAmount &&
    !request.tolerance_usd.startsWith('-')
  ) {
    return;
  }
  throw new ReckonerError(
    'REQUEST_INVALID',
    'A reconciliation needs a provider name, a period such as 2026-11 and a tolerance in USD such as 0.50, not negative. Correct the request.',
  );
};

/** The ledger by price and by time, which is a great deal more to read than its sums. */
const readPriced = async (
  { warehouse, books, logger }: Deps,
  provider: string,
  period: Period,
): Promise<PricedLedger> => {
  const slices = await readSlices(warehouse, provider, period);
  const quarters = await readQuarters(warehouse, provider, period);
  if (quarters === null) {
    logger.warn({ provider, period }, 'too many charges to look for the time zone of a statement');
  }
  const zones = zoneDaysOf(period);
  const ends = zones[0]?.day_starts;
  const at = [ends?.[0], ends?.at(-2)].filter((instant) => instant !== undefined);
  const known = books?.();
  return {
    ...{ slices, quarters: quarters ?? [], zones },
    prices: known ? listPrices(known, slices, { provider, at }) : [],
    credits: known ? freeCredits(known, quarters ?? [], { provider, period }) : [],
  };
};

const reconcile = async (
  deps: Deps,
  request: Parameters<Reconciler['reconcile']>[0],
): Promise<ReconciliationReport> => {
  checkRequest(request);
  const { warehouse } = deps;
  const { provider, period, tolerance_usd, items } = request;
  const statements = await readStatements(warehouse, provider, period);
  if (statements.sums.length === 0) {
    throw new ReckonerError(
      'NOT_FOUND',
      `No imported statement of ${provider} has a line in ${period}. Import the provider's cost export of that month first.`,
    );
  }
  const input: ReconciliationInput = {
    run_id: newId(),
    run_at: toInstant(deps.clock.nowMs()),
    provider,
    period,
    tolerance_usd,
    ledger: await readLedgerSums(warehouse, provider, period),
    unrated: await readUnrated(warehouse, provider, period),
    statements,
    ...(items ? { calls: { items, ...(await readCalls(warehouse, provider, period)) } } : {}),
  };
  let report = buildReport(input);
  if (!items && report.cells.some((cell) => cell.delta_usd !== '0')) {
    report = buildReport({ ...input, priced: await readPriced(deps, provider, period) });
  }
  await storeReport(warehouse, report);
  const { run_id, delta_usd, unexplained_usd } = report;
  deps.logger.info({ run_id, provider, period, delta_usd, unexplained_usd }, 'reconciled');
  return report;
};

/** Compares what the ledger charges with what providers say we owe. Starts nothing; works when asked. */
export const createReconciler = (deps: Deps): Reconciler => ({
  importStatement: (request) => importStatement(deps, request),
  reconcile: (request) => reconcile(deps, request),
});
