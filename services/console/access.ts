import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../platform/clock.ts';
import { ProblemError } from '../platform/http-server.ts';
import { randomText } from '../platform/id-source.ts';

export const SESSION_COOKIE = 'reckoner_session';
export const SESSION_SECONDS = 12 * 3600;
const SESSIONS_MAX = 1_000;
const LOGIN_WINDOW_MS = 60_000;
const LOGIN_FAILURES_MAX = 10;
const CALLERS_MAX = 10_000;

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compares in the same time whatever is given, of whatever length. */
const isToken = (given: string, token: string): boolean =>
  timingSafeEqual(digest(given), digest(token));

const notAuthorised = (detail: string): ProblemError =>
  new ProblemError({ status: 401, code: 'not-authorised', title: 'Not authorised' }, detail, {
    headers: { 'www-authenticate': 'Bearer realm="reckoner"' },
  });

/** Counts refused logins per caller, so that a token cannot be guessed by trying. */
const createLoginLimit = (clock: Clock) => {
  const failures = new Map<string, { count: number; untilMs: number }>();
  return {
    check: (caller: string): void => {
      const entry = failures.get(caller);
      const waitMs = (entry?.untilMs ?? 0) - clock.nowMs();
      if (!entry || waitMs <= 0 || entry.count < LOGIN_FAILURES_MAX) return;
      const seconds = Math.ceil(waitMs / 1000);
      throw new ProblemError(
        { status: 429, code: 'too-many-logins', title: 'Too many logins' },
        `${LOGIN_FAILURES_MAX} logins were refused within a minute. Try again in ${seconds} s.`,
        { headers: { 'retry-after': String(seconds) } },
      );
    },
    failed: (caller: string): void => {
      const nowMs = clock.nowMs();
      const entry = failures.get(caller);
      if (entry && entry.untilMs > nowMs) {
        entry.count += 1;
        return;
      }
      failures.delete(caller);
      failures.set(caller, { count: 1, untilMs: nowMs + LOGIN_WINDOW_MS });
      const [oldest] = failures.keys();
      if (failures.size > CALLERS_MAX && oldest !== undefined) failures.delete(oldest);
    },
  };
};

/** Sessions of the page. In memory: a restart asks for the token again. */
const createSessions = (clock: Clock) => {
  const ends = new Map<string, number>();
  return {
    open: (): string => {
      const id = randomText(43);
      ends.set(id, clock.nowMs() + SESSION_SECONDS * 1000);
      const [oldest] = ends.keys();
      if (ends.size > SESSIONS_MAX && oldest !== undefined) ends.delete(oldest);
      return id;
    },
    isOpen: (id: string): boolean => (ends.get(id) ?? 0) > clock.nowMs(),
    close: (id: string): void => void ends.delete(id),
  };
};

export interface Access {
  /** Lets a request to the API through, or throws 401. */
  require(request: FastifyRequest): void;
  /** Exchanges the token for a session cookie, or throws 401 or 429. */
  login(request: FastifyRequest, reply: FastifyReply, token: string): void;
  /** Whether the request carries an open session. */
  isOpen(request: FastifyRequest): boolean;
  logout(request: FastifyRequest, reply: FastifyReply): void;
}

/**
 * Who may come in: whoever shows the token as a bearer, for everything; and the page with its session cookie, for reading only, so that
 * no other site can make a browser change anything.
 */
export const createAccess = (token: string, clock: Clock): Access => {
  const sessions = createSessions(clock);
  const limit = createLoginLimit(clock);
  return {
    require: (request) => {
      const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
      if (bearer !== undefined) {
        if (isToken(bearer, token)) return;
        throw notAuthorised(
          'The token is not the one of this house. It stands in the file bootstrap-token of the data directory.',
        );
      }
      const session = request.cookies[SESSION_COOKIE];
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      if (session !== undefined && isRead && sessions.isOpen(session)) return;
      throw notAuthorised(
        isRead
          ? 'Send the token as "Authorization: Bearer …", or log in on the page.'
          : 'Changes need the token as "Authorization: Bearer …"; a session of the page may only read.',
      );
    },
    login: (request, reply, given) => {
      limit.check(request.ip);
      if (!isToken(given, token)) {
        limit.failed(request.ip);
        throw notAuthorised(
          'This is not the token of this house. It stands in the file bootstrap-token of the data directory.',
        );
      }
      reply.setCookie(SESSION_COOKIE, sessions.open(), {
        path: '/',
        httpOnly: true,
        sameSite: 'strict',
        secure: request.protocol === 'https',
        maxAge: SESSION_SECONDS,
      });
    },
    isOpen: (request) => sessions.isOpen(request.cookies[SESSION_COOKIE] ?? ''),
    logout: (request, reply) => {
      const session = request.cookies[SESSION_COOKIE];
      if (session !== undefined) sessions.close(session);
      reply.clearCookie(SESSION_COOKIE, { path: '/' });
    },
  };
};
