import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { AmountSchema } from '../../schemas/decimal-string.ts';
import { NameSchema } from '../../schemas/ids.ts';
import { PeriodSchema } from '../../schemas/instant.ts';
import { parseRequest } from '../platform/http-server.ts';
import type { ConsoleBiller, ConsoleReconciler } from './ports.ts';

const STATEMENT_BYTES_MAX = 67_108_864;

const ProviderSchema = z.strictObject({
  provider: NameSchema,
  /** Name of the file, for people who read the report. */
  file: z.string().min(1).max(200).default('statement.csv'),
});
const StatementSchema = z
  .string()
  .min(1, 'expected the statement as the body, content-type text/csv');
const ReconcileSchema = z.strictObject({
  provider: NameSchema,
  period: PeriodSchema,
  tolerance_usd: AmountSchema.default('0'),
  items_csv: z.string().min(1).optional(),
});
const PeriodBodySchema = z.strictObject({ period: PeriodSchema });
const PlanSchema = z.strictObject({
  period: PeriodSchema,
  destination: z.enum(['stripe', 'chargebee']).default('stripe'),
});
const PushSchema = z.strictObject({ period: PeriodSchema, yes: z.boolean().default(false) });

export interface BillingDeps {
  biller: ConsoleBiller;
  reconciler: ConsoleReconciler;
}

/** What moves money, or says whether it agrees: statements, reconciliation, pushes. A push without `yes` is a dry run. */
export const addBillingRoutes = (api: FastifyInstance, deps: BillingDeps): void => {
  const { biller, reconciler } = deps;
  api.addContentTypeParser(
    ['text/csv', 'text/plain', 'application/octet-stream'],
    { parseAs: 'string', bodyLimit: STATEMENT_BYTES_MAX },
    (_request, body, done) => done(null, body),
  );
  api.post('/statements', { bodyLimit: STATEMENT_BYTES_MAX }, async (request) => {
    const { provider, file } = parseRequest(ProviderSchema, request.query);
    const csv = parseRequest(StatementSchema, request.body);
    return reconciler.importStatement({ provider, csv, fileName: file });
  });
  api.post('/reconcile', { bodyLimit: STATEMENT_BYTES_MAX }, async (request) => {
    const { items_csv: itemsCsv, ...asked } = parseRequest(ReconcileSchema, request.body);
    return reconciler.reconcile({ ...asked, ...(itemsCsv === undefined ? {} : { itemsCsv }) });
  });
  api.post('/billing/plan', async (request) => {
    const { period, destination } = parseRequest(PlanSchema, request.body);
    return destination === 'stripe' ? biller.plan({ period }) : biller.planChargebee({ period });
  });
  api.post('/billing/push', async (request) => biller.push(parseRequest(PushSchema, request.body)));
  api.post('/billing/verify', async (request) =>
    biller.verify(parseRequest(PeriodBodySchema, request.body)),
  );
};
