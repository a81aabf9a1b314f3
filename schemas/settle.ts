import type { z } from 'zod';

/** What a value is to a schema that it may not fit. Only zod can tell. */
export const NOT_SURE = Symbol('not sure');

/**
 * Takes what `JSON.parse` gave. Answers with what the schema's `parse` would, changing the value in place where its keys lie in another
 * order; or NOT_SURE, which says nothing about the value.
 */
export type Settle = (value: unknown) => unknown;

type Schema = z.core.$ZodType;
type Check = z.core.$ZodCheck<never>;
/** What is read of zod's definitions. */
interface Definition {
  type: string;
  checks?: readonly Check[];
  /** A kind of its own, such as an e-mail address, checked by the schema itself. */
  format?: string;
  coerce?: boolean;
  shape?: Record<string, Schema>;
  catchall?: Schema;
  innerType?: Schema;
  element?: Schema;
  options?: readonly Schema[];
  entries?: Record<string, unknown>;
  values?: readonly unknown[];
  keyType?: Schema;
  valueType?: Schema;
  partial?: boolean;
  mode?: string;
}
interface CheckDefinition {
  check: string;
  type?: string;
  format?: string;
  pattern?: RegExp;
  minimum?: number;
  maximum?: number;
  value?: number;
  inclusive?: boolean;
  fn?: (value: unknown) => unknown;
}
type Passes = (value: never) => boolean;

const definitionOf = (schema: Schema): Definition => schema._zod.def as unknown as Definition;
const never: Settle = () => NOT_SURE;

/** Lengths are counted in characters; units of UTF-16 are at most twice as many. */
const isLongEnough = (minimum: number) => (text: string) =>
  text.length >= minimum * 2 || (minimum <= 1 && text.length >= minimum);

/** A check as a predicate that is true only where zod's passes; null for one that is not known here. */
const passesOf = (check: Check): Passes | null => {
  const def = check._zod.def as unknown as CheckDefinition;
  const { pattern, minimum = 0, maximum = 0, value = 0, fn, inclusive } = def;
  switch (def.check) {
    case 'string_format':
      if (def.format !== 'regex' || pattern === undefined || pattern.global || pattern.sticky)
        return null;
      return (text: string) => pattern.test(text);
    case 'min_length':
      return isLongEnough(minimum);
    case 'max_length':
      return (text: string) => text.length <= maximum;
    case 'greater_than':
      return inclusive ? (it: number) => it >= value : (it: number) => it > value;
    case 'less_than':
      return inclusive ? (it: number) => it <= value : (it: number) => it < value;
    case 'custom':
      return def.type === 'custom' && fn !== undefined ? (it) => Boolean(fn(it)) : null;
    default:
      return null;
  }
};

