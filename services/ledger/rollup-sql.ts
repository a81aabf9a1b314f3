import { sqlString } from '../platform/warehouse.ts';
import type { Bucket } from './core/fact.ts';

const HOUR_MS = 3_600_000;

const instant = (text: string): string => `toDateTime64(${sqlString(text)}, 3, 'UTC')`;

const KEYS = ['period', 'feature', 'upstream', 'provider', 'model', 'tier', 'meter', 'byo_key'];

/**
 * One statement that recomputes whole buckets from the ledger. Every bucket named gets a row, also one the ledger has nothing
 * for any more, so that what is gone there goes here.
 */
export const recomputeStatement = (buckets: readonly Bucket[], generation: number): string => {
  const hours = buckets.map((bucket) => bucket.hour).sort();
  const first = hours[0] ?? '';
  const end = new Date(Date.parse(hours.at(-1) ?? '') + HOUR_MS).toISOString();
  const pairs = buckets.map(({ tenant, hour }) => `(${sqlString(tenant)}, ${instant(hour)})`);
  const arrays = KEYS.map((key) => `groupArrayIf(${key}, meter != '')`).join(', ');
  return `INSERT INTO rollup_hourly (tenant, hour, generation, amount_usd, group_periods, group_features,
    group_upstreams, group_providers, group_models, group_tiers, group_meters, group_byo_keys,
    group_quantities, group_amounts, group_lines)
SELECT tenant, hour, ${generation}, sum(amount), ${arrays},
    groupArrayIf(quantity, meter != ''), groupArrayIf(amount, meter != ''), groupArrayIf(lines, meter != '')
FROM
(
    SELECT tenant, toDateTime64(toStartOfHour(event_ts), 3, 'UTC') AS hour, period, feature, upstream, provider,
        charge_model AS model, tier, charge_meter AS meter, byo_key,
        sum(charge_quantity) AS quantity, sum(charge_amount) AS amount, count() AS lines
    FROM ledger_entries FINAL
    ARRAY JOIN charge_meters AS charge_meter, charge_models AS charge_model,
        charge_quantities AS charge_quantity, charge_amounts AS charge_amount
    WHERE outcome = 'rated' AND event_ts >= ${instant(first)} AND event_ts < ${instant(end)}
        AND (tenant, toDateTime64(toStartOfHour(event_ts), 3, 'UTC')) IN (${pairs.join(', ')})
        AND tenant IN (${[...new Set(buckets.map(({ tenant }) => sqlString(tenant)))].join(', ')})
    GROUP BY ALL
    UNION ALL
    SELECT bucket.1, bucket.2, '', '', '', '', '', '', '', false,
        toDecimal128(0, 6), toDecimal128(0, 18), 0
    FROM (SELECT arrayJoin([${pairs.join(', ')}]) AS bucket)
)
GROUP BY tenant, hour`;
};
