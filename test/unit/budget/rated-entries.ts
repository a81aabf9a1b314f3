import type { Budget } from '../../../schemas/budget.ts';
import type { EnvelopeOf } from '../../../schemas/envelope.ts';
import { encodeEnvelope } from '../../../schemas/envelope.ts';
import { entryId } from '../../../schemas/ids.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import { RatedUsageSchema } from '../../../schemas/rated-usage.ts';

/** A UUID that tells its number: the twelve last digits. */
export const uuid = (number: number): string =>
  `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`;

export const BOOT = uuid(999);

export interface EntryParts {
  tenant?: string;
  sequence: number;
  usd?: string;
  event_ts?: string;
  closed_at?: string;
  revision?: number;
  kind?: 'charge' | 'reversal';
  byo_key?: boolean;
}

/** A rated entry of the event with that sequence; without `usd` it is unrated. */
export const ratedEntry = (parts: EntryParts): RatedUsage => {
  const event = uuid(parts.sequence);
  const revision = parts.revision ?? 1;
  const kind = parts.kind ?? 'charge';
  const eventTs = parts.event_ts ?? '2026-11-21T10:00:00.000Z';
  return RatedUsageSchema.parse({
    entry_id: entryId(event, revision, kind),
    event_id: event,
    revision,
    kind,
    ...(parts.usd === undefined
      ? { outcome: 'unrated', unrated_reason: 'unknown_model' }
      : { outcome: 'rated', total_usd: parts.usd }),
    attempt_id: event,
    request_id: event,
    event_ts: eventTs,
    closed_at: parts.closed_at ?? eventTs,
    period: eventTs.slice(0, 7),
    posting_period: eventTs.slice(0, 7),
    proxy_id: 'proxy-1',
    boot_id: BOOT,
    sequence: parts.sequence,
    provider: 'openai',
    upstream: 'openai',
    model: 'gpt-4o-mini-2024-07-18',
    ending: 'reported',
    key_id: 'key-1',
    credential_pool_id: 'pool-1',
    byo_key: parts.byo_key ?? false,
    dimensions: { tenant: parts.tenant ?? 'acme' },
    tags: {},
    charges: [],
  });
};

export const budgetOf = (parts: Partial<Budget> & { limit_usd: string }): Budget => ({
  id: 'acme-month',
  tenant: 'acme',
  window: 'month',
  warn_at_percent: 80,
  ...parts,
});

/** The bytes of a rated entry as they stand in the log. */
export const ratedBytes = (entry: RatedUsage): Uint8Array =>
  encodeEnvelope(
    'ratedUsage',
    {
      id: entry.entry_id,
      source: '/rater',
      subject: entry.dimensions.tenant,
      time: entry.event_ts,
    },
    entry,
  );

/** The bytes of a control record for a budget. */
export const budgetRecordBytes = (budget: Budget, deleted = false): Uint8Array =>
  encodeEnvelope(
    'controlRecord',
    {
      id: `budget/${budget.id}`,
      source: '/test',
      subject: budget.tenant,
      time: '2026-11-01T00:00:00.000Z',
    },
    { kind: 'budget', id: budget.id, deleted, body: budget } as EnvelopeOf<'controlRecord'>['data'],
  );
