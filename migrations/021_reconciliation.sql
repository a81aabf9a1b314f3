-- Results of reconciliation runs, appended and never changed. In every row explained_usd + unexplained_usd = delta_usd, and the
-- causes add up to the delta, to all 18 places.
CREATE TABLE IF NOT EXISTS reconciliation_rows
(
    run_id String COMMENT 'One run of the comparison (UUIDv7)',
    run_at DateTime64(3, 'UTC') COMMENT 'When it ran',
    provider LowCardinality(String) COMMENT 'Provider compared',
    period LowCardinality(String) COMMENT 'Accounting month compared',
    model String COMMENT 'Model; * for meters that are billed without one; empty where the line could not be mapped',
    meter LowCardinality(String) COMMENT 'Meter as the statement groups it; unmapped where the line could not be mapped',
    ledger_quantity Decimal(38, 6) COMMENT 'Our quantity',
    statement_quantity Nullable(Decimal(38, 6)) COMMENT 'Their quantity; NULL where the statement states none',
    ledger_usd Decimal(38, 18) COMMENT 'Our charges in USD',
    statement_usd Decimal(38, 18) COMMENT 'Their lines in USD',
    delta_usd Decimal(38, 18) COMMENT 'Theirs minus ours',
    explained_usd Decimal(38, 18) COMMENT 'Share of the delta with a known and accepted cause',
    unexplained_usd Decimal(38, 18) COMMENT 'The rest of the delta',
    causes String COMMENT 'JSON array of causes; their amounts add up to the delta'
)
ENGINE = ReplacingMergeTree
ORDER BY (provider, period, run_id, model, meter)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Reconciliation results by run, model and meter';

CREATE VIEW IF NOT EXISTS reconciliation
(
    run_id String COMMENT 'One run of the comparison (UUIDv7)',
    run_at DateTime64(3, 'UTC') COMMENT 'When it ran',
    provider String COMMENT 'Provider compared',
    period String COMMENT 'Accounting month compared',
    model String COMMENT 'Model; * for meters that are billed without one; empty where the line could not be mapped',
    meter String COMMENT 'Meter as the statement groups it; unmapped where the line could not be mapped',
    ledger_quantity Decimal(38, 6) COMMENT 'Our quantity',
    statement_quantity Nullable(Decimal(38, 6)) COMMENT 'Their quantity; NULL where the statement states none',
    ledger_usd Decimal(38, 18) COMMENT 'Our charges in USD',
    statement_usd Decimal(38, 18) COMMENT 'Their lines in USD',
    delta_usd Decimal(38, 18) COMMENT 'Theirs minus ours',
    explained_usd Decimal(38, 18) COMMENT 'Share of the delta with a known and accepted cause',
    unexplained_usd Decimal(38, 18) COMMENT 'The rest of the delta',
    causes String COMMENT 'JSON array of causes; their amounts add up to the delta'
)
AS SELECT
    run_id,
    run_at,
    provider,
    period,
    model,
    meter,
    ledger_quantity,
    statement_quantity,
    ledger_usd,
    statement_usd,
    delta_usd,
    explained_usd,
    unexplained_usd,
    causes
FROM reconciliation_rows FINAL
COMMENT 'Ledger against statements, run by run';
