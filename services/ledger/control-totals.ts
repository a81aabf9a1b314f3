import type { Warehouse } from '../platform/warehouse.ts';

/** One run of one proxy, and whether its facts are all there. */
export interface SequenceRun {
  proxy_id: string;
  boot_id: string;
  /** Smallest and greatest sequence archived; 1 and `events` when nothing is missing. */
  first: string;
  last: string;
  events: string;
  /** Numbers between 1 and `last` that no event carries. */
  missing: string;
  /** Events that share a number with another. */
  repeated: string;
}

/** Counts as strings of 64-bit integers, money as decimal strings in USD. Everything is read at its own place. */
export interface ControlTotals {
  events: string;
  /** Events with a ledger entry, by what their newest revision says. */
  rated: string;
  unrated: string;
  /** Facts set aside, by stream, and those among them whose id has no accepted fact. */
  quarantined: { usage: string; rated: string; rated_without_entry: string };
  /** Archived events that have neither an entry nor a quarantined one: waiting for the rater, or lost. */
  events_without_entry: string;
  /** Entries of events that the archive does not have. */
  entries_without_event: string;
  charges_usd: string;
  rollup_usd: string;
  /** charges_usd minus rollup_usd; `0` unless rollups are behind or wrong. */
  difference_usd: string;
  sequences: SequenceRun[];
}

const MAX_RUNS = 10_000;

const COUNTS = `SELECT
  (SELECT count() FROM usage_archive FINAL) AS events,
  (SELECT count() FROM ledger_entries FINAL WHERE kind = 'charge' AND revision = 1) AS entered,
  (SELECT uniqExact(event_id) FROM ledger_entries FINAL
    WHERE kind = 'charge' AND outcome = 'unrated'
      AND (event_id, revision) NOT IN (SELECT event_id, revision FROM ledger_entries WHERE kind = 'reversal')
      AND event_id NOT IN (SELECT event_id FROM ledger_entries WHERE kind = 'charge' AND outcome = 'rated' AND revision > 1)
  ) AS unrated,
  (SELECT count() FROM quarantine FINAL WHERE stream = 'usage') AS quarantined_usage,
  (SELECT count() FROM quarantine FINAL WHERE stream = 'rated') AS quarantined_rated,
  (SELECT uniqExact(fact_id) FROM quarantine WHERE stream = 'rated' AND fact_id LIKE '%/1/charge'
    AND fact_id NOT IN (SELECT entry_id FROM ledger_entries)) AS rated_without_entry,
  (SELECT count() FROM ledger_entries FINAL WHERE kind = 'charge' AND revision = 1
    AND event_id NOT IN (SELECT event_id FROM usage_archive)) AS entries_without_event`;

const MONEY = `SELECT
  (SELECT sum(arraySum(charge_amounts)) FROM ledger_entries FINAL WHERE outcome = 'rated') AS charges_usd,
  (SELECT sum(amount_usd) FROM rollup_hourly FINAL) AS rollup_usd,
  charges_usd - rollup_usd AS difference_usd`;

const SEQUENCES = `SELECT proxy_id, boot_id, toString(min(sequence)) AS first, toString(max(sequence)) AS last,
  toString(count()) AS events, toString(max(sequence) - groupBitmap(sequence)) AS missing,
  toString(count() - groupBitmap(sequence)) AS repeated
FROM usage_archive FINAL GROUP BY proxy_id, boot_id ORDER BY proxy_id, boot_id LIMIT ${MAX_RUNS}`;

interface Counts {
  events: string;
  entered: string;
  unrated: string;
  quarantined_usage: string;
  quarantined_rated: string;
  rated_without_entry: string;
  entries_without_event: string;
}

type Money = Pick<ControlTotals, 'charges_usd' | 'rollup_usd' | 'difference_usd'>;

/**
 * The proof that nothing is lost or doubled between the archive, the ledger and the rollups: events = rated + unrated +
 * quarantined, charges = rollups, every run of every proxy without a hole. Reads whole tables: seconds on tens of millions of rows.
 */
export const readControlTotals = async (warehouse: Warehouse): Promise<ControlTotals> => {
  const [counts] = await warehouse.query<Counts>(COUNTS);
  const [money] = await warehouse.query<Money>(MONEY);
  if (!counts || !money) throw new TypeError('an aggregate without GROUP BY answers with one row');
  const entered = BigInt(counts.entered);
  const withEvent = entered - BigInt(counts.entries_without_event);
  return {
    events: counts.events,
    rated: String(entered - BigInt(counts.unrated)),
    unrated: counts.unrated,
    quarantined: {
      usage: counts.quarantined_usage,
      rated: counts.quarantined_rated,
      rated_without_entry: counts.rated_without_entry,
    },
    events_without_entry: String(
      BigInt(counts.events) - withEvent - BigInt(counts.rated_without_entry),
    ),
    entries_without_event: counts.entries_without_event,
    ...money,
    sequences: await warehouse.query<SequenceRun>(SEQUENCES),
  };
};
