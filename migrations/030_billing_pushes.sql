-- The outbox of pushed usage: every state of every push, appended and never changed. The intent is here before the call is made.
-- The newest step of a push is its state: planned, sending, sent, verified or failed.
CREATE TABLE IF NOT EXISTS billing_push_steps
(
    push_id String COMMENT 'The push; the destination deduplicates by it',
    step UInt32 COMMENT 'Grows by one with every state of one push; the greatest is the newest',
    state LowCardinality(String) COMMENT 'planned, sending, sent, verified or failed',
    destination LowCardinality(String) COMMENT 'Kind of billing system: stripe',
    account LowCardinality(String) COMMENT 'Which account of it; what one account holds says nothing about another',
    mapping_id LowCardinality(String) COMMENT 'Billing mapping that named the customer when this was planned',
    tenant LowCardinality(String) COMMENT 'Whose usage',
    customer String COMMENT 'Customer at the destination',
    meter LowCardinality(String) COMMENT 'Event name of the meter at the destination',
    period LowCardinality(String) COMMENT 'Accounting month the usage is posted into, such as 2026-11',
    window_start DateTime64(3, 'UTC') COMMENT 'Start of the UTC hour the value is for',
    revision UInt32 COMMENT '1 for the first push of a window; grows with every signed correction',
    identifier String COMMENT 'Identifier as sent, at most 100 characters',
    value Int64 COMMENT 'Signed whole micro-USD: 1000000 is 1 USD',
    event_at DateTime64(3, 'UTC') COMMENT 'Instant inside the window the push is stamped with; the same in every repeat',
    attempted_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First call under this identifier, from which its age counts',
    verified_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the total read back equalled the outbox',
    reason String COMMENT 'Why it failed or is unclear, or empty',
    recorded_at DateTime64(3, 'UTC') COMMENT 'When this state was written'
)
ENGINE = ReplacingMergeTree
PARTITION BY period
ORDER BY (destination, account, meter, customer, window_start, push_id, step)
SETTINGS non_replicated_deduplication_window = 100000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Outbox of usage pushed to billing systems, one row per state of one push';

CREATE VIEW IF NOT EXISTS billing_pushes
(
    push_id String COMMENT 'The push',
    destination String COMMENT 'Kind of billing system: stripe',
    mapping_id String COMMENT 'Billing mapping that named the customer when this was planned',
    tenant String COMMENT 'Whose usage',
    customer String COMMENT 'Customer at the destination',
    meter String COMMENT 'Event name of the meter at the destination',
    period String COMMENT 'Accounting month the usage is posted into',
    window_start DateTime64(3, 'UTC') COMMENT 'Start of the UTC hour the value is for',
    revision UInt32 COMMENT '1 for the first push of a window; grows with every signed correction',
    identifier String COMMENT 'Identifier as sent',
    value Int64 COMMENT 'Signed whole micro-USD: 1000000 is 1 USD',
    state String COMMENT 'planned, sending, sent, verified or failed',
    attempted_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First call under this identifier',
    verified_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the total read back equalled the outbox',
    account String COMMENT 'Which account of the billing system',
    event_at DateTime64(3, 'UTC') COMMENT 'Instant the push is stamped with',
    reason String COMMENT 'Why it failed or is unclear, or empty',
    step UInt32 COMMENT 'How many states it has been through'
)
AS SELECT
    push_id,
    destination,
    mapping_id,
    tenant,
    customer,
    meter,
    period,
    window_start,
    revision,
    identifier,
    value,
    state,
    attempted_at,
    verified_at,
    account,
    event_at,
    reason,
    step
FROM billing_push_steps
ORDER BY step DESC
LIMIT 1 BY push_id
COMMENT 'Newest state of each push of usage to a billing system';