/** `settle` followed by the schema's own checks, which zod also runs on what it has made of the value. */
const withChecks = (def: Definition, settle: Settle): Settle => {
  const checks = (def.checks ?? []).map(passesOf);
  if (checks.includes(null) || def.coerce) return never;
  const passes = checks as ((value: unknown) => boolean)[];
  if (passes.length === 0) return settle;
  return (value) => {
    const settled = settle(value);
    if (settled === NOT_SURE) return NOT_SURE;
    for (const pass of passes) if (!pass(settled)) return NOT_SURE;
    return settled;
  };
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const inOrder = (
  value: Record<string, unknown>,
  names: Iterable<string>,
): Record<string, unknown> => {
  const ordered: Record<string, unknown> = {};
  for (const name of names) if (Object.hasOwn(value, name)) ordered[name] = value[name];
  return ordered;
};

/** Only strict objects: others keep or drop keys in ways of their own. */
const objectSettle = ({ shape = {}, catchall }: Definition): Settle => {
  if (catchall === undefined || definitionOf(catchall).type !== 'never') return never;
  const fields = new Map(
    Object.entries(shape).map(([name, schema], at) => {
      const isOptional = definitionOf(schema).type === 'optional';
      return [name, { at, isOptional, settle: settleOf(schema) }];
    }),
  );
  const required = [...fields.values()].filter(({ isOptional }) => !isOptional).length;
  return (value) => {
    if (!isObject(value)) return NOT_SURE;
    let found = 0;
    let last = -1;
    let isOrdered = true;
    for (const name in value) {
      const field = fields.get(name);
      if (field === undefined) return NOT_SURE;
      const settled = field.settle(value[name]);
      if (settled === NOT_SURE) return NOT_SURE;
      if (settled !== value[name]) value[name] = settled;
      if (!field.isOptional) found += 1;
      if (field.at < last) isOrdered = false;
      last = field.at;
    }
    if (found !== required) return NOT_SURE;
    return isOrdered ? value : inOrder(value, fields.keys());
  };
};

const recordSettle = (def: Definition): Settle => {
  const { keyType, valueType } = def;
  if (keyType === undefined || valueType === undefined || def.mode !== undefined) return never;
  // A record over a list of keys asks for every one of them, unless it is partial.
  if (keyType._zod.values !== undefined && def.partial !== true) return never;
  const key = settleOf(keyType);
  const item = settleOf(valueType);
  return (value) => {
    if (!isObject(value)) return NOT_SURE;
    for (const name in value) {
      if (name === '__proto__' || name === 'constructor') return NOT_SURE;
      if (key(name) === NOT_SURE) return NOT_SURE;
      const settled = item(value[name]);
      if (settled === NOT_SURE) return NOT_SURE;
      if (settled !== value[name]) value[name] = settled;
    }
    return value;
  };
};

const arraySettle = (element: Settle): Settle => {
  return (value) => {
    if (!Array.isArray(value)) return NOT_SURE;
    for (let at = 0; at < value.length; at += 1) {
      const settled = element(value[at]);
      if (settled === NOT_SURE) return NOT_SURE;
      value[at] = settled;
    }
    return value;
  };
};

const unionSettle = (options: readonly Settle[]): Settle => {
  return (value) => {
    for (const option of options) {
      const settled = option(value);
      if (settled !== NOT_SURE) return settled;
    }
    return NOT_SURE;
  };
};

const oneOf = (values: readonly unknown[]): Settle => {
  const known = new Set(values);
  return (value) => (known.has(value) ? value : NOT_SURE);
};

const whenPlain = (schema: Schema): boolean => {
  const { type } = definitionOf(schema);
  return type === 'string' || type === 'enum' || type === 'literal';
};

const bareSettle = (def: Definition): Settle => {
  switch (def.type) {
    case 'string':
      if (def.format !== undefined) return never;
      return (value) => (typeof value === 'string' ? value : NOT_SURE);
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? value : NOT_SURE);
    case 'number':
      // Only whole numbers: those of `z.int()`.
      if (def.format !== undefined && def.format !== 'safeint') return never;
      return (value) => (Number.isSafeInteger(value) ? value : NOT_SURE);
    case 'literal':
      return oneOf(def.values ?? []);
    case 'enum':
      return oneOf(Object.values(def.entries ?? {}));
    case 'object':
      return objectSettle(def);
    case 'record':
      return recordSettle(def);
    case 'array':
      return def.element ? arraySettle(settleOf(def.element)) : never;
    case 'union':
      // Of texts only: an object that two options take could be read in either way.
      return def.options?.every(whenPlain) ? unionSettle(def.options.map(settleOf)) : never;
    case 'optional':
      return def.innerType ? settleOf(def.innerType) : never;
    default:
      return never;
  }
};

/**
 * A quick way to what `schema.parse` says of values that fit. zod stays the judge: whatever is unusual, in the value or in the schema, is
 * NOT_SURE. Of a record of usage it takes a fifth of zod's time, which every consumer of every record pays.
 */
export const settleOf = (schema: Schema): Settle => {
  const def = definitionOf(schema);
  return withChecks(def, bareSettle(def));
};
