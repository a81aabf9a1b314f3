-- One row per bucket (tenant, hour): all its groups are parallel arrays in the row. A recompute replaces the row as a whole, so a
-- group that is gone from the ledger is gone here too, and a crash leaves either the old bucket or the new one.
CREATE TABLE IF NOT EXISTS rollup_hourly
(
    tenant LowCardinality(String) COMMENT 'Tenant',
    hour DateTime64(3, 'UTC') COMMENT 'Start of the UTC hour of event_ts',
    generation UInt64 COMMENT 'Last ingest_sequence of the ledger that the recompute saw; the greatest is in force',
    amount_usd Decimal(38, 18) COMMENT 'Sum of the bucket in USD',
    group_periods Array(LowCardinality(String)) COMMENT 'Per group: accounting month',
    group_features Array(LowCardinality(String)) COMMENT 'Per group: feature, or empty',
    group_upstreams Array(LowCardinality(String)) COMMENT 'Per group: upstream',
    group_providers Array(LowCardinality(String)) COMMENT 'Per group: provider',
    group_models Array(LowCardinality(String)) COMMENT 'Per group: model priced',
    group_tiers Array(LowCardinality(String)) COMMENT 'Per group: tier, or empty',
    group_meters Array(LowCardinality(String)) COMMENT 'Per group: token class or unit',
    group_byo_keys Array(Bool) COMMENT 'Per group: whether the customer brought the key',
    group_quantities Array(Decimal(38, 6)) COMMENT 'Per group: sum of quantities',
    group_amounts Array(Decimal(38, 18)) COMMENT 'Per group: sum of amounts in USD',
    group_lines Array(UInt64) COMMENT 'Per group: charges summed'
)
ENGINE = ReplacingMergeTree(generation)
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, hour)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Hourly spend, recomputed from the ledger, never summed up';

CREATE TABLE IF NOT EXISTS rollup_watermark
(
    name LowCardinality(String) COMMENT 'Which rollup',
    ingest_sequence UInt64 COMMENT 'Every ledger row up to here is in the rollup',
    advanced_at DateTime64(3, 'UTC') COMMENT 'When'
)
ENGINE = ReplacingMergeTree(ingest_sequence)
ORDER BY name
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'How far the rollups have come in the ledger';
