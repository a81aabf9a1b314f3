-- What second witnesses say against an entry, and the most an unrated one can cost.
ALTER TABLE ledger_entries
    ADD COLUMN IF NOT EXISTS flags Array(LowCardinality(String)) COMMENT 'What a second witness says against it: stated_total_differs, stated_cost_differs' AFTER assumed,
    ADD COLUMN IF NOT EXISTS ceiling_usd Nullable(Decimal(38, 18)) COMMENT 'Unrated under a ceiling policy: the most it can cost in USD; never charged' AFTER total_usd;

CREATE OR REPLACE VIEW unrated
(
    event_id String COMMENT 'Identity of the fact',
    event_ts DateTime64(3, 'UTC') COMMENT 'When the attempt was opened; decides price, budget window and period',
    period String COMMENT 'Accounting month the usage belongs to',
    tenant String COMMENT 'Isolation boundary and root of the account tree',
    feature String COMMENT 'Feature, or unattributed',
    upstream String COMMENT 'Configured upstream',
    provider String COMMENT 'Provider that bills the call',
    model String COMMENT 'Model of the event',
    tier String COMMENT 'Service tier as the reply states it, or empty',
    geo String COMMENT 'Geography as the reply states it, or empty',
    ending String COMMENT 'How far the usage is known: reported, drained, partial, estimated, unknown, pending, not_billed',
    unrated_reason String COMMENT 'unknown_model, unknown_price, unknown_usage, pending or precision',
    unrated_detail String COMMENT 'What was missing, in words',
    ceiling_usd Nullable(Decimal(38, 18)) COMMENT 'The most it can cost, in USD, where its upstream asks for that; NULL elsewhere'
)
AS SELECT
    event_id,
    event_ts,
    period,
    tenant,
    if(e.feature = '', 'unattributed', e.feature) AS feature,
    upstream,
    provider,
    model,
    tier,
    geo,
    ending,
    unrated_reason,
    unrated_detail,
    ceiling_usd
FROM ledger_entries AS e FINAL
WHERE e.outcome = 'unrated' AND e.kind = 'charge'
    AND (e.event_id, e.revision) NOT IN (SELECT event_id, revision FROM ledger_entries WHERE kind = 'reversal')
    AND e.event_id NOT IN (SELECT event_id FROM ledger_entries WHERE kind = 'charge' AND outcome = 'rated' AND revision > 1)
    AND e.event_id NOT IN (SELECT supersedes FROM ledger_entries WHERE supersedes != '')
ORDER BY e.revision DESC
LIMIT 1 BY e.event_id
COMMENT 'One row per event no book prices yet';
