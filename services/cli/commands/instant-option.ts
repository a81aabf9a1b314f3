import { InstantSchema } from '../../../schemas/instant.ts';
import { ReckonerError } from '../../platform/errors.ts';

/**
 * An instant as people type it: a UTC day (its first instant), or an ISO instant with or without milliseconds.
 * @throws ReckonerError CONFIG_INVALID naming the option.
 */
export const instantOption = (name: string, text: string): string => {
  const full = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00.000Z` : text;
  const withMs = /T\d{2}:\d{2}:\d{2}Z$/.test(full) ? full.replace('Z', '.000Z') : full;
  // A day that its month does not have would pass as one of the next month.
  const isReal = (): boolean => new Date(withMs).toISOString() === withMs;
  if (InstantSchema.safeParse(withMs).success && isReal()) return withMs;
  throw new ReckonerError(
    'CONFIG_INVALID',
    `${name} is ${JSON.stringify(text)}; expected a UTC day such as 2026-03-14 or an instant such as 2026-03-14T09:30:00Z.`,
  );
};
