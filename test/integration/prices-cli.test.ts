import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runCli } from '../helpers/run-cli.ts';

const CALL = {
  provider: 'own',
  model: 'llama',
  at: '2026-06-01',
  classes: { input_uncached: 1_000_000 },
};
const price = (meter: string, unitPrice: string) => ({
  price_id: `own llama ${meter}`,
  model: 'llama',
  meter,
  unit_price: unitPrice,
  valid_from: '2026-01-01T00:00:00.000Z',
  known_from: '2026-01-01T00:00:00.000Z',
  source: 'our own machines',
  retrieved_at: '2026-01-01',
});
const draft = (input: string) => ({
  provider: 'own',
  version: 1,
  currency: 'USD',
  known_from: '2026-01-01T00:00:00.000Z',
  standard_tiers: ['standard'],
  standard_geos: ['global'],
  aliases: [],
  prices: [price('input_uncached', input), price('output_text', '0.000001')],
  prepared_by: 'ann',
});
const contract = {
  provider: 'own',
  accounts: ['rack-1'],
  prices: [
    {
      ...{ id: 'half', factor: '0.5', valid_from: '2026-01-01T00:00:00.000Z' },
      ...{ source: 'internal memo 7', retrieved_at: '2026-01-01' },
    },
  ],
};

const house = (approvals: 1 | 2) => {
  const root = mkdtempSync(join(tmpdir(), 'reckoner-prices-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'books/own'), { recursive: true });
  mkdirSync(join(root, 'contracts/racks'), { recursive: true });
  const config = join(root, 'reckoner.yaml');
  writeFileSync(
    config,
    `process: { data_dir: data, prices: { books: books, contracts: contracts, approvals_min: ${approvals} } }
records: { upstreams: [{ id: rack-2, provider: own, dialect: openai, base_url: "https://llm.example/v1" }] }
`,
  );
  const file = join(root, 'usage.jsonl');
  writeFileSync(
    file,
    `${JSON.stringify(CALL)}\n${JSON.stringify({ ...CALL, account: 'rack-1' })}\n`,
  );
  return {
    put: (path: string, value: unknown) => writeFileSync(join(root, path), JSON.stringify(value)),
    read: (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8')),
    run: (...args: string[]) => runCli([...args, '-c', config]),
    totals: async () => {
      const { stdout } = await runCli(['rate', file, '--json', '-c', config]);
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      return lines.map((line) => line.total_usd ?? line.unrated);
    },
  };
};
const approveBook = (by: string) => ['prices', 'approve', '--provider', 'own', '--by', by, '--yes'];
const approveContract = ['prices', 'contracts', 'approve', '--contract', 'racks', '--by', 'ben'];

test('a book and a contract of one’s own, as people use them: beside the shipped books, drafts until they are approved', {
  timeout: 180_000,
}, async () => {
  const own = house(1);
  own.put('books/own/0001.draft.json', draft('0.000002'));
  expect(await own.totals()).toEqual(['unknown_model', 'unknown_model']);
  expect((await own.run(...approveBook('ann'))).code).toBe(0);
  expect(await own.totals()).toEqual(['2', '2']); // 1,000,000 x 0.000002
  own.put('contracts/racks/0001.draft.json', contract);
  expect((await own.run(...approveContract)).code).toBe(3);
  expect(await own.totals()).toEqual(['2', '2']);
  expect((await own.run(...approveContract, '--yes')).code).toBe(0);
  expect(await own.totals()).toEqual(['2', '1']); // the account pays half
  expect(own.read('contracts/racks/0001.json')).toMatchObject({
    contract: 'racks',
    version: 1,
    approved: [{ by: 'ben' }],
  });
  const shown = await own.run(
    'prices',
    'show',
    '--account',
    'rack-1',
    '--as-of',
    '2026-06-01',
    '--json',
  );
  const rows = shown.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(rows.map((r) => [r.meter, r.list_price, r.unit_price, r.agreed])).toEqual([
    ['input_uncached', '0.000002', '0.000001', 'racks@1/half'],
    ['output_text', '0.000001', '0.0000005', 'racks@1/half'],
  ]);
  // Nothing of it was known before: then the account had no contract.
  const before = await own.run('prices', 'show', '--account', 'rack-1', '--known-at', '2026-01-01');
  expect(before.stdout).not.toContain('racks@1');
  const listed = await own.run('prices', 'contracts', 'list', '--json');
  expect(JSON.parse(listed.stdout)).toMatchObject({
    contract: 'racks@1',
    term: 'half',
    factor: '0.5',
  });
  const checked = await own.run('config', 'check');
  expect(checked.code).toBe(0);
  expect(checked.stderr).toContain(
    'contract racks@1: account rack-1 is the id of no upstream in this file. Did you mean rack-2?',
  );
});

test('two approvals: neither by who prepared it, nor twice by the same person, and void when the draft changes', {
  timeout: 180_000,
}, async () => {
  const own = house(2);
  own.put('books/own/0001.draft.json', draft('0.000002'));
  const alone = await own.run(...approveBook('ann'));
  expect(alone.code).toBe(2);
  expect(alone.stderr).toContain('own@1 was prepared by ann; with four eyes somebody else');
  const first = await own.run(...approveBook('ben'));
  expect(first.code).toBe(3);
  expect(first.stderr).toContain('1 of 2 approvals; somebody else has to approve own@1 too');
  expect((await own.run(...approveBook('ben'))).stderr).toContain('ben approved own@1 on');
  own.put('books/own/0001.draft.json', draft('0.000003'));
  expect((await own.run(...approveBook('cleo'))).stderr).toContain('1 of 2 approvals');
  expect((await own.run(...approveBook('ben'))).code).toBe(0);
  const { approved } = own.read('books/own/0001.json');
  expect(approved.map(({ by }: { by: string }) => by)).toEqual(['cleo', 'ben']);
  expect(await own.totals()).toEqual(['3', '3']);
});

test('a term that names a model by an alias is refused, with the name to write', {
  timeout: 120_000,
}, async () => {
  const own = house(1);
  const aliases = [{ alias: 'llama-latest', model: 'llama', source: 'internal memo 8' }];
  own.put('books/own/0001.json', { ...draft('0.000002'), aliases });
  const named = (model: string) => ({
    ...contract,
    prices: [{ ...contract.prices[0], models: [model] }],
  });
  own.put('contracts/racks/0001.draft.json', named('llama-latest'));
  const problem = 'racks@1: term half names llama-latest, which is an alias of llama; write that';
  const refused = await own.run(...approveContract, '--yes');
  expect([refused.code, refused.stdout]).toEqual([2, '']);
  expect(refused.stderr).toContain(problem);
  expect((await own.run('prices', 'contracts', 'lint')).stderr).toContain(problem);
  own.put('contracts/racks/0001.draft.json', named('llama'));
  expect((await own.run(...approveContract, '--yes')).code).toBe(0);
  expect(await own.totals()).toEqual(['2', '1']);
});

test('`prices diff` says what `approve` will refuse, and `approve` without a draft where one is expected', {
  timeout: 120_000,
}, async () => {
  const own = house(1);
  own.put('books/own/0001.draft.json', draft('0.60'));
  const shown = await own.run('prices', 'diff', '--provider', 'own');
  expect(shown.stdout).toContain('above the plausible 0.001');
  expect(shown.stderr).toContain('2 added, 0 changed, 0 removed, 1 to look at');
  expect(shown.stderr).toMatch(
    /approve will refuse this draft: .*0\.60 USD for one of input_uncached/s,
  );
  own.put('books/own/0001.json', draft('0.000002'));
  const none = await own.run(...approveBook('ann'));
  expect(none.stderr).toMatch(
    /own has no draft in the folder .*books: expected .*0002\.draft\.json/,
  );
  expect(none.stderr).not.toContain('prices import');
});

test('books that cannot be trusted: `config check` says every problem and where, and refuses', {
  timeout: 120_000,
}, async () => {
  const own = house(1);
  // Typed per million; and no price of the output.
  own.put('books/own/0001.json', { ...draft('2'), prices: [price('input_uncached', '2')] });
  const checked = await own.run('config', 'check');
  expect(checked.code).toBe(2);
  expect(checked.stderr).toContain('process.prices: ');
  expect(checked.stderr).toContain('2 USD for one of input_uncached is above the plausible 0.001');
  expect(checked.stderr).toContain(
    'a model needs input_uncached and, unless it makes embeddings, output_text',
  );
  own.put('books/own/0001.json', { ...draft('0.000002'), version: 'one' });
  expect((await own.run('prices', 'lint')).stderr).toMatch(
    /own\/0001\.json has 1 problem\(s\):\n {2}version: /,
  );
  own.put('books/own/0001.json', draft('0.000002'));
  own.put('contracts/racks/0001.json', {
    ...{ contract: 'racks', version: 1, known_from: '2026-01-01T00:00:00.000Z' },
    ...contract,
    prices: [{ ...contract.prices[0], factor: '15' }],
  });
  expect((await own.run('config', 'check')).stderr).toContain('15 % off is 0.85');
});
