import type { Dialect } from './route.ts';

export type HeaderValues = Readonly<Record<string, string | string[] | undefined>>;

/** Single value of a header; of several the first. Names are lower case. */
export const headerOf = (headers: HeaderValues, name: string): string | undefined => {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
};

/** Where SDKs put keys, our own name first; behind them the headers other gateways take theirs in. */
const KEY_HEADERS = [
  'x-reckoner-key',
  'authorization',
  'x-api-key',
  'x-goog-api-key',
  'api-key',
  'x-bf-vk',
  'x-portkey-virtual-key',
  'x-portkey-api-key',
  'helicone-auth',
];

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
const NOT_FOR_UPSTREAM = new Set(['openai-organization', 'openai-project', 'x-goog-user-project']);
const UPSTREAM_PREFIXES = ['anthropic-', 'openai-', 'x-stainless-'];

/** Headers that only providers of a dialect read. Never a name that may carry a caller's key. */
const DIALECT_PREFIXES: Record<Dialect, readonly string[]> = {
  openai: [],
  anthropic: [],
  azure: ['x-ms-'],
  gemini: ['x-goog-api-client', 'x-goog-upload-', 'x-server-timeout'],
  bedrock: ['x-amz-', 'x-amzn-'],
  cohere: ['x-client-name'],
  ollama: [],
};

/** The header a dialect's providers take their key in; bearer tokens elsewhere. */
const KEY_HEADER: Partial<Record<Dialect, string>> = {
  anthropic: 'x-api-key',
  azure: 'api-key',
  gemini: 'x-goog-api-key',
};

const decodedName = (pair: string): string => {
  const [name = ''] = pair.split('=', 1);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
};

const credentialHeader = (dialect: Dialect, credential: string): Record<string, string> => {
  const header = KEY_HEADER[dialect];
  // An access token of Google Cloud (Vertex) is no API key and goes as a bearer token.
  const isToken = dialect === 'gemini' && credential.startsWith('ya29.');
  return header === undefined || isToken
    ? { authorization: `Bearer ${credential}` }
    : { [header]: credential };
};

/** What belongs to a signature for AWS: with the house's credential a caller's own, and its session, stay here. */
const SIGNATURE_PARTS = new Set(['x-amz-security-token', 'x-amz-date', 'x-amz-content-sha256']);

/** A request the caller has signed for AWS itself, for a Bedrock upstream that has no credential of its own. */
const signature = (headers: HeaderValues, dialect: Dialect): Record<string, string> => {
  const value = headerOf(headers, 'authorization');
  return dialect === 'bedrock' && value?.startsWith('AWS4-HMAC-SHA256 ')
    ? { authorization: value }
    : {};
};

/**
 * Headers that travel upstream: rebuilt from a list of what providers read, so that keys, cookies, tags and anything a proxy in
 * front added stay here. The credential is the upstream's own: a caller's token (an OAuth user of a coding agent keeps one in
 * `Authorization` and sends the virtual key in `x-reckoner-key`) never goes where the house's credential goes.
 */
export const upstreamHeaders = (
  headers: HeaderValues,
  dialect: Dialect,
  credential: string | null,
): Record<string, string> => {
  const dropped = nominated(headers);
  const kept: Record<string, string> = {};
  const prefixes = [...UPSTREAM_PREFIXES, ...DIALECT_PREFIXES[dialect]];
  for (const [name, value] of Object.entries(headers)) {
    const known = UPSTREAM_NAMES.has(name) || prefixes.some((p) => name.startsWith(p));
    if (!known || value === undefined || dropped.has(name) || NOT_FOR_UPSTREAM.has(name)) continue;
    if (credential !== null && SIGNATURE_PARTS.has(name)) continue;
    kept[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  kept['accept-encoding'] = 'identity';
  const proof =
    credential === null ? signature(headers, dialect) : credentialHeader(dialect, credential);
  return { ...kept, ...proof };
};

/** Names under which credentials and signatures travel in addresses. */
const SECRET_PARAMETER =
  /^\$?(key|api[-_]?key|subscription-key|access_token|oauth_token|token|x-amz-.*)$/i;

/** The query as it goes upstream: as it came, but for a caller's own credential. With its question mark, or empty. */
export const upstreamQuery = (query: string, hasCredential: boolean): string => {
  if (query === '' || !hasCredential) return query;
  const kept = query
    .slice(1)
    .split('&')
    .filter((pair) => !SECRET_PARAMETER.test(decodedName(pair)));
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
};

const NOT_FOR_CLIENTS = new Set([
  'set-cookie',
  'set-cookie2',
  'alt-svc',
  'content-length',
  // Whose account it is, which is the house's and not the caller's.
  'openai-organization',
  'openai-project',
  'anthropic-organization-id',
  // They speak for a whole origin, which is ours and not the provider's.
  'strict-transport-security',
  'clear-site-data',
  'report-to',
  'nel',
  // A web server in front of the proxy would obey them and show its own files.
  'x-sendfile',
  'x-lighttpd-send-file',
]);
const NOT_FOR_CLIENTS_PREFIX = 'x-accel-';

/** Headers of the upstream's answer that reach the client. Lengths are ours: the caller of this adds one where it is known. */
export const clientHeaders = (headers: HeaderValues): Record<string, string | string[]> => {
  const dropped = nominated(headers);
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name) || NOT_FOR_CLIENTS.has(name)) continue;
    if (dropped.has(name) || name.startsWith('x-reckoner-')) continue;
    if (!name.startsWith(NOT_FOR_CLIENTS_PREFIX)) kept[name] = value;
  }
  return kept;
};
