import type { Dimension } from '../../../schemas/words.ts';
import { DIMENSIONS } from '../../../schemas/words.ts';
import type { JsonObject } from './flavour.ts';
import { asObject } from './flavour.ts';
import type { HeaderValues } from './headers.ts';
import { headerOf } from './headers.ts';

/** Who invented a header or field that says what a call is for. Also the label under which what cannot be kept is counted. */
export type ForeignSource =
  | 'portkey'
  | 'helicone'
  | 'cloudflare'
  | 'litellm'
  | 'truefoundry'
  | 'future_agi'
  | 'claude_code'
  | 'codex'
  | 'opencode'
  | 'openrouter'
  | 'baggage'
  | 'body'
  /** Tags of any of them beyond the sixteenth. */
  | 'tags';

type Target = Exclude<Dimension, 'tenant'>;

/**
 * How a value is read. `dimension`, `tag`: as it is, under `to`. `site`: the host of an address. `json`: an object of names and
 * values. `list`: names, or `name:value`, between commas. `baggage`: W3C baggage, of which only names of dimensions are ours.
 */
type Reading =
  | { as: 'dimension'; to: Target }
  | { as: 'tag'; to: string }
  | { as: 'site'; to: Target }
  | { as: 'tenant' | 'json' | 'list' | 'baggage' };

const as = (to: Target): Reading => ({ as: 'dimension', to });
const tag = (to: string): Reading => ({ as: 'tag', to });

/**
 * Headers of other gateways, of coding agents and of standards, as their documentation and their code have them. Of two that name
 * the same dimension the earlier row wins: what somebody configured before what a tool sends by itself.
 */
const FOREIGN_HEADERS: readonly (readonly [string, ForeignSource, Reading])[] = [
  ['x-fagi-tenant', 'future_agi', { as: 'tenant' }],
  ['x-fagi-feature', 'future_agi', as('feature')],
  ['helicone-user-id', 'helicone', as('user')],
  ['helicone-session-id', 'helicone', as('session')],
  ['helicone-session-path', 'helicone', tag('session_path')],
  ['helicone-session-name', 'helicone', tag('session_name')],
  // LiteLLM calls the end user of an application its customer.
  ['x-litellm-end-user-id', 'litellm', as('user')],
  ['x-litellm-customer-id', 'litellm', as('user')],
  ['x-portkey-metadata', 'portkey', { as: 'json' }],
  ['x-portkey-trace-id', 'portkey', tag('trace_id')],
  ['cf-aig-metadata', 'cloudflare', { as: 'json' }],
  ['x-litellm-spend-logs-metadata', 'litellm', { as: 'json' }],
  ['x-litellm-tags', 'litellm', { as: 'list' }],
  ['x-tfy-metadata', 'truefoundry', { as: 'json' }],
  ['baggage', 'baggage', { as: 'baggage' }],
  ['x-claude-code-session-id', 'claude_code', as('session')],
  ['x-claude-code-agent-id', 'claude_code', as('agent')],
  ['x-claude-code-parent-agent-id', 'claude_code', tag('parent_agent')],
  ['session_id', 'codex', as('session')],
  ['conversation_id', 'codex', as('session')],
  ['x-openai-subagent', 'codex', as('agent')],
  ['originator', 'codex', as('application')],
  ['x-opencode-session', 'opencode', as('session')],
  ['x-title', 'openrouter', as('application')],
  ['http-referer', 'openrouter', { as: 'site', to: 'application' }],
];

const RANKED = new Map(
  FOREIGN_HEADERS.map(([name, source, reading], rank) => [name, { rank, source, reading }]),
);
const PROPERTY = 'helicone-property-';

/** Names that metadata objects use for the house's dimensions, beside the dimensions' own. */
const ALIASES: Readonly<Record<string, Dimension>> = {
  ...Object.fromEntries(DIMENSIONS.map((name) => [name, name])),
  tenant_id: 'tenant',
  user_id: 'user',
  userid: 'user',
  enduser_id: 'user',
  session_id: 'session',
  sessionid: 'session',
  conversation_id: 'session',
  environment: 'env',
  app: 'application',
  app_name: 'application',
  agent_id: 'agent',
  repository: 'repo',
};

const plainName = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '_');
const dimensionNamed = (name: string): Dimension | undefined => {
  const plain = plainName(name)
    .replace(/[.-]/g, '_')
    .replace(/^_+|_+$/g, '');
  return Object.hasOwn(ALIASES, plain) ? ALIASES[plain] : undefined;
};

const VALUE_MAX = 128;
const NAME_MAX = 64;
/** Bytes of one metadata header that are looked at; names and values that could be kept fit many times over. */
const TEXT_MAX = 8_192;

/** What other tools' headers and the body say. A value that cannot be kept is left out and its source noted. */
export interface ForeignAttribution {
  dimensions: Partial<Record<Target, string>>;
  tags: Record<string, string>;
  /** One entry per value left out. */
  dropped: ForeignSource[];
}

interface Reader extends ForeignAttribution {
  /** The key's. No header sets it. */
  tenant: string;
}

const cleaned = (value: unknown): string | null => {
  const plain = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
  if (typeof plain !== 'string' || plain.length > TEXT_MAX) return null;
  const text = plain.trim();
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get in.
  const sane = text.length <= VALUE_MAX && text.isWellFormed() && !/[\u0000-\u001f]/.test(text);
  return sane ? text : null;
};

