-- Entries that a second witness contradicts. They are charged as they are; somebody should look.
CREATE VIEW IF NOT EXISTS flagged
(
    event_id String COMMENT 'Identity of the fact; raw_usage of the view usage has what the provider stated',
    revision UInt32 COMMENT '1 for the first rating; grows with every re-rating',
    event_ts DateTime64(3, 'UTC') COMMENT 'When the attempt was opened; decides price, budget window and period',
    period String COMMENT 'Accounting month the usage belongs to',
    tenant String COMMENT 'Isolation boundary and root of the account tree',
    feature String COMMENT 'Feature, or unattributed',
    upstream String COMMENT 'Configured upstream',
    provider String COMMENT 'Provider that bills the call',
    model String COMMENT 'Model of the event',
    ending String COMMENT 'How far the usage is known: reported, drained, partial, estimated, unknown, pending, not_billed',
    outcome String COMMENT 'rated or unrated',
    flag String COMMENT 'stated_total_differs: the token total the provider states is not the sum of our classes. stated_cost_differs: the cost it states is not what the books say',
    quantities Array(Decimal(38, 6)) COMMENT 'What is charged, line by line',
    meters Array(String) COMMENT 'Token classes and units of those lines',
    total_usd Nullable(Decimal(38, 18)) COMMENT 'What is charged in USD; NULL when unrated',
    book String COMMENT 'Book and version, or empty',
    provider_request_id String COMMENT 'Request id the provider answered with, or empty'
)
AS SELECT
    event_id,
    revision,
    event_ts,
    period,
    tenant,
    if(e.feature = '', 'unattributed', e.feature) AS feature,
    upstream,
    provider,
    model,
    ending,
    outcome,
    flag,
    charge_quantities AS quantities,
    charge_meters AS meters,
    total_usd,
    book,
    provider_request_id
FROM ledger_entries AS e FINAL
ARRAY JOIN flags AS flag
WHERE e.kind = 'charge'
    AND (e.event_id, e.revision) NOT IN (SELECT event_id, revision FROM ledger_entries WHERE kind = 'reversal')
    AND e.event_id NOT IN (SELECT supersedes FROM ledger_entries WHERE supersedes != '')
COMMENT 'One row per entry in force and flag: what the provider states beside the usage contradicts it';
