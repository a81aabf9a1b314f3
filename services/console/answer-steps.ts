import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { problemOf } from '../platform/http-server.ts';
import type { Logger } from '../platform/logger.ts';

const line = (value: unknown): string => `${JSON.stringify(value)}\n`;

/** The steps a line each. What fails on the way becomes the last line: the status is long sent. */
const linesOf = async function* (
  first: IteratorResult<unknown>,
  rest: AsyncIterator<unknown>,
  { what, logger }: { what: string; logger: Logger },
): AsyncGenerator<string> {
  try {
    for (let step = first; !step.done; step = await rest.next()) yield line(step.value);
  } catch (error) {
    const { detail } = problemOf(error);
    logger.error({ err: (error as Error).name, detail }, `${what} broke off`);
    yield line({ step: 'failed', detail });
  } finally {
    await rest.return?.();
  }
};

/**
 * Answers work that takes its time, a line for each step. What fails before the first step is a problem like any other; later it is the
 * last line, `{step: 'failed', detail}`. Hanging up ends the work.
 * @param about what the work is, for the log.
 */
export const answerSteps = async (
  reply: FastifyReply,
  work: AsyncIterable<unknown>,
  about: { what: string; logger: Logger },
): Promise<FastifyReply> => {
  const steps = work[Symbol.asyncIterator]();
  const first = await steps.next();
  return reply
    .header('content-type', 'application/x-ndjson')
    .send(Readable.from(linesOf(first, steps, about), { objectMode: true, highWaterMark: 1 }));
};
