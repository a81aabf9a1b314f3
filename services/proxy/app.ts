import type { IncomingMessage, ServerResponse } from 'node:http';
import { toInstant } from '../platform/clock.ts';
import { ReckonerError } from '../platform/errors.ts';
import { newId } from '../platform/id-source.ts';
import { admitCall, keyOf, NO_KEY } from './admit-call.ts';
import { watchClient } from './client-call.ts';
import { budgetIdsOf, isInForce } from './core/admission.ts';
import type { Refusal } from './core/answers.ts';
import { routeOf } from './core/route.ts';
import { CANNOT_METER, serveMetered } from './metered-call.ts';
import type { ProxyParts } from './proxy-parts.ts';
import { refuse, respondJson, respondText } from './respond.ts';
import { serveUnmetered } from './unmetered-call.ts';
import { UNDER_PRESSURE } from './watch-pressure.ts';

const NOT_READY: Refusal = {
  status: 503,
  code: 'not_ready',
  message: 'The proxy has not yet read the records in force. Try again in a moment.',
  retryAfterS: 1,
};
const STOPPING: Refusal = {
  status: 503,
  code: 'stopping',
  message: 'The proxy is stopping. Try again: another one or its successor will answer.',
  retryAfterS: 1,
};
const FAILED_INSIDE: Refusal = {
  status: 503,
  code: 'cannot_meter',
  message: 'The proxy could not serve the call; its log says why.',
  retryAfterS: 5,
};
const NO_ROUTE: Refusal = {
  status: 404,
  code: 'upstream_not_found',
  message:
    'The path belongs to no route. Expected /<upstream>/… or one of /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/messages.',
};

const BAD_METHOD: Refusal = {
  status: 400,
  code: 'invalid_request',
  message:
    'No provider is called with this method. Expected GET, HEAD, POST, PUT, PATCH or DELETE.',
};
/** TRACE would show a caller the headers that went upstream, the house's credential among them. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);

/** What a key may know about its own budgets. Money as exact decimal strings; null where nothing was heard yet. */
const ownBudgets = (parts: ProxyParts, req: IncomingMessage, res: ServerResponse): void => {
  const key = keyOf(parts, req);
  if (!key) {
    refuse(res, NO_KEY, { dialect: 'openai', requestId: newId() });
    return;
  }
  const { budgets } = parts.control.state;
  const now = toInstant(parts.clock.nowMs());
  const rows = budgetIdsOf(key, budgets).map((id) => {
    const heard = parts.signals.byScope.get(`budget/${id}`);
    const own = heard && heard.signal.tenant === key.tenant ? heard : undefined;
    const state = own && isInForce(own.signal, now) ? own.signal.state : 'clear';
    const budget = budgets.get(id);
    return {
      budget_id: id,
      state: budget?.tenant === key.tenant ? state : 'unknown',
      version: own?.signal.version ?? null,
      limit_usd: own?.signal.limit_usd ?? (budget?.tenant === key.tenant ? budget.limit_usd : null),
      spent_usd: own?.signal.spent_usd ?? null,
      resets_at: own?.signal.resets_at ?? null,
      received_at: own?.receivedAt ?? null,
      cause_closed_at: own?.signal.cause?.closed_at ?? null,
    };
  });
  respondJson(res, 200, { tenant: key.tenant, budgets: rows });
};

/** Why no call at all is taken right now. */
const closedBecause = (parts: ProxyParts): Refusal | null => {
  if (parts.stopping()) return STOPPING;
  if (!parts.ready()) return NOT_READY;
  return parts.pressure.refusalFor(null);
};

/** Why `/readyz` says no, in a line for whoever looks; null when it says yes. */
const notReadyLine = (parts: ProxyParts): string | null => {
  const refusal = closedBecause(parts);
  if (refusal === null) return null;
  if (refusal === STOPPING) return 'not ready: stopping\n';
  if (refusal === NOT_READY) return 'not ready: the records in force are not read yet\n';
  return `not ready: log under pressure (${[...parts.pressure.causes()].join(', ')})\n`;
};

const serveProvider = async (
  parts: ProxyParts,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> => {
  const requestId = newId();
  const route = routeOf(req.method ?? 'GET', req.url ?? '/');
  const dialect = route?.dialect ?? 'openai';
  const deny = (refusal: Refusal, as = dialect): void => {
    parts.metrics.refusals.inc({ code: refusal.code });
    if (refusal === UNDER_PRESSURE) parts.pressureMetrics.underPressure.inc();
    refuse(res, refusal, { dialect: as, requestId, close: parts.stopping() });
  };
  const closed = closedBecause(parts);
  if (closed) return deny(closed);
  if (!METHODS.has(req.method ?? '')) return deny(BAD_METHOD);
  if (!route) return deny(NO_ROUTE);
  if (!parts.calls.enter()) return deny(CANNOT_METER);
  const held = parts.bodies.hold();
  try {
    const client = watchClient(res);
    const admitted = await admitCall(parts, { requestId, req, res, client, route, held });
    if (!admitted.ok) {
      if (admitted.refusal !== 'gone') deny(admitted.refusal, admitted.dialect);
      return;
    }
    if (route.flavour === null) await serveUnmetered(parts, admitted.call);
    else await serveMetered(parts, admitted.call);
  } catch (error) {
    // Such as a credential that is not there: its error names the reference, never the value.
    const about = error instanceof ReckonerError ? error.message : (error as Error).name;
    parts.logger.error({ error: about }, 'a call failed inside the proxy');
    deny(FAILED_INSIDE);
  } finally {
    held.release();
    parts.calls.leave();
  }
};

/** The request handler of the proxy's port. */
export const createProxyApp =
  (parts: ProxyParts, renderMetrics: () => Promise<string>) =>
  async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const path = (req.url ?? '/').split('?', 1)[0];
    if (path === '/livez') return respondText(res, 200, 'ok\n');
    if (path === '/readyz') {
      const problem = notReadyLine(parts);
      return respondText(res, problem === null ? 200 : 503, problem ?? 'ok\n');
    }
    if (path === '/metrics') return respondText(res, 200, await renderMetrics());
    if (path === '/api/v1/me/budget' && req.method === 'GET') return ownBudgets(parts, req, res);
    return serveProvider(parts, req, res);
  };
