import { expect, test } from 'vitest';
import { checkReadOnly } from '../../../services/platform/read-only-sql.ts';

test.each([
  'SELECT tenant, sum(amount_usd) FROM charges GROUP BY tenant',
  "SELECT * FROM usage WHERE feature = 'settings; file(x) /* '",
  'WITH t AS (SELECT 1 AS a) SELECT a FROM t',
  '(SELECT 1) UNION ALL (SELECT 2)',
  "SELECT formatDateTime(hour, '%F') FROM spend_hourly -- by hour",
  'SHOW TABLES',
  'DESCRIBE TABLE usage',
  'EXPLAIN SELECT 1',
  'SELECT name, comment FROM system.columns',
  'SELECT u.format FROM usage AS u',
  "SELECT 'é $$ ‘' AS `é` -- é $",
  'SHOW CREATE VIEW usage',
])('lets through: %s', (sql) => {
  expect(checkReadOnly(`${sql} ;\n`)).toBe(sql);
});

test.each([
  ['', 'the statement does anything else'],
  ['DELETE FROM usage', 'the statement does anything else'],
  ['SELECT 1; DROP TABLE usage', 'it holds more than one statement'],
  ['SELECT 1 /* ; */ ; SELECT 2', 'it holds more than one statement'],
  ["SELECT FILE ('/etc/passwd')", 'file() reaches outside of it'],
  ['SELECT * FROM "s3Cluster"(x)', 's3cluster() reaches outside of it'],
  ['SELECT * FROM `/etc/passwd`', 'a path in place of a table'],
  ['SELECT 1 SETTINGS max_threads = 1', 'SETTINGS is not allowed'],
  ['SELECT 1 FORMAT Native', 'FORMAT is not allowed'],
  ["SELECT 1 INTO OUTFILE 'x'", 'OUTFILE is not allowed'],
  ['SELECT * FROM system.query_log', 'that part of the system database is not open'],
  ['SELECT * FROM `system` . `processes`', 'that part of the system database is not open'],
  [
    "SELECT $$'$$, file($$/proc/self/environ$$) WHERE 'a' != $$'$$",
    'a character that SQL does not use',
  ],
  ["SELECT ‘'’, file(‘/proc/self/environ’) WHERE 'a' != ‘'’", 'a character that SQL does not use'],
  ["SELECT “file”('/proc/self/environ')", 'a character that SQL does not use'],
  ["SELECT arrayMap(file, ['/proc/self/environ'])", 'file() reaches outside of it'],
  ["SELECT * APPLY `file` FROM (SELECT '/etc/passwd')", 'file() reaches outside of it'],
  ["SELECT aiGenerate('x')", 'aigenerate() reaches outside of it'],
  ["SELECT * FROM oss('http://169.254.169.254/a/b')", 'oss() reaches outside of it'],
  ["SELECT 'a", 'a quote is not closed'],
  ['SELECT 1 /* a', 'a comment is not closed'],
])('refuses: %s', (sql, found) => {
  expect(() => checkReadOnly(sql)).toThrow(`This door is for reading: ${found}.`);
});
