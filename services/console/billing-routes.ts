import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { NameSchema } from '../../schemas/ids.ts';
import { PeriodSchema } from '../../schemas/instant.ts';
import { parseRequest } from '../platform/http-server.ts';
import type { ConsoleBiller, ConsoleReconciler } from './ports.ts';

const STATEMENT_BYTES_MAX = 67_108_864;

const ProviderSchema = z.strictObject({ provider: NameSchema });
const StatementSchema = z
  .string()
  .min(1, 'expected the statement as the body, content-type text/csv');
const ReconcileSchema = z.strictObject({ provider: NameSchema, period: PeriodSchema });
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
    const { provider } = parseRequest(ProviderSchema, request.query);
    const csv = parseRequest(StatementSchema, request.body);
    return reconciler.importStatement({ provider, csv });
  });
  api.post('/reconcile', async (request) =>
    reconciler.reconcile(parseRequest(ReconcileSchema, request.body)),
  );
  api.post('/billing/plan', async (request) => {
    const { period, destination } = parseRequest(PlanSchema, request.body);
    return destination === 'stripe' ? biller.plan({ period }) : biller.planChargebee({ period });
  });
  api.post('/billing/push', async (request) => biller.push(parseRequest(PushSchema, request.body)));
  api.post('/billing/verify', async (request) =>
    biller.verify(parseRequest(PeriodBodySchema, request.body)),
  );
};
