import { z } from 'zod';
import { SecretReferenceSchema } from '../../schemas/control-record.ts';
import { HouseConfigSchema } from '../../schemas/house-config.ts';
import { nearName } from './near-name.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

const PROBLEMS_MAX = 20;

/** The schemas behind defaults, optionals and unions. */
const withoutWrapping = (schema: unknown): unknown[] => {
  if (schema instanceof z.ZodUnion && schema !== SecretReferenceSchema) {
    return schema.options.flatMap(withoutWrapping);
  }
  if (
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional
  ) {
    return withoutWrapping(schema.unwrap());
  }
  return [schema];
};

/** What the configuration may say at a place; several where it depends on a kind. */
const schemasAt = (path: Path): unknown[] =>
  path.reduce<unknown[]>(
    (schemas, step) =>
      schemas.flatMap((schema) => {
        if (schema instanceof z.ZodArray) return withoutWrapping(schema.element);
        const next = schema instanceof z.ZodObject ? schema.shape[step as string] : undefined;
        return next === undefined ? [] : withoutWrapping(next);
      }),
    withoutWrapping(HouseConfigSchema),
  );

const fieldsAt = (path: Path): string[] =>
  schemasAt(path).flatMap((schema) =>
    schema instanceof z.ZodObject ? Object.keys(schema.shape) : [],
  );

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** A place in words of the file: an element of a list by its id, where it says one. */
const placeOf = (path: Path, raw: unknown): string => {
  let value = raw;
  const names = path.map((step) => {
    value = (value as Record<PropertyKey, unknown> | null | undefined)?.[step];
    const id = typeof step === 'number' ? (value as { id?: unknown } | null)?.id : undefined;
    return typeof id === 'string' && ID.test(id) ? id : String(step);
  });
  return names.join('.') || '(top level)';
};

const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;

const ofUnion = (issue: Extract<Issue, { code: 'invalid_union' }>): string => {
  if (schemasAt(issue.path).includes(SecretReferenceSchema)) {
    return 'expected { env: NAME } or { file: path }; never the secret itself';
  }
  const values = issue.errors.flatMap((errors) =>
    errors.flatMap((error) => (error.code === 'invalid_value' ? error.values.map(String) : [])),
  );
  return values.length > 0 ? `expected ${listed(values)}` : issue.message;
};

const ofUnknownKeys = (issue: Extract<Issue, { code: 'unrecognized_keys' }>): string => {
  const fields = fieldsAt(issue.path);
  const keys = issue.keys.map((key) => {
    const meant = nearName(key, fields);
    return `${JSON.stringify(key)} is not known here${meant === null ? '' : `; did you mean ${JSON.stringify(meant)}?`}`;
  });
  return keys.join(', ');
};

const messageOf = (issue: Issue): string => {
  if (issue.code === 'invalid_union') return ofUnion(issue);
  if (issue.code === 'unrecognized_keys') return ofUnknownKeys(issue);
  return issue.message;
};

/**
 * Everything that is wrong with a configuration, a line each: place and what was expected. Never a value of the file: it may be a secret
 * in the wrong place.
 * @param raw what was validated, to name records by their ids.
 */
export const describeIssues = (error: z.ZodError, raw: unknown, source: string): string => {
  const lines = error.issues
    .slice(0, PROBLEMS_MAX)
    .map((issue) => `  ${placeOf(issue.path, raw)}: ${messageOf(issue)}`);
  const rest = error.issues.length - lines.length;
  const more = rest > 0 ? `\n  … and ${rest} more` : '';
  return `${source} has ${error.issues.length} problem(s):\n${lines.join('\n')}${more}`;
};
