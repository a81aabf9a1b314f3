import type { Upstream } from '../../schemas/control-record.ts';
import type { Flavour } from '../../schemas/words.ts';
import type { ClientCall } from './client-call.ts';
import type { Target } from './core/chain.ts';
import { upstreamHeaders, upstreamQuery } from './core/headers.ts';
import { modelInBody, modelInForm } from './core/model-edit.ts';
import { editedBody } from './core/request-facts.ts';
import { flavourAt, modelInPath, upstreamPath } from './core/route.ts';
import type { ProxyParts } from './proxy-parts.ts';
import { awsSigningOf, signForAws } from './sign-aws.ts';

/** A call as it goes to one target: what differs between the attempts of one call. */
export interface Outgoing {
  upstream: Upstream;
  flavour: Flavour;
  /** What this upstream is asked for. */
  model: string | undefined;
  /** With query. */
  path: string;
  headers: Record<string, string>;
  body: Buffer | null;
  /** Usage was asked for on the caller's behalf and must not show. */
  hideUsage: boolean;
}

/** Where a call goes at its upstream, and with which headers. */
interface RequestHead {
  method: string;
  /** With query. */
  path: string;
  headers: Record<string, string>;
}

/**
 * A client's call as it goes to an upstream: the house's credential, nothing of the caller's. Made anew for every attempt, since a
 * signature is good for minutes only; a promise where it has to be signed.
 * @param to `model`: what the upstream calls the model, where the path names one and it goes by another name there.
 * @throws ReckonerError when the upstream's credential cannot be read.
 */
export const requestHeadFor = (
  parts: ProxyParts,
  call: ClientCall,
  to: { upstream: Upstream; method: string; body: Buffer | null; model?: string | undefined },
): RequestHead | Promise<RequestHead> => {
  const { upstream, method, body } = to;
  const credential = parts.credentialOf(upstream);
  const base = new URL(upstream.base_url);
  const query = upstreamQuery(call.route.query, credential !== null);
  const asked = upstreamPath(base.pathname, call.route.path);
  const path = (to.model === undefined ? asked : modelInPath(asked, to.model)) + query;
  const headers = upstreamHeaders(call.req.headers, upstream.dialect, credential);
  const signing = credential === null ? null : awsSigningOf(upstream, credential);
  if (!signing) return { method, path, headers };
  const { authorization: _bearer, ...unsigned } = headers;
  const now = new Date(parts.clock.nowMs());
  return signForAws(
    { method, origin: base.origin, path, headers: unsigned, body },
    signing,
    now,
  ).then((signed) => ({ method, path, headers: signed }));
};

/** The body under the target's name of the model; as it came where the target has none of its own. */
const bodyFor = (call: ClientCall, model: string | undefined): Buffer | string | null => {
  const { body, source, facts } = call;
  if (source !== null) {
    const renamed = model !== undefined && facts.model !== undefined;
    return renamed ? modelInBody(source, facts.model ?? '', model) : source;
  }
  const type = call.req.headers['content-type'];
  const isForm = type !== undefined && /^multipart\/form-data/i.test(type);
  if (body === null || model === undefined || facts.model === undefined || !isForm) return body;
  const utf8 = Buffer.from(model).toString('latin1');
  return Buffer.from(modelInForm(body.toString('latin1'), type, utf8), 'latin1');
};

/**
 * Path, headers and body of a call for one target.
 * @throws ReckonerError when the upstream's credential cannot be read.
 */
export const outgoingFor = async (
  parts: ProxyParts,
  call: ClientCall,
  target: Target,
): Promise<Outgoing> => {
  const { upstream, model } = target;
  const { route, facts } = call;
  const place = upstreamPath(new URL(upstream.base_url).pathname, route.path);
  const flavour = flavourAt(route.flavour ?? 'passthrough', place);
  const body = bodyFor(call, model);
  const asks = typeof body === 'string' && upstream.stream_usage !== 'as_is';
  const edited = asks ? editedBody(flavour, facts, body) : null;
  // Untouched bytes go as the buffer they came in.
  const same = edited === null && body === call.source;
  const bytes = same ? call.body : Buffer.from(edited ?? body ?? '');
  const to = { upstream, method: 'POST', body: bytes, model };
  const { path, headers } = await requestHeadFor(parts, call, to);
  return {
    upstream,
    flavour,
    model: model ?? facts.model,
    path,
    headers,
    body: bytes,
    hideUsage: edited !== null,
  };
};
