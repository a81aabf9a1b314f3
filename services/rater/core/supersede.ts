import { canonicalAmount } from '../../../pricing/money.ts';
import { entryId } from '../../../schemas/ids.ts';
import type { Period } from '../../../schemas/instant.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import { postedAs } from './posting-period.ts';
import { reversalOf } from './rerate.ts';

/** What of a ledger entry its attempt does not decide; absent text is empty. Money and quantities as decimal strings. */
export interface StandingEntry {
  event_id: string;
  revision: number;
  kind: 'charge' | 'reversal';
  outcome: 'rated' | 'unrated';
  unrated_reason: RatedUsage['unrated_reason'] | '';
  unrated_detail: string;
  supersedes: string;
  closed_at: string;
  period: string;
  posting_period: string;
  boot_id: string;
  sequence: number;
  model: string;
  tier: string;
  geo: string;
  ending: RatedUsage['ending'];
  provider_request_id: string;
  book: string;
  assumed: NonNullable<RatedUsage['assumed']>;
  flags: NonNullable<RatedUsage['flags']>;
  charges: RatedUsage['charges'];
  total_usd: string | null;
  ceiling_usd: string | null;
}

/** The newest charge that no reversal takes back. */
const standingOf = (entries: readonly StandingEntry[]): StandingEntry | undefined => {
  const reversed = new Set(
    entries.filter(({ kind }) => kind === 'reversal').map(({ revision }) => revision),
  );
  return entries
    .filter(({ kind, revision }) => kind === 'charge' && !reversed.has(revision))
    .sort((a, b) => b.revision - a.revision)[0];
};

const stated = <Name extends string>(name: Name, value: string | undefined) =>
  value === undefined || value === '' ? {} : { [name]: value };

/** What every fact and every entry of one attempt say alike. */
export type AttemptFacts = Pick<
  RatedUsage,
  | 'attempt_id'
  | 'request_id'
  | 'event_ts'
  | 'proxy_id'
  | 'provider'
  | 'upstream'
  | 'key_id'
  | 'credential_pool_id'
  | 'byo_key'
  | 'dimensions'
  | 'tags'
> & { reservation_id?: string | undefined };

/** The charge as it was: what it shares with the facts of its attempt, and what it said itself. */
export const restoredCharge = (entry: StandingEntry, attempt: AttemptFacts): RatedUsage => {
  const { attempt_id, request_id, event_ts, proxy_id, provider, upstream } = attempt;
  const { key_id, credential_pool_id, byo_key, dimensions, tags } = attempt;
  return {
    entry_id: entryId(entry.event_id, entry.revision, 'charge'),
    event_id: entry.event_id,
    revision: entry.revision,
    kind: 'charge',
    outcome: entry.outcome,
    ...stated('unrated_reason', entry.unrated_reason),
    ...stated('unrated_detail', entry.unrated_detail),
    ...{ attempt_id, request_id },
    ...stated('supersedes', entry.supersedes),
    ...{ event_ts, closed_at: entry.closed_at },
    ...{ period: entry.period, posting_period: entry.posting_period },
    ...{ proxy_id, boot_id: entry.boot_id, sequence: entry.sequence },
    ...{ provider, upstream, model: entry.model },
    ...stated('tier', entry.tier),
    ...stated('geo', entry.geo),
    ...{ ending: entry.ending, key_id, credential_pool_id, byo_key },
    ...stated('reservation_id', attempt.reservation_id),
    ...stated('provider_request_id', entry.provider_request_id),
    ...{ dimensions, tags },
    ...stated('book', entry.book),
    ...(entry.assumed.length === 0 ? {} : { assumed: entry.assumed }),
    ...(entry.flags.length === 0 ? {} : { flags: entry.flags }),
    charges: entry.charges,
    ...(entry.total_usd === null ? {} : { total_usd: canonicalAmount(entry.total_usd) }),
    ...(entry.ceiling_usd === null ? {} : { ceiling_usd: canonicalAmount(entry.ceiling_usd) }),
  };
};

/**
 * What takes the place of a superseded entry: the reversal of the charge that stands, where one does, and the later charge. Each
 * is posted where it belongs, if that month is open.
 * @param entries all that the ledger holds of the superseded event; at least one.
 */
export const replacement = (
  entries: readonly StandingEntry[],
  later: RatedUsage,
  postingPeriodOf: (period: Period) => Period,
): RatedUsage[] => {
  const charge = postedAs(later, postingPeriodOf);
  const standing = standingOf(entries);
  if (!standing) return [charge];
  const posting = postingPeriodOf(standing.posting_period);
  return [reversalOf(restoredCharge(standing, later), posting), charge];
};
