import { z } from 'zod';

/** Ids of our own: UUIDv7, ordered by the time they were made. Never a provider's or a client's id. */
export const UuidSchema = z
  .string()
  .regex(
    /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    'expected a lower-case UUID',
  );

/** A name people choose: tenants, keys, upstreams, budgets, features. Safe in paths, headers, SQL literals and metrics. */
export const NameSchema = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/i,
    'expected a name of 1 to 64 letters, digits, dots, dashes or underscores, starting and ending with a letter or digit',
  );

/** `event_id / revision / kind`: the identity of one ledger entry. */
export const EntryIdSchema = z
  .string()
  .regex(
    /^[0-9a-f-]{36}\/[1-9]\d{0,5}\/(charge|reversal)$/,
    'expected an entry id: event_id/revision/charge or event_id/revision/reversal',
  );

export const entryId = (eventId: string, revision: number, kind: 'charge' | 'reversal'): string =>
  `${eventId}/${revision}/${kind}`;
