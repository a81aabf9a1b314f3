import type { Dialect } from './route.ts';

export type HeaderValues = Readonly<Record<string, string | string[] | undefined>>;

/** Single value of a header; of several the first. Names are lower case. */
export const headerOf = (headers: HeaderValues, name: string): string | undefined => {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
};

/** Media types are compared without regard to case. */
export const isEventStream = (contentType: string | undefined): boolean =>
  contentType?.trim().toLowerCase().startsWith('text/event-stream') ?? false;

const KEY_HEADERS = ['x-reckoner-key', 'authorization', 'x-api-key', 'x-goog-api-key', 'api-key'];

/** The virtual key a caller presents, in whichever header its SDK puts keys; null when there is none. */
export const presentedKey = (headers: HeaderValues): string | null => {
  for (const name of KEY_HEADERS) {
    const value = headerOf(headers, name)
      ?.replace(/^bearer\s+/i, '')
      .trim();
    if (value?.startsWith('rk_')) return value;
  }
  return null;
};

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const nominated = (headers: HeaderValues): Set<string> =>
  new Set(
    (headerOf(headers, 'connection') ?? '')
      .split(',')
      .map((name) => name.trim().toLowerCase())
      .filter((name) => name !== ''),
  );

const UPSTREAM_NAMES = new Set([
  'accept',
  'accept-language',
  'content-type',
  'user-agent',
  'idempotency-key',
  'x-client-request-id',
  'traceparent',
  'tracestate',
]);
/** They would choose, on the house's credential, which organisation or project is billed. */
const NOT_FOR_UPSTREAM = new Set(['openai-organization', 'openai-project']);
const UPSTREAM_PREFIXES = ['anthropic-', 'openai-', 'x-stainless-'];

/**
 * Headers that travel upstream: rebuilt from a list of what providers read, so that keys, cookies, tags and anything a proxy in
 * front added stay here. The credential is the upstream's own.
 */
export const upstreamHeaders = (
  headers: HeaderValues,
  dialect: Dialect,
  credential: string | null,
): Record<string, string> => {
  const dropped = nominated(headers);
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const known = UPSTREAM_NAMES.has(name) || UPSTREAM_PREFIXES.some((p) => name.startsWith(p));
    if (!known || value === undefined || dropped.has(name) || NOT_FOR_UPSTREAM.has(name)) continue;
    kept[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  kept['accept-encoding'] = 'identity';
  if (credential !== null && dialect === 'anthropic') kept['x-api-key'] = credential;
  if (credential !== null && dialect === 'openai') kept['authorization'] = `Bearer ${credential}`;
  return kept;
};

const NOT_FOR_CLIENTS = new Set(['set-cookie', 'set-cookie2', 'alt-svc', 'content-length']);

/** Headers of the upstream's answer that reach the client. Lengths are ours: the caller of this adds one where it is known. */
export const clientHeaders = (headers: HeaderValues): Record<string, string | string[]> => {
  const dropped = nominated(headers);
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name) || NOT_FOR_CLIENTS.has(name)) continue;
    if (dropped.has(name) || name.startsWith('x-reckoner-')) continue;
    kept[name] = value;
  }
  return kept;
};
