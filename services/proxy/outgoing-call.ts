import type { Upstream } from '../../schemas/control-record.ts';
import type { ClientCall } from './client-call.ts';
import { upstreamHeaders, upstreamQuery } from './core/headers.ts';
import { modelInPath, upstreamPath } from './core/route.ts';
import type { ProxyParts } from './proxy-parts.ts';
import { awsSigningOf, signForAws } from './sign-aws.ts';

/** Where a call goes at its upstream, and with which headers. */
export interface OutgoingCall {
  method: string;
  /** With query. */
  path: string;
  headers: Record<string, string>;
}

/**
 * A client's call as it goes to an upstream: the house's credential, nothing of the caller's. Made anew for every attempt, since a
 * signature is good for minutes only; a promise where it has to be signed.
 * @param to `model`: what the upstream calls the model, where the path names one and it goes by another name there.
 */
export const outgoingCall = (
  parts: ProxyParts,
  call: ClientCall,
  to: { upstream: Upstream; method: string; body: Buffer | null; model?: string | undefined },
): OutgoingCall | Promise<OutgoingCall> => {
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
