import type { FastifyInstance } from 'fastify';
import { ReportRecipeSchema, ReportRequestSchema } from '../../schemas/report.ts';
import { parseRequest } from '../platform/http-server.ts';
import type { Logger } from '../platform/logger.ts';
import { answerSteps } from './answer-steps.ts';
import type { ConsoleReporter } from './ports.ts';

/** Recipes of many logs with many partitions. */
const BODY_BYTES_MAX = 8 * 1_048_576;

/** Makes a report over the archive, or makes one again by its recipe. Reads only. */
export const addReportRoutes = (
  api: FastifyInstance,
  deps: { reporter: ConsoleReporter; logger: Logger },
): void => {
  const about = { what: 'a report', logger: deps.logger };
  api.post('/report', async (request, reply) => {
    const wanted = parseRequest(ReportRequestSchema, request.body);
    return answerSteps(reply, deps.reporter.run(wanted), about);
  });
  api.post('/report/again', { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
    const recipe = parseRequest(ReportRecipeSchema, request.body);
    return answerSteps(reply, deps.reporter.run(recipe), about);
  });
};
