-- Prices as data for analysts: one row a price of a published book version, one a term of a contract version and account. Appended when
-- a version is first loaded, never changed; price_versions says what is there already.
CREATE TABLE IF NOT EXISTS price_versions
(
    provider LowCardinality(String) COMMENT 'Provider of the book',
    contract String COMMENT 'Name of the contract; empty for the list',
    version UInt32 COMMENT 'Version of the book or contract',
    known_from DateTime64(3, 'UTC') COMMENT 'When it was published',
    content_sha256 String COMMENT 'SHA-256 of the version as it was loaded first',
    lines UInt32 COMMENT 'Rows of it in price_lines',
    recorded_at DateTime64(3, 'UTC') COMMENT 'When its rows were complete'
)
ENGINE = ReplacingMergeTree
ORDER BY (provider, contract, version)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Versions whose prices are in price_lines';

CREATE TABLE IF NOT EXISTS price_lines
(
    provider LowCardinality(String) COMMENT 'Provider of the book',
    contract String COMMENT 'Name of the contract; empty for the list',
    version UInt32 COMMENT 'Version of the book or contract',
    line UInt32 COMMENT 'Position within the version, from 0',
    account String COMMENT 'Account the term is for; empty for the list',
    price_id String COMMENT 'Identity of the price in its book, of the term in its contract',
    model String COMMENT 'Model; empty where a term is for every model',
    meter LowCardinality(String) COMMENT 'Token class or unit; empty where a term is for every meter',
    tiers Array(String) COMMENT 'Served tiers; empty: the standard tier, for a factor every tier',
    geos Array(String) COMMENT 'Geographies; empty: no surcharge',
    conditions String COMMENT 'Context band and hours, in words; empty where there are none',
    per_request Bool COMMENT 'Charged once a request whether or not usage states it',
    claim String COMMENT 'Question of an open conflict; such a price is not charged',
    unit_price Nullable(Decimal(38, 12)) COMMENT 'USD per unit; NULL where a term has a factor',
    factor Nullable(Decimal(38, 12)) COMMENT 'Factor on the list price; NULL where there is a unit price',
    valid_from DateTime64(3, 'UTC') COMMENT 'In force from',
    valid_to Nullable(DateTime64(3, 'UTC')) COMMENT 'In force until, exclusive; NULL where no end is known',
    known_from DateTime64(3, 'UTC') COMMENT 'When we knew it',
    source String COMMENT 'Where it comes from',
    retrieved_at Date COMMENT 'Day the source was looked at',
    prepared_by String COMMENT 'Who prepared the version, or empty',
    approved_by Array(String) COMMENT 'Who approved the version, in order',
    approved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Last approval; NULL where there was none'
)
ENGINE = ReplacingMergeTree
ORDER BY (provider, contract, version, line)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Prices of published versions, line by line';

CREATE VIEW IF NOT EXISTS prices
(
    provider String COMMENT 'Provider of the book',
    contract String COMMENT 'Name of the contract; empty for the list',
    version UInt32 COMMENT 'Version of the book or contract',
    account String COMMENT 'Account the term is for; empty for the list',
    price_id String COMMENT 'Identity of the price in its book, of the term in its contract; charges name it',
    model String COMMENT 'Model; empty where a term is for every model',
    meter String COMMENT 'Token class or unit; empty where a term is for every meter',
    tiers Array(String) COMMENT 'Served tiers; empty: the standard tier, for a factor every tier',
    geos Array(String) COMMENT 'Geographies; empty: no surcharge',
    conditions String COMMENT 'Context band and hours, in words; empty where there are none',
    per_request Bool COMMENT 'Charged once a request whether or not usage states it',
    claim String COMMENT 'Question of an open conflict; such a price is not charged',
    unit_price Nullable(Decimal(38, 12)) COMMENT 'USD per unit; NULL where a term has a factor',
    factor Nullable(Decimal(38, 12)) COMMENT 'Factor on the list price; NULL where there is a unit price',
    valid_from DateTime64(3, 'UTC') COMMENT 'In force from',
    valid_to Nullable(DateTime64(3, 'UTC')) COMMENT 'In force until, exclusive; NULL where no end is known',
    known_from DateTime64(3, 'UTC') COMMENT 'When we knew it',
    source String COMMENT 'Where it comes from',
    retrieved_at Date COMMENT 'Day the source was looked at',
    prepared_by String COMMENT 'Who prepared the version, or empty',
    approved_by Array(String) COMMENT 'Who approved the version, in order',
    approved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Last approval; NULL where there was none'
)
AS SELECT
    provider,
    contract,
    version,
    account,
    price_id,
    model,
    meter,
    tiers,
    geos,
    conditions,
    per_request,
    claim,
    unit_price,
    factor,
    valid_from,
    valid_to,
    known_from,
    source,
    retrieved_at,
    prepared_by,
    approved_by,
    approved_at
FROM price_lines FINAL
COMMENT 'One row per price of a book version, and per term and account of a contract version';
