import type { Upstream } from '../../schemas/control-record.ts';
import { toInstant } from '../platform/clock.ts';
import type { Refusal } from './core/answers.ts';
import type { Chain, Places } from './core/chain.ts';
import {
  chainForModel,
  chainOfRoute,
  chainOfUpstream,
  dialectOfRoute,
  withoutTargets,
} from './core/chain.ts';
import type { JsonObject } from './core/flavour.ts';
import { countMembers } from './core/json-span.ts';
import { isPriced, modelsBeside } from './core/priced.ts';
import type { RequestFacts } from './core/request-facts.ts';
import type { Dialect, Route } from './core/route.ts';
import { pathModel } from './core/route.ts';
import type { ProxyParts } from './proxy-parts.ts';
import { awsSigningOf } from './sign-aws.ts';

export const badRequest = (message: string): Refusal => ({
  status: 400,
  code: 'invalid_request',
  message,
});

export const UPSTREAM_NOT_FOUND: Refusal = {
  status: 404,
  code: 'upstream_not_found',
  message: 'The path starts with no upstream or route that is configured here.',
};

const MODEL_NOT_FOUND: Refusal = {
  status: 404,
  code: 'model_not_found',
  message: 'No upstream or route configured here serves the model the body asks for.',
};

const NO_CREDENTIAL: Refusal = {
  status: 503,
  code: 'credential_missing',
  message:
    'This proxy cannot read the credential of the upstream. Its operator must provide it; nothing was sent.',
};

/** A chain, or why there is none. */
type Found = { ok: true; chain: Chain } | { ok: false; refusal: Refusal };

/** Whether an upstream or a route has the name. */
export const isPlace = (places: Places, id: string): boolean =>
  places.upstreams.has(id) || places.routes.has(id);

/** In which dialect a caller expects answers: that of the upstream or route its path names, else what the path looks like. */
export const dialectOf = (places: Places, { upstreamId, dialect }: Route): Dialect => {
  if (upstreamId === null) return dialect;
  const upstream = places.upstreams.get(upstreamId);
  if (upstream) return upstream.dialect;
  const route = places.routes.get(upstreamId);
  return (route && dialectOfRoute(route, places.upstreams)) ?? dialect;
};

/** The chain of a name. An upstream wins over a route of the same name, which the console does not let in. */
const chainOf = ({ upstreams, routes }: Places, id: string): Chain | null => {
  const upstream = upstreams.get(id);
  if (upstream) return chainOfUpstream(upstream);
  const route = routes.get(id);
  return route ? chainOfRoute(route, upstreams) : null;
};

const hasCredential = (parts: ProxyParts, upstream: Upstream): boolean => {
  try {
    const secret = parts.credentialOf(upstream);
    if (secret !== null) awsSigningOf(upstream, secret);
    return true;
  } catch (error) {
    parts.logger.error({ upstream: upstream.id }, (error as Error).message);
    return false;
  }
};

const NOT_PRICED: Refusal = {
  status: 403,
  code: 'model_not_priced',
  message:
    'No price is known for the model at this upstream and tier, and such calls are not made here. Ask for another model, or have its price entered.',
};

/** What a call says of itself. */
interface AskedCall {
  route: Route;
  facts: RequestFacts;
  body: JsonObject | null;
  /** The body as text where it is JSON. */
  source: string | null;
}

/** Members that decide which prices count. */
const DECIDING = ['models', 'fallbacks', 'tools', 'requests', 'service_tier', 'serviceTier'];

/** Named twice, of which each reader takes another; or a model by a name that is none, which the provider may read after all. */
const isUnclear = ({ route, facts, body, source }: AskedCall): boolean => {
  const byPath = pathModel(route.path) !== undefined;
  const deciding = byPath ? DECIDING : ['model', ...DECIDING];
  if (source !== null && deciding.some((name) => countMembers(source, name) > 1)) return true;
  return facts.model === undefined && (byPath || body?.['model'] !== undefined);
};

/**
 * The chain without upstreams that block what nobody can price (`unknown_price: block`). A call that names no model passes: there is
 * nothing to look up, and it shows as unrated if nothing prices it in the end.
 */
export const withPrices = (parts: ProxyParts, chain: Chain, asked: AskedCall): Found => {
  const { route, facts, body } = asked;
  const { state } = parts.control;
  if (route.flavour === null || ![...state.upstreams.values()].some(blocksUnpriced)) {
    return { ok: true, chain };
  }
  const books = parts.books();
  const at = toInstant(parts.clock.nowMs());
  const tier = route.flavour.endsWith('.batch') ? 'batch' : facts.tier;
  const beside = modelsBeside(body);
  const unclear = isUnclear(asked);
  const priced = withoutTargets(chain, (upstream, target) => {
    if (!blocksUnpriced(upstream)) return true;
    const named = target.model ?? facts.model;
    const models = named === undefined ? beside : [named, ...beside];
    const { provider, id: account } = upstream;
    if (
      !unclear &&
      models.every((model) => isPriced(books, { provider, account, model, tier, at }))
    )
      return true;
    parts.metrics.unpriced.inc({ upstream: account });
    return false;
  });
  return priced ? { ok: true, chain: priced } : { ok: false, refusal: NOT_PRICED };
};

const blocksUnpriced = ({ unknown_price }: Upstream): boolean => unknown_price === 'block';

/** Where a call may go: only to places whose credential can be read; that of another is told to the log. */
export const findChain = (parts: ProxyParts, route: Route, model: string | undefined): Found => {
  const no = (refusal: Refusal) => ({ ok: false, refusal }) as const;
  const { state } = parts.control;
  if (route.upstreamId === null && model === undefined) {
    return no(
      badRequest('The body names no "model" as text, and this endpoint is chosen by model.'),
    );
  }
  const chain =
    route.upstreamId === null
      ? chainForModel(state, route.dialect, model ?? '')
      : chainOf(state, route.upstreamId);
  if (!chain) return no(route.upstreamId === null ? MODEL_NOT_FOUND : UPSTREAM_NOT_FOUND);
  const usable = withoutTargets(chain, (upstream) => hasCredential(parts, upstream));
  return usable ? { ok: true, chain: usable } : no(NO_CREDENTIAL);
};
