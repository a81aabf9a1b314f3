import { request } from 'undici';
import { ReckonerError } from '../platform/errors.ts';

/** The admin API as the command line speaks it: JSON in and out, problems as errors with their sentence. */
export interface AdminClient {
  readonly url: string;
  get<Answer>(path: string): Promise<Answer>;
  post<Answer>(path: string, body: unknown): Promise<Answer>;
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

/** Talks to the back office at `url` with its token. */
export const createAdminClient = (url: string, token: string): AdminClient => {
  const call = async <Answer>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: { bytes: Uint8Array | string; contentType: string },
  ): Promise<Answer> => {
    let response: Awaited<ReturnType<typeof request>>;
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
    const text = await response.body.text();
    let json: unknown;
    try {
      json = text === '' ? {} : JSON.parse(text);
    } catch {
      throw new ReckonerError(
        'REQUEST_INVALID',
        `${url}${path} answered no JSON (status ${response.statusCode}).`,
      );
    }
    if (response.statusCode >= 400) {
      throw new ReckonerError(
        response.statusCode === 401 ? 'NOT_AUTHORISED' : 'REQUEST_INVALID',
        problemText(response.statusCode, json as Problem),
      );
    }
    return json as Answer;
  };
  return {
    url,
    get: (path) => call('GET', path),
    post: (path, body) =>
      call('POST', path, { bytes: JSON.stringify(body), contentType: 'application/json' }),
    postBytes: (path, bytes, contentType) => call('POST', path, { bytes, contentType }),
    delete: (path) => call('DELETE', path),
  };
};
