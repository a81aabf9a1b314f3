-- What could not be taken: the same identity with other content, or an entry whose sums do not add up. Kept with its bytes until
-- somebody decides; never dropped and never in place of the first.
CREATE TABLE IF NOT EXISTS quarantine
(
    stream LowCardinality(String) COMMENT 'usage or rated',
    fact_id String COMMENT 'event_id or entry_id that was claimed',
    content_hash String COMMENT 'Hash of the bytes kept here',
    accepted_hash String COMMENT 'Hash of the content that was accepted first, or empty',
    reason LowCardinality(String) COMMENT 'conflict or invalid',
    detail String COMMENT 'What was found and what was expected; no content',
    tenant LowCardinality(String) COMMENT 'Tenant the record claims',
    event_ts DateTime64(3, 'UTC') COMMENT 'Time the record claims',
    source_log LowCardinality(String) COMMENT 'Log the record was read from',
    source_topic LowCardinality(String) COMMENT 'Topic in that log',
    source_partition UInt16 COMMENT 'Partition of that topic',
    source_offset UInt64 COMMENT 'Offset in that partition',
    record_json String COMMENT 'The exact bytes of the record' CODEC(ZSTD(1)),
    quarantined_at DateTime64(3, 'UTC') COMMENT 'When it was set aside'
)
ENGINE = ReplacingMergeTree
ORDER BY (stream, fact_id, content_hash)
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Facts set aside: conflicts and invalid entries';
