import { createInterface } from 'node:readline';
import type { Dispatcher } from 'undici';
import { request } from 'undici';
import { ReckonerError } from '../platform/errors.ts';

/** The admin API as the command line speaks it: JSON in and out, problems as errors with their sentence. */
export interface AdminClient {
  readonly url: string;
  get<Answer>(path: string): Promise<Answer>;
  post<Answer>(path: string, body: unknown): Promise<Answer>;
  /** Sends JSON and reads the answer a line at a time, each a JSON value. Ending the iteration ends the answer. */
  postLines<Line>(path: string, body: unknown): AsyncGenerator<Line>;
  postBytes<Answer>(path: string, bytes: Uint8Array, contentType: string): Promise<Answer>;
  delete<Answer>(path: string): Promise<Answer>;
}

const TIMEOUT_MS = 300_000;

interface Problem {
  title?: string;
  detail?: string;
  errors?: { pointer?: string; detail?: string }[];
}

const problemText = (status: number, problem: Problem): string => {
  const details = (problem.errors ?? []).map((e) => `\n  ${e.pointer ?? ''} ${e.detail ?? ''}`);
  return `${problem.detail ?? problem.title ?? `the admin API answered ${status}`}${details.join('')}`;
};

const PROBLEM_BYTES_MAX = 65_536;

interface Sent {
  bytes: Uint8Array | string;
  contentType: string;
}

/** Sends one request. Rejects where nobody answers, or where the answer is a problem. */
const send = async (
  { url, token }: { url: string; token: string },
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: Sent,
): Promise<Dispatcher.ResponseData> => {
  let response: Dispatcher.ResponseData;
  try {
    response = await request(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body ? { 'content-type': body.contentType } : {}),
      },
      ...(body ? { body: body.bytes } : {}),
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
    });
  } catch (error) {
    throw new ReckonerError(
      'NOT_FOUND',
      `No back office answers at ${url}. Start one with "reckoner up", or point to it with --url or RECKONER_URL.`,
      { cause: error, retryable: true },
    );
  }
  if (response.statusCode < 400) return response;
  const text = (await response.body.text()).slice(0, PROBLEM_BYTES_MAX);
  throw new ReckonerError(
    response.statusCode === 401 ? 'NOT_AUTHORISED' : 'REQUEST_INVALID',
    problemText(response.statusCode, parseJson(text, `${url}${path}`) as Problem),
  );
};

const parseJson = (text: string, from: string): unknown => {
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch {
    throw new ReckonerError('REQUEST_INVALID', `${from} answered no JSON.`);
  }
};

const asJson = (body: unknown): Sent => ({
  bytes: JSON.stringify(body),
  contentType: 'application/json',
});

/** Talks to the back office at `url` with its token. */
export const createAdminClient = (url: string, token: string): AdminClient => {
  const desk = { url, token };
  const call = async <Answer>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: Sent,
  ): Promise<Answer> => {
    const response = await send(desk, method, path, body);
    return parseJson(await response.body.text(), `${url}${path}`) as Answer;
  };
  return {
    url,
    get: (path) => call('GET', path),
    post: (path, body) => call('POST', path, asJson(body)),
    postLines: async function* <Line>(path: string, body: unknown) {
      const { body: answer } = await send(desk, 'POST', path, asJson(body));
      for await (const text of createInterface({ input: answer })) {
        if (text !== '') yield parseJson(text, `${url}${path}`) as Line;
      }
    },
    postBytes: (path, bytes, contentType) => call('POST', path, { bytes, contentType }),
    delete: (path) => call('DELETE', path),
  };
};
