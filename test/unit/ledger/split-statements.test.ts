import { expect, test } from 'vitest';
import { splitStatements } from '../../../services/platform/migrate.ts';

test('statements end at semicolons, not at those in quotes and comments', () => {
  const sql = `-- one; two
    CREATE TABLE a (b String COMMENT 'it''s; a "b" -- c \\'; d'); /* x; y */
    ;
    SELECT \`a;b\`, "c;d" -- end;
    `;
  expect(splitStatements(sql)).toEqual([
    `CREATE TABLE a (b String COMMENT 'it''s; a "b" -- c \\'; d')`,
    'SELECT `a;b`, "c;d"',
  ]);
});
