import cookie from '@fastify/cookie';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { SecretReference } from '../../schemas/control-record.ts';
import type { Clock } from '../platform/clock.ts';
import type { ControlStateFollower } from '../platform/control-state.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { EventLog } from '../platform/event-log.ts';
import { createHttpServer, parseRequest } from '../platform/http-server.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { RunningService } from '../platform/running-service.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { createAccess } from './access.ts';
import { addBillingRoutes } from './billing-routes.ts';
import { addFigureRoutes } from './figure-routes.ts';
import { addPage } from './page.ts';
import { addPeriodRoutes } from './period-routes.ts';
import type {
  ConsoleBiller,
  ConsolePeriods,
  ConsoleReconciler,
  ConsoleReporter,
  ConsoleRerater,
  ReadBudgets,
  ReadFreshness,
  ReadPriceBooks,
} from './ports.ts';
import { addPriceRoutes } from './price-routes.ts';
import { addRecordRoutes } from './record-routes.ts';
import { addReportRoutes } from './report-routes.ts';
import { addRerateRoutes } from './rerate-routes.ts';

export interface ConsoleDeps {
  config: { host: string; port: number };
  /** Opens the page and the API. */
  token: string;
  warehouse: Warehouse;
  control: ControlStateFollower;
  /** Takes control records. */
  backOffice: EventLog;
  budgets: ReadBudgets;
  freshness: ReadFreshness;
  biller: ConsoleBiller;
  reconciler: ConsoleReconciler;
  rerater: ConsoleRerater;
  reporter: ConsoleReporter;
  periods: ConsolePeriods;
  /** The price books in force and what of them needs a person. */
  prices: ReadPriceBooks;
  pepper: string;
  /** Reads secrets that applied records refer to; without it, records with keys are refused. */
  resolveSecret?: (reference: SecretReference) => string;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}

export interface RunningConsole extends RunningService {
  readonly url: string;
}

const LoginSchema = z.strictObject({ token: z.string().min(1).max(1_000) });

const noSecrets = (): string => {
  throw new ReckonerError('CONFIG_INVALID', 'This console was started without a way to secrets.');
};

const addSecurityHeaders = (server: FastifyInstance): void => {
  server.addHook('onSend', async (_request, reply) => {
    reply.headers({
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
  });
};

const addApi = async (server: FastifyInstance, deps: ConsoleDeps): Promise<void> => {
  const access = createAccess(deps.token, deps.clock);
  await server.register(cookie);
  server.post('/login', async (request, reply) => {
    access.login(request, reply, parseRequest(LoginSchema, request.body).token);
    return reply.code(204).send();
  });
  server.get('/session', async (request, reply) => {
    reply.header('cache-control', 'no-store');
    return { open: access.isOpen(request) };
  });
  server.post('/logout', async (request, reply) => {
    access.logout(request, reply);
    return reply.code(204).send();
  });
  await server.register(
    (api, _options, done) => {
      api.addHook('onRequest', async (request, reply) => {
        reply.header('cache-control', 'no-store');
        access.require(request);
      });
      addFigureRoutes(api, deps);
      addRecordRoutes(api, { ...deps, resolveSecret: deps.resolveSecret ?? noSecrets });
      addBillingRoutes(api, deps);
      addRerateRoutes(api, deps);
      addReportRoutes(api, deps);
      addPeriodRoutes(api, deps);
      addPriceRoutes(api, deps);
      done();
    },
    { prefix: '/api/v1' },
  );
};

const listen = async (server: FastifyInstance, config: ConsoleDeps['config']): Promise<string> => {
  try {
    return await server.listen(config);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new ReckonerError(
      'PORT_IN_USE',
      `Port ${config.port} on ${config.host} is in use, so the console cannot listen there. Set process.back_office.port to another one, or stop what uses it.`,
    );
  }
};

/**
 * Starts the admin API and the page on one address.
 * @throws ReckonerError PORT_IN_USE.
 */
export const startConsole = async (deps: ConsoleDeps): Promise<RunningConsole> => {
  const { logger, metrics, warehouse } = deps;
  const server = createHttpServer({
    logger,
    metrics,
    name: 'console',
    ready: [
      { name: 'warehouse', check: async () => (await warehouse.query('SELECT 1')).length === 1 },
    ],
  });
  addSecurityHeaders(server);
  await addApi(server, deps);
  await addPage(server);
  const url = await listen(server, deps.config);
  const ended = Promise.withResolvers<void>();
  return {
    name: 'console',
    url,
    ended: ended.promise,
    close: async () => {
      await server.close();
      ended.resolve();
    },
  };
};
