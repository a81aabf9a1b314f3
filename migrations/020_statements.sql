-- What providers say we owe, line by line as their files say it. A file is named by the SHA-256 of its bytes; its row is written
-- after all its lines, so a file whose import was cut off is imported again and its lines replace themselves.
CREATE TABLE IF NOT EXISTS statement_files
(
    statement_id String COMMENT 'SHA-256 of the file, hex',
    provider LowCardinality(String) COMMENT 'Provider that issued it',
    file_name String COMMENT 'Name it was imported under',
    lines UInt64 COMMENT 'Lines with an amount',
    unmapped UInt64 COMMENT 'Lines whose text names no model or meter we know',
    total_usd Decimal(38, 18) COMMENT 'Sum of its lines in USD',
    imported_at DateTime64(3, 'UTC') COMMENT 'When; of two files that name the same day the later import counts'
)
ENGINE = ReplacingMergeTree
ORDER BY (provider, statement_id)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Imported provider statements';

CREATE TABLE IF NOT EXISTS statement_line_rows
(
    provider LowCardinality(String) COMMENT 'Provider that issued it',
    statement_id String COMMENT 'SHA-256 of the file, hex',
    line_number UInt32 COMMENT 'Line in the file; the header is line 1',
    period LowCardinality(String) COMMENT 'Accounting month of the day',
    day_start DateTime64(3, 'UTC') COMMENT 'First instant of the UTC day the line is for',
    model Nullable(String) COMMENT 'Model; NULL where the text names none',
    meter LowCardinality(Nullable(String)) COMMENT 'Token class or unit; NULL where the text could not be mapped',
    tier LowCardinality(Nullable(String)) COMMENT 'Service tier; NULL where the text names none',
    quantity Nullable(Decimal(38, 6)) COMMENT 'Quantity; NULL where the file states none',
    amount_usd Decimal(38, 18) COMMENT 'Amount in USD as printed',
    amount_places UInt8 COMMENT 'Digits after the point as printed: the last unit printed bounds its rounding',
    description String COMMENT 'The text of the line'
)
ENGINE = ReplacingMergeTree
ORDER BY (provider, statement_id, line_number)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Lines of provider statements';

CREATE VIEW IF NOT EXISTS statement_lines
(
    provider String COMMENT 'Provider that issued it',
    statement_id String COMMENT 'SHA-256 of the file, hex',
    line_number UInt32 COMMENT 'Line in the file; the header is line 1',
    period String COMMENT 'Accounting month of the day',
    day_start DateTime64(3, 'UTC') COMMENT 'First instant of the UTC day the line is for',
    model Nullable(String) COMMENT 'Model; NULL where the text names none',
    meter Nullable(String) COMMENT 'Token class or unit; NULL where the text could not be mapped',
    tier Nullable(String) COMMENT 'Service tier; NULL where the text names none',
    quantity Nullable(Decimal(38, 6)) COMMENT 'Quantity; NULL where the file states none',
    amount_usd Decimal(38, 18) COMMENT 'Amount in USD as printed',
    description String COMMENT 'The text of the line'
)
AS SELECT
    provider,
    statement_id,
    line_number,
    period,
    day_start,
    model,
    meter,
    tier,
    quantity,
    amount_usd,
    description
FROM statement_line_rows AS l FINAL
WHERE l.statement_id IN (SELECT statement_id FROM statement_files)
COMMENT 'Lines of imported provider statements, each once';
