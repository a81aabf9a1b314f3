-- Compacted topics forget; this table does not. Every version of every control record and budget signal that was read.
CREATE TABLE IF NOT EXISTS control_history
(
    topic LowCardinality(String) COMMENT 'control.records.v1 or budget.signals.v1',
    record_key String COMMENT 'kind/id of a control record, or the scope of a signal',
    recorded_at DateTime64(3, 'UTC') COMMENT 'Time the record states for itself',
    content_hash String COMMENT 'First 128 bits of SHA-256 over the record bytes, hex',
    kind LowCardinality(String) COMMENT 'tenant, key, upstream, budget, mapping, or signal',
    envelope_id String COMMENT 'Id of the record',
    subject String COMMENT 'Tenant, or house',
    version UInt64 COMMENT 'Version of a signal; 0 for a control record',
    data_json String COMMENT 'The record without its envelope' CODEC(ZSTD(1)),
    record_json String COMMENT 'The exact bytes of the record' CODEC(ZSTD(1)),
    source_log LowCardinality(String) COMMENT 'Log the record was read from',
    source_partition UInt16 COMMENT 'Partition in that log',
    source_offset UInt64 COMMENT 'Offset in that partition',
    ingested_at DateTime64(3, 'UTC') COMMENT 'When the ledger service wrote the row'
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, record_key, recorded_at, content_hash)
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Every version of every control record and signal';
