import type { VirtualKey } from '../../../schemas/control-record.ts';
import type { Dimensions } from '../../../schemas/usage-event.ts';
import type { Dimension } from '../../../schemas/words.ts';
import { DIMENSIONS } from '../../../schemas/words.ts';
import type { HeaderValues } from './headers.ts';
import { headerOf } from './headers.ts';

/** Who a call is for, or what is wrong with how it says so. */
export type Attribution =
  | { ok: true; dimensions: Dimensions; tags: Record<string, string> }
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

/**
 * Dimensions and tags of a call: from the key, then from `x-reckoner-<dimension>` and `x-reckoner-tags`. What the key binds wins;
 * the tenant is always the key's. A value that cannot be kept is refused rather than lost: the call would land on nobody.
 */
export const attribute = (key: VirtualKey, headers: HeaderValues): Attribution => {
  const bound = { ...(key.feature === undefined ? {} : { feature: key.feature }), ...key.bind };
  const dimensions: Record<string, string> = {};
  for (const name of DIMENSIONS) {
    const header = `x-reckoner-${name.replaceAll('_', '-')}`;
    const value = headerOf(headers, header) ?? headerOf(headers, `x-reckoner-${name}`);
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
  if (!tags) {
    return {
      ok: false,
      problem: 'Header x-reckoner-tags is neither k=v,k2=v2 nor a JSON object of strings.',
    };
  }
  for (const [name, value] of Object.entries(bound)) {
    if (isDimension(name)) dimensions[name] = value;
    else tags[name] = value;
  }
  for (const [name, value] of Object.entries(dimensions)) {
    if (value.length >= 1 && value.length <= VALUE_MAX) continue;
    return {
      ok: false,
      problem: `Dimension "${name}" is not valid: expected 1 to 128 characters in header x-reckoner-${name.replaceAll('_', '-')}.`,
    };
  }
  if (!areTags(tags)) {
    return {
      ok: false,
      problem:
        'Header x-reckoner-tags is not valid: expected at most 16 tags, names of a-z 0-9 _ . - up to 64 characters, values up to 128.',
    };
  }
  return { ok: true, dimensions: { ...dimensions, tenant: key.tenant }, tags };
};
