import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { NameSchema } from '../../schemas/ids.ts';
import { BoundInstantSchema, InstantSchema, PeriodSchema } from '../../schemas/instant.ts';
import { parseRequest } from '../platform/http-server.ts';
import type { Logger } from '../platform/logger.ts';
import { answerSteps } from './answer-steps.ts';
import type { ConsoleRerater } from './ports.ts';

const RerateSchema = z
  .strictObject({
    period: PeriodSchema.optional(),
    from: BoundInstantSchema.optional(),
    to: BoundInstantSchema.optional(),
    provider: NameSchema.optional(),
    model: z.string().min(1).max(200).optional(),
    tenant: NameSchema.optional(),
    /** Folder on the machine of the back office. */
    books: z.string().min(1).max(4_096).optional(),
    known_at: InstantSchema.optional(),
    yes: z.boolean().default(false),
  })
  .refine(({ from, to }) => from === undefined || to === undefined || from < to, {
    message: 'expected "from" to be before "to"',
    path: ['from'],
  })
  .refine(({ period, from, to }) => period === undefined || (from ?? to) === undefined, {
    message: 'expected a period or instants, not both',
    path: ['period'],
  });

/** Rates a slice of the past again. Answers a line for each step and the report as the last; without `yes` a dry run. */
export const addRerateRoutes = (
  api: FastifyInstance,
  deps: { rerater: ConsoleRerater; logger: Logger },
): void => {
  api.post('/rerate', async (request, reply) => {
    const { books, known_at: knownAt, yes, ...slice } = parseRequest(RerateSchema, request.body);
    const steps = deps.rerater.run({ slice, books, knownAt, apply: yes });
    return answerSteps(reply, steps, { what: 'rating usage again', logger: deps.logger });
  });
};
