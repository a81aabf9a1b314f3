import type { Requirement, VirtualKey } from '../../../schemas/control-record.ts';
import type { Dimensions } from '../../../schemas/usage-event.ts';
import type { Dimension } from '../../../schemas/words.ts';
import { DIMENSIONS } from '../../../schemas/words.ts';
import type { JsonObject } from './flavour.ts';
import type { ForeignSource } from './foreign-attribution.ts';
import { foreignAttribution } from './foreign-attribution.ts';
import type { HeaderValues } from './headers.ts';
import { headerOf } from './headers.ts';

/** Who a call is for, or what is wrong with how it says so. */
export type Attribution =
  | {
      ok: true;
      dimensions: Dimensions;
      tags: Record<string, string>;
      /** Other tools' values that could not be kept, each by whose they were; left out when there are none. */
      dropped?: readonly ForeignSource[];
    }
  | { ok: false; problem: string };

const isDimension = (name: string): name is Dimension =>
  (DIMENSIONS as readonly string[]).includes(name);

/** `k=v,k2=v2` or a JSON object of strings; null when it is neither. */
const parseTags = (text: string): Record<string, string> | null => {
  if (text.trim() === '') return {};
  if (text.trim().startsWith('{')) {
    try {
      const tags: unknown = JSON.parse(text);
      const values = Object.values(tags as object);
      return values.every((v) => typeof v === 'string') ? (tags as Record<string, string>) : null;
    } catch {
      return null;
    }
  }
  const tags: Record<string, string> = {};
  for (const pair of text.split(',')) {
    const mark = pair.indexOf('=');
    if (mark < 1) return null;
    tags[pair.slice(0, mark).trim().toLowerCase()] = pair.slice(mark + 1).trim();
  }
  return tags;
};

const VALUE_MAX = 128;
const TAG_NAME = /^[a-z0-9_.-]{1,64}$/;
const TAGS_MAX = 16;

/** What `TagsSchema` says, checked by hand: this runs on every call. */
const areTags = (tags: Record<string, string>): boolean => {
  const entries = Object.entries(tags);
  if (entries.length > TAGS_MAX) return false;
  return entries.every(
    ([name, value]) => TAG_NAME.test(name) && value.length <= VALUE_MAX && value.isWellFormed(),
  );
};

const headerFor = (name: Dimension): string => `x-reckoner-${name.replaceAll('_', '-')}`;
const OWN_HEADERS = DIMENSIONS.map(
  (name) => [name, headerFor(name), `x-reckoner-${name}`] as const,
);

type Said = { ok: true; dimensions: Record<string, string>; tags: Record<string, string> };

/** What our own headers say, judged strictly: a value that cannot be kept is refused rather than lost. */
const ownHeaders = (
  key: VirtualKey,
  headers: HeaderValues,
): Said | { ok: false; problem: string } => {
  const dimensions: Record<string, string> = {};
  for (const [name, header, alias] of OWN_HEADERS) {
    const value = headerOf(headers, header) ?? headerOf(headers, alias);
    if (value === undefined || value === '') continue;
    if (name === 'tenant' && value !== key.tenant) {
      return {
        ok: false,
        problem:
          'Header x-reckoner-tenant names another tenant than the key. Remove the header: the key decides.',
      };
    }
    dimensions[name] = value;
  }
  const tags = parseTags(headerOf(headers, 'x-reckoner-tags') ?? '');
  return tags
    ? { ok: true, dimensions, tags }
    : {
        ok: false,
        problem: 'Header x-reckoner-tags is neither k=v,k2=v2 nor a JSON object of strings.',
      };
};

/** Other tools' tags, as many as there is room for; the names that are taken stay. @returns how many found no room. */
const addTags = (tags: Record<string, string>, more: Readonly<Record<string, string>>): number => {
  let room = TAGS_MAX - Object.keys(tags).length;
  let lost = 0;
  for (const [name, value] of Object.entries(more)) {
    if (Object.hasOwn(tags, name)) continue;
    if (room > 0) tags[name] = value;
    else lost += 1;
    room -= 1;
  }
  return lost;
};

/**
 * Dimensions and tags of a call. What the key binds wins, then `x-reckoner-<dimension>` and `x-reckoner-tags`, then other gateways'
 * and agents' headers, then the body; the tenant is always the key's. Only our own headers can be wrong: such a call is refused,
 * since it would land on nobody.
 */
export const attribute = (
  key: VirtualKey,
  headers: HeaderValues,
  body: JsonObject | null = null,
): Attribution => {
  const said = ownHeaders(key, headers);
  if (!said.ok) return said;
  const { tags } = said;
  const dimensions = { ...said.dimensions };
  const bound = { ...(key.feature === undefined ? {} : { feature: key.feature }), ...key.bind };
  for (const [name, value] of Object.entries(bound)) {
    if (isDimension(name)) dimensions[name] = value;
    else tags[name] = value;
  }
  for (const [name, value] of Object.entries(dimensions)) {
    if (value.length >= 1 && value.length <= VALUE_MAX) continue;
    return {
      ok: false,
      problem: `Dimension "${name}" is not valid: expected 1 to 128 characters in header ${headerFor(name as Dimension)}.`,
    };
  }
  if (!areTags(tags)) {
    return {
      ok: false,
      problem:
        'Header x-reckoner-tags is not valid: expected at most 16 tags, names of a-z 0-9 _ . - up to 64 characters, values up to 128.',
    };
  }
  const foreign = foreignAttribution(key.tenant, headers, body);
  const lost = addTags(tags, foreign.tags);
  const dropped = [...foreign.dropped, ...Array<ForeignSource>(lost).fill('tags')];
  return {
    ok: true,
    dimensions: { ...foreign.dimensions, ...dimensions, tenant: key.tenant },
    tags,
    ...(dropped.length === 0 ? {} : { dropped }),
  };
};

/** What a call lacks of what tenant and key require. */
export interface Unattributed {
  /** Lacking and a reason to refuse the call. */
  refused: readonly Dimension[];
  /** Lacking and let through. */
  passed: readonly Dimension[];
}

/** Holds a call's dimensions against what is required; the requirements add up, and the stricter one decides. */
export const unattributed = (
  requirements: readonly (Requirement | undefined)[],
  dimensions: Dimensions,
): Unattributed => {
  const refused = new Set<Dimension>();
  const passed = new Set<Dimension>();
  for (const requirement of requirements) {
    for (const name of requirement?.dimensions ?? []) {
      if (dimensions[name] !== undefined) continue;
      (requirement?.otherwise === 'pass' ? passed : refused).add(name);
    }
  }
  return { refused: [...refused], passed: [...passed].filter((name) => !refused.has(name)) };
};

/** What to tell a caller whose call lacks required dimensions. */
export const requiredMessage = (missing: readonly Dimension[]): string =>
  `This key's calls must say for whom they are made; missing: ${missing.join(', ')}. Send ${missing.map(headerFor).join(', ')}, or have the key bound to them.`;
