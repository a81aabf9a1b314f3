import type { OpenItems } from '../../schemas/control-record.ts';
import type { Period } from '../../schemas/instant.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString } from '../platform/warehouse.ts';

/** What of an accounting month is not settled. Reads the month's rows. */
export const readOpenItems = async (warehouse: Warehouse, period: Period): Promise<OpenItems> => {
  const month = sqlString(period);
  const number = period.replace('-', '');
  const [row] = await warehouse.query<Record<keyof OpenItems, string>>(
    `SELECT
      (SELECT uniqExact(event_id) FROM ledger_entries FINAL
        WHERE period = ${month} AND kind = 'charge' AND outcome = 'unrated' AND (event_id, revision) NOT IN
          (SELECT event_id, revision FROM ledger_entries WHERE period = ${month} AND kind = 'reversal')) AS unrated,
      (SELECT count() FROM quarantine FINAL WHERE toYYYYMM(event_ts) = ${number}) AS quarantined,
      (SELECT count() FROM usage_archive FINAL
        WHERE toYYYYMM(coalesce(provider_completed_at, event_ts)) = ${number}
          AND event_id NOT IN (SELECT event_id FROM ledger_entries WHERE period = ${month})) AS not_rated_yet`,
  );
  return {
    unrated: Number(row?.unrated),
    quarantined: Number(row?.quarantined),
    not_rated_yet: Number(row?.not_rated_yet),
  };
};
