import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fastify from 'fastify';
import type { z } from 'zod';
import type { ErrorCode } from './errors.ts';
import { ReckonerError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

const BODY_BYTES_MAX = 1_048_576;
const REQUEST_TIMEOUT_MS = 60_000;
const PROBLEMS_MAX = 50;
const DURATION_BUCKETS_SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10];

/** One part of a request that is wrong; `pointer` is a JSON pointer into the body. */
export interface ProblemDetail {
  pointer: string;
  detail: string;
}

/** An answer that is an error, by RFC 9457. `type` is a stable URN of the kind; texts may change, types do not. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  errors: ProblemDetail[];
}

/** Thrown in a handler to answer with a problem. */
export class ProblemError extends Error {
  readonly problem: Problem;
  readonly headers: Record<string, string>;
  constructor(
    kind: { status: number; code: string; title: string },
    detail: string,
    rest: { errors?: ProblemDetail[]; headers?: Record<string, string> } = {},
  ) {
    super(detail);
    this.name = 'ProblemError';
    this.problem = {
      type: `urn:reckoner:problem:${kind.code}`,
      title: kind.title,
      status: kind.status,
      detail,
      errors: rest.errors ?? [],
    };
    this.headers = rest.headers ?? {};
  }
}

const STATUS_OF: Partial<Record<ErrorCode, { status: number; title: string }>> = {
  REQUEST_INVALID: { status: 400, title: 'The request is not valid' },
  CONFIG_INVALID: { status: 400, title: 'The configuration is not valid' },
  STATEMENT_UNREADABLE: { status: 422, title: 'The statement cannot be read' },
  PRICE_BOOK_INVALID: { status: 422, title: 'The price books cannot be used' },
  NOT_AUTHORISED: { status: 401, title: 'Not authorised' },
  NOT_FOUND: { status: 404, title: 'Not found' },
  PUSH_FAILED: { status: 409, title: 'The push was not carried out' },
  WAREHOUSE_FAILED: { status: 503, title: 'The warehouse did not answer' },
  WAREHOUSE_LOCKED: { status: 503, title: 'The warehouse is in use' },
};

const CLIENT_FAULTS: Record<number, { code: string; title: string; detail: string }> = {
  413: {
    code: 'body-too-large',
    title: 'The body is too large',
    detail: 'The body is larger than this address takes. Send it in smaller parts.',
  },
  415: {
    code: 'media-type',
    title: 'Unsupported media type',
    detail: 'This address takes application/json; statements are sent as text/csv.',
  },
};

/** What a failure looks like from outside. Unexpected ones say nothing but that they are ours. */
export const problemOf = (error: unknown): Problem => {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof ReckonerError) {
    const kind = STATUS_OF[error.code] ?? { status: 500, title: 'Something went wrong' };
    const code = error.code.toLowerCase().replaceAll('_', '-');
    return { type: `urn:reckoner:problem:${code}`, ...kind, detail: error.message, errors: [] };
  }
  const status = (error as Partial<FastifyError>).statusCode ?? 500;
  const fault = CLIENT_FAULTS[status];
  if (fault) {
    const { code, title, detail } = fault;
    return { type: `urn:reckoner:problem:${code}`, title, status, detail, errors: [] };
  }
  if (status >= 400 && status < 500) {
    return {
      type: 'urn:reckoner:problem:request-invalid',
      title: 'The request is not valid',
      status,
      detail:
        'The request could not be read. Send a body of well-formed JSON with a matching content-type and length.',
      errors: [],
    };
  }
  return {
    type: 'urn:reckoner:problem:internal',
    title: 'Something went wrong',
    status: 500,
    detail: 'The request failed inside Reckoner. The log names the cause under this request id.',
    errors: [],
  };
};

/** Checks a part of a request, or answers 400 with every problem and its place. */
export const parseRequest = <Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.infer<Schema> => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ProblemError(
    { status: 400, code: 'request-invalid', title: 'The request is not valid' },
    `The request has ${parsed.error.issues.length} problem(s); each is in errors with its place.`,
    {
      errors: parsed.error.issues.slice(0, PROBLEMS_MAX).map((issue) => ({
        pointer: issue.path
          .map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`)
          .join(''),
        detail: issue.message,
      })),
    },
  );
};

export interface HttpServerOptions {
  logger: Logger;
  metrics: Metrics;
  /** Goes into the metrics' names. */
  name: string;
  /** All must hold for `/readyz` to answer 200; each is named in the answer. */
  ready?: readonly { name: string; check: () => boolean | Promise<boolean> }[];
}

const sendProblem = (reply: FastifyReply, problem: Problem) =>
  reply.code(problem.status).type('application/problem+json; charset=utf-8').send(problem);

const addHealth = (server: FastifyInstance, { ready = [], metrics }: HttpServerOptions): void => {
  server.get('/livez', async () => ({ status: 'live' }));
  server.get('/readyz', async (_request, reply) => {
    const checks = await Promise.all(
      ready.map(async ({ name, check }) => {
        const ok = await Promise.resolve()
          .then(check)
          .catch(() => false);
        return { name, ok };
      }),
    );
    const isReady = checks.every((check) => check.ok);
    return reply
      .code(isReady ? 200 : 503)
      .send({ status: isReady ? 'ready' : 'not_ready', checks });
  });
  server.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics.render()),
  );
};

const addMeasuring = (server: FastifyInstance, { metrics, name }: HttpServerOptions): void => {
  const requests = metrics.counter(`${name}_http_requests_total`, 'Requests by route and status', [
    'route',
    'status',
  ]);
  const duration = metrics.histogram(
    `${name}_http_request_duration_seconds`,
    'From request to answer',
    DURATION_BUCKETS_SECONDS,
  );
  server.addHook('onResponse', async (request, reply) => {
    requests.inc({ route: request.routeOptions.url ?? 'none', status: String(reply.statusCode) });
    duration.observe(reply.elapsedTime / 1000);
  });
};

/**
 * A fastify server as every room uses it: problems by RFC 9457 and never a stack, `/livez`, `/readyz` and `/metrics`, bounded bodies and
 * times, a log line only for what failed on our side. The caller adds routes and listens.
 */
export const createHttpServer = (options: HttpServerOptions): FastifyInstance => {
  const server = fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    logger: false,
  });
  server.setErrorHandler((error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const problem = problemOf(error);
    if (problem.status >= 500) {
      const code = error instanceof ReckonerError ? error.code : 'INTERNAL';
      const route = request.routeOptions.url ?? 'none';
      // A class and a stack, not the message: messages of libraries may quote what was sent.
      const stack = error instanceof Error ? error.stack?.split('\n').slice(1, 6) : undefined;
      const kind = error instanceof Error ? error.name : 'unknown';
      options.logger.error({ code, route, requestId: request.id, kind, stack }, 'request failed');
    }
    if (error instanceof ProblemError) reply.headers(error.headers);
    return sendProblem(reply.header('x-request-id', request.id), problem);
  });
  server.setNotFoundHandler((_request, reply) =>
    sendProblem(reply, {
      type: 'urn:reckoner:problem:not-found',
      title: 'Not found',
      status: 404,
      detail: 'There is nothing at this address. The API begins at /api/v1.',
      errors: [],
    }),
  );
  addHealth(server, options);
  addMeasuring(server, options);
  return server;
};
