import type { JsonObject } from './flavour.ts';
import { sourceAt } from './json-span.ts';

/** A usage object that states something no count can be: negative, broken, text, or sums that do not add up. */
export class UnreadableUsage extends Error {
  constructor() {
    super('The usage object states figures that cannot be counts or do not add up.');
    this.name = 'UnreadableUsage';
  }
}

/**
 * A stated count. Absent and null are "not stated" and stay apart from zero.
 * @throws UnreadableUsage when the value is there but not a count.
 */
export const statedCount = (object: JsonObject | null, name: string): number | undefined => {
  const value = object?.[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new UnreadableUsage();
  }
  return value;
};

/** A count the flavour cannot do without. */
export const requiredCount = (object: JsonObject | null, name: string): number => {
  const value = statedCount(object, name);
  if (value === undefined) throw new UnreadableUsage();
  return value;
};

/** @throws UnreadableUsage unless the condition holds. */
export const mustHold = (condition: boolean): void => {
  if (!condition) throw new UnreadableUsage();
};

const ENUM_LIKE = /^[A-Za-z0-9_.:/-]{1,64}$/;
const DEPTH_MAX = 8;
const ENTRIES_MAX = 200;
const RAW_MAX = 65_536;

const structure = (value: unknown, depth: number): unknown => {
  if (typeof value === 'string') return ENUM_LIKE.test(value) ? value : '…';
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= DEPTH_MAX) return '…';
  if (Array.isArray(value)) {
    return value.slice(0, ENTRIES_MAX).map((item) => structure(item, depth + 1));
  }
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, ENTRIES_MAX)
      .map(([key, item]) => [ENUM_LIKE.test(key) ? key : '…', structure(item, depth + 1)]),
  );
};

const isPlain = (value: unknown, depth: number): boolean => {
  if (typeof value === 'string') return ENUM_LIKE.test(value);
  if (typeof value !== 'object' || value === null) return true;
  if (depth >= DEPTH_MAX) return false;
  return Array.isArray(value)
    ? value.every((item) => isPlain(item, depth + 1))
    : Object.entries(value).every(([key, item]) => ENUM_LIKE.test(key) && isPlain(item, depth + 1));
};

/**
 * What is kept of a usage object: its source bytes, or, when it holds text that is not a plain word, only its structure: key
 * paths, numbers and enum-like words. So customer content cannot get into an event this way.
 */
export const keepRawUsage = (source: string | null, parsed: unknown): string | undefined => {
  if (parsed === undefined || parsed === null) return undefined;
  if (source !== null && source.length <= RAW_MAX && isPlain(parsed, 0)) return source;
  const text = JSON.stringify(structure(parsed, 0));
  return text.length <= RAW_MAX ? text : undefined;
};

/**
 * A stated quantity that may have a fraction, such as seconds, as a decimal string of at most six places.
 * @throws UnreadableUsage when the value is there but no such quantity.
 */
export const statedQuantity = (object: JsonObject | null, name: string): string | undefined => {
  const value = object?.[name];
  if (value === undefined || value === null) return undefined;
  mustHold(typeof value === 'number' && value >= 0 && value < 1e12);
  const text = (value as number).toFixed(6);
  return text.replace(/\.?0+$/, '');
};

/** Source text of the named members put together as one object, for replies that have no usage object of their own. */
export const keepRawMembers = (source: string, names: readonly string[]): string | undefined => {
  const members = names.flatMap((name) => {
    const value = sourceAt(source, [name]);
    return value === null || value.length > 64 ? [] : [`"${name}":${value}`];
  });
  return members.length === 0 ? undefined : `{${members.join(',')}}`;
};