/** Keeps a value, unless something that goes before it said the same already. */
const keep = (
  on: Reader,
  source: ForeignSource,
  to: Dimension | { tag: string },
  value: unknown,
): void => {
  const text = cleaned(value);
  if (text === '') return;
  if (text === null || (to === 'tenant' && text !== on.tenant)) {
    on.dropped.push(source);
    return;
  }
  if (typeof to === 'string') {
    if (to !== 'tenant') on.dimensions[to] ??= text;
    return;
  }
  const name = plainName(to.tag).slice(0, NAME_MAX + 1);
  if (name === '' || name.length > NAME_MAX) on.dropped.push(source);
  else if (!Object.hasOwn(on.tags, name)) on.tags[name] = text;
};

const named = (on: Reader, source: ForeignSource, name: string, value: unknown): void =>
  keep(on, source, dimensionNamed(name) ?? { tag: name }, value);

const parsedObject = (text: string): JsonObject | undefined => {
  if (text.length > TEXT_MAX) return undefined;
  try {
    return asObject(JSON.parse(text)) ?? undefined;
  } catch {
    return undefined;
  }
};

const readJson = (on: Reader, source: ForeignSource, text: string): void => {
  const object = parsedObject(text);
  if (!object) on.dropped.push(source);
  for (const [name, value] of Object.entries(object ?? {})) named(on, source, name, value);
};

const readList = (on: Reader, source: ForeignSource, text: string): void => {
  for (const item of text.slice(0, TEXT_MAX).split(',')) {
    const mark = item.indexOf(':');
    if (mark > 0) named(on, source, item.slice(0, mark), item.slice(mark + 1));
    else if (item.trim() !== '') keep(on, source, { tag: item }, 'true');
  }
};

/** Other members of a baggage belong to tracing and are nobody's tags. */
const readBaggage = (on: Reader, text: string): void => {
  for (const member of text.slice(0, TEXT_MAX).split(',')) {
    const [pair = ''] = member.split(';', 1);
    const mark = pair.indexOf('=');
    const dimension = mark > 0 ? dimensionNamed(pair.slice(0, mark)) : undefined;
    if (!dimension) continue;
    try {
      keep(on, 'baggage', dimension, decodeURIComponent(pair.slice(mark + 1)));
    } catch {
      on.dropped.push('baggage');
    }
  }
};

const readSite = (on: Reader, source: ForeignSource, to: Target, text: string): void => {
  const host = /^https?:\/\/([^/?#@\s]+)/i.exec(text.trim())?.[1];
  keep(on, source, to, host ?? null);
};

const readHeader = (on: Reader, source: ForeignSource, reading: Reading, text: string): void => {
  if (reading.as === 'dimension') keep(on, source, reading.to, text);
  else if (reading.as === 'tag') keep(on, source, { tag: reading.to }, text);
  else if (reading.as === 'site') readSite(on, source, reading.to, text);
  else if (reading.as === 'tenant') keep(on, source, 'tenant', text);
  else if (reading.as === 'json') readJson(on, source, text);
  else if (reading.as === 'list') readList(on, source, text);
  else readBaggage(on, text);
};

/** Claude Code puts an account, a device and a session into Anthropic's one field for a user, in one of two ways. */
const PACKED = /^user_([0-9a-f]+)_account_([0-9a-f-]*)_session_([0-9a-f-]+)$/;

const readPackedUser = (on: Reader, text: string): void => {
  const packed = PACKED.exec(text);
  const object = text.startsWith('{') ? parsedObject(text) : undefined;
  const [user, session] = packed
    ? [packed[2] || packed[1], packed[3]]
    : [object?.['account_uuid'] || object?.['device_id'], object?.['session_id']];
  keep(on, 'body', 'user', packed || object ? (user ?? '') : text);
  keep(on, 'body', 'session', session ?? '');
};

const readBody = (on: Reader, body: JsonObject): void => {
  if (typeof body['user'] === 'string') keep(on, 'body', 'user', body['user']);
  const packed = asObject(body['metadata'])?.['user_id'];
  if (typeof packed === 'string') readPackedUser(on, packed);
  const { safety_identifier: identifier } = body;
  if (typeof identifier === 'string') keep(on, 'body', 'user', identifier);
};

/**
 * Reads what callers of other gateways, coding agents and the body say of a call. Nothing here refuses: a call that works elsewhere
 * works here. A call with no such header costs one look per header.
 */
export const foreignAttribution = (
  tenant: string,
  headers: HeaderValues,
  body: JsonObject | null,
): ForeignAttribution => {
  const on: Reader = { tenant, dimensions: {}, tags: {}, dropped: [] };
  const found: { rank: number; source: ForeignSource; reading: Reading; name: string }[] = [];
  for (const name in headers) {
    const known = RANKED.get(name);
    if (known) found.push({ ...known, name });
    else if (name.startsWith(PROPERTY)) {
      named(on, 'helicone', name.slice(PROPERTY.length), headerOf(headers, name));
    }
  }
  found.sort((a, b) => a.rank - b.rank);
  for (const { source, reading, name } of found) {
    readHeader(on, source, reading, headerOf(headers, name) ?? '');
  }
  if (body) readBody(on, body);
  return on;
};
