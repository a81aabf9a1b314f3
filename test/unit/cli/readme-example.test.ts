import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { HouseConfigSchema, type RecordsConfig } from '../../../schemas/house-config.ts';
import { checkRecords } from '../../../services/console/apply-records.ts';

const NOTHING = {
  tenants: new Map(),
  keys: new Map(),
  upstreams: new Map(),
  routes: new Map(),
  budgets: new Map(),
  mappings: new Map(),
};
const secrets = { pepper: 'test', resolveSecret: () => '' };

test('the README’s examples are valid, and its route names only upstreams that they define', () => {
  const readme = readFileSync('README.md', 'utf8');
  const blocks = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) =>
    parse(text ?? ''),
  );
  expect(blocks.length).toBe(2);
  const [first, second] = blocks;
  const upstreams = [...first.records.upstreams, ...second.upstreams];
  const { records } = HouseConfigSchema.parse({
    records: { ...first.records, ...second, upstreams },
  });
  expect(records.routes.length).toBe(1);
  expect(checkRecords(records, NOTHING, secrets).problems).toEqual([]);
  const without: RecordsConfig = { ...records, upstreams: records.upstreams.slice(0, 2) };
  expect(checkRecords(without, NOTHING, secrets).problems.length).toBe(2);
});
