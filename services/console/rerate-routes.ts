import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { InstantSchema } from '../../schemas/instant.ts';
import { inOrder, usageSliceShape } from '../../schemas/usage-slice.ts';
import { parseRequest } from '../platform/http-server.ts';
import type { Logger } from '../platform/logger.ts';
import { answerSteps } from './answer-steps.ts';
import type { ConsoleRerater } from './ports.ts';

const RerateSchema = inOrder(
  z.strictObject({
    ...usageSliceShape,
    /** Folder on the machine of the back office. */
    books: z.string().min(1).max(4_096).optional(),
    known_at: InstantSchema.optional(),
    yes: z.boolean().default(false),
  }),
);

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
