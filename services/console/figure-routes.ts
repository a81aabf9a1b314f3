import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { PeriodSchema } from '../../schemas/instant.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import { ReckonerError } from '../platform/errors.ts';
import { ProblemError, parseRequest } from '../platform/http-server.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { judgeTotals } from './core/judge-totals.ts';
import { readPeriods, readSpend, readTotals, SpendQuerySchema } from './figures.ts';
import type { Freshness, ReadBudgets, ReadFreshness } from './ports.ts';

const SQL_BOUNDS = { maxRows: 10_000, timeoutMs: 5_000 };
const SqlSchema = z.strictObject({ sql: z.string().min(1).max(100_000) });
const TotalsQuerySchema = z.strictObject({ period: PeriodSchema.optional() });

/** The proof behind freshness reads whole tables: one page with several questions asks for it once. */
const FRESHNESS_KEPT_MS = 1_000;

export interface FigureDeps {
  clock: Clock;
  warehouse: Warehouse;
  budgets: ReadBudgets;
  freshness: ReadFreshness;
}

const keepFreshness = (read: ReadFreshness, clock: Clock): (() => Promise<Freshness>) => {
  let kept: { answer: Promise<Freshness>; atMs: number } | null = null;
  return () => {
    const nowMs = clock.monotonicMs();
    if (kept && nowMs - kept.atMs < FRESHNESS_KEPT_MS) return kept.answer;
    const answer = Promise.resolve(read());
    const mine = { answer, atMs: nowMs };
    kept = mine;
    answer.catch(() => {
      if (kept === mine) kept = null;
    });
    return answer;
  };
};

/** A statement the warehouse refused is the asker's to correct; one it could not answer is not. */
const asSqlProblem = (error: unknown): unknown =>
  error instanceof ReckonerError && !error.retryable
    ? new ProblemError(
        { status: 400, code: 'sql-refused', title: 'The statement was refused' },
        error.message,
      )
    : error;

/** What people read: spend, totals, budgets, and SQL of their own. */
export const addFigureRoutes = (api: FastifyInstance, deps: FigureDeps): void => {
  const { warehouse } = deps;
  const freshness = keepFreshness(deps.freshness, deps.clock);
  api.get('/spend', async (request) => {
    const query = parseRequest(SpendQuerySchema, request.query);
    const { asOf } = await freshness();
    return { ...(await readSpend(warehouse, query)), as_of: toInstant(asOf) };
  });
  api.get('/totals', async (request) => {
    const { period } = parseRequest(TotalsQuerySchema, request.query);
    const { asOf, lagEvents, controlTotals } = await freshness();
    const totals = await readTotals(warehouse, period);
    return {
      ...totals,
      lag_events: lagEvents,
      control_totals: { ...judgeTotals(controlTotals, lagEvents), ...controlTotals },
      as_of: toInstant(asOf),
    };
  });
  api.get('/periods', async () => ({ periods: await readPeriods(warehouse) }));
  // Budgets are folded in memory, so this is now; the proof that sums agree is not asked for here.
  api.get('/budgets', async () => ({
    rows: await deps.budgets(),
    as_of: toInstant(deps.clock.nowMs()),
  }));
  api.post('/sql', async (request) => {
    const { sql } = parseRequest(SqlSchema, request.body);
    try {
      return await warehouse.queryReadOnly(sql, SQL_BOUNDS);
    } catch (error) {
      throw asSqlProblem(error);
    }
  });
};
