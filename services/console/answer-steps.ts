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
  }
};

/** How long a caller may take nothing of an answer that is there: one that is stopped would keep others from such work. */
const STALL_MAX_MS = 120_000;

/** Hangs up on a caller that has stopped reading. */
const whileTaken = async function* (
  lines: AsyncGenerator<string>,
  reply: FastifyReply,
): AsyncGenerator<string> {
  for await (const text of lines) {
    const stall = setTimeout(() => reply.raw.destroy(), STALL_MAX_MS);
    try {
      yield text;
    } finally {
      clearTimeout(stall);
    }
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
  // Also of a caller who is gone before the first step: nobody reads a line then, and the work would hold its place for good.
  reply.raw.once('close', () => void Promise.resolve(steps.return?.()).catch(() => undefined));
  const first = await steps.next();
  const lines = whileTaken(linesOf(first, steps, about), reply);
  return reply
    .header('content-type', 'application/x-ndjson')
    .send(Readable.from(lines, { objectMode: true, highWaterMark: 1 }));
};
