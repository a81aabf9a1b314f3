-- Newest state of each budget in each of its windows. Written aside from the signals, so it may lag a second behind them;
-- the truth is usage.rated.v1 and budget.signals.v1. `row_version` only grows, over restarts too.
CREATE TABLE IF NOT EXISTS budget_windows
(
    budget_id String COMMENT 'The budget',
    tenant LowCardinality(String) COMMENT 'Whose spend it limits',
    window_key String COMMENT 'day 2026-11-21, month 2026-11 or total',
    window_start Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant of the window; NULL for total',
    resets_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant after the window; NULL for total',
    limit_usd Decimal(38, 18) COMMENT 'Limit in USD',
    spent_usd Decimal(38, 18) COMMENT 'Rated spend of the tenant in the window in USD',
    state LowCardinality(String) COMMENT 'clear, warn or block',
    version UInt64 COMMENT 'Version of the newest signal',
    settled_events UInt64 COMMENT 'Events whose charge is in spent_usd',
    as_of Nullable(DateTime64(3, 'UTC')) COMMENT 'When the newest of them closed; NULL while there is none',
    row_version UInt64 COMMENT 'The greatest of one window is in force'
)
ENGINE = ReplacingMergeTree(row_version)
ORDER BY (budget_id, window_key)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'State of budgets by window; newest row in force';

CREATE VIEW IF NOT EXISTS budget_status
(
    budget_id String COMMENT 'The budget',
    tenant String COMMENT 'Whose spend it limits',
    window_start Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant of the window; NULL for total',
    resets_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First instant after the window; NULL for total',
    limit_usd Decimal(38, 18) COMMENT 'Limit in USD',
    spent_usd Decimal(38, 18) COMMENT 'Rated spend of the tenant in the window in USD',
    state String COMMENT 'clear, warn or block',
    version UInt64 COMMENT 'Version of the newest signal',
    as_of Nullable(DateTime64(3, 'UTC')) COMMENT 'When the newest event counted closed; NULL while there is none',
    settled_events UInt64 COMMENT 'Events whose charge is in spent_usd'
)
AS SELECT
    budget_id,
    tenant,
    window_start,
    resets_at,
    limit_usd,
    spent_usd,
    state,
    version,
    as_of,
    settled_events
FROM budget_windows FINAL
COMMENT 'Newest known state of each budget in each window';
