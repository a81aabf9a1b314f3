import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runCli } from '../helpers/run-cli.ts';

const newDirectory = (): string => {
  const root = mkdtempSync(join(tmpdir(), 'reckoner-allocate-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return root;
};
const linesOf = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Seven calls of October and one of November. */
const CALLS = [
  ...Array.from({ length: 7 }, (_, index) => ({
    provider: 'own',
    model: 'llama',
    at: `2024-10-0${index + 1}`,
    classes: { input_uncached: 1_000 + 37 * index, output_text: 100 + 11 * index },
  })),
  { provider: 'own', model: 'llama', at: '2024-11-01', classes: { input_uncached: 5 } },
];

/** A folder of one's own books and a file of usage; nothing of it is priced yet. */
const house = () => {
  const root = newDirectory();
  const books = join(root, 'books');
  const file = join(root, 'usage.jsonl');
  const month = join(root, 'october.jsonl');
  writeFileSync(file, CALLS.map((call) => JSON.stringify(call)).join('\n'));
  writeFileSync(
    month,
    CALLS.slice(0, 7)
      .map((call) => JSON.stringify(call))
      .join('\n'),
  );
  const config = join(root, 'reckoner.yaml');
  writeFileSync(
    config,
    `process: { data_dir: data, prices: { books: books } }
records: { upstreams: [{ id: rack, provider: own, dialect: openai, base_url: "https://llm.example/v1" }] }
`,
  );
  return {
    books,
    month,
    allocate: (...rest: string[]) =>
      runCli([
        ...['prices', 'allocate', '--books', books, '--provider', 'own', '--model', 'llama'],
        ...['--month', '2024-10', ...rest],
      ]),
    approve: () =>
      runCli(['prices', 'approve', '--provider', 'own', '--by', 'ben', '--yes', '-c', config]),
    rate: async () => linesOf((await runCli(['rate', file, '--json', '-c', config])).stdout),
  };
};

/** Decimal string as a count of 10^-18. */
const exact = (text: string): bigint => {
  const [whole = '', fraction = ''] = text.split('.');
  return BigInt(`${whole}${fraction.padEnd(18, '0')}`);
};
const sumOf = (totals: readonly string[]): bigint =>
  totals.reduce((sum, total) => sum + exact(total), 0n);

test('allocated, approved, rated: the charges of the month are the bill less the remainder that was stated, to the last digit', {
  timeout: 180_000,
}, async () => {
  const own = house();
  const done = await own.allocate(
    ...['--gpu-hours', '31', '--gpu-hour-usd', '0.0235', '--usage', own.month],
    ...['--weights', 'output_text=4', '--by', 'ann', '--json'],
  );
  expect(done.code, done.stderr).toBe(3);
  // In 7 x 1000 + 37 x 21 = 7777, out 7 x 100 + 11 x 21 = 931: 31 x 0.0235 / (7777 + 4 x 931) = 0.00006334231806 a unit of weight.
  expect(linesOf(done.stdout)).toEqual([
    { meter: 'input_uncached', quantity: '7777', unit_price: '0.000063342318' },
    // 4 x 0.7285 / 11501 = 0.00025336927224, cut only then.
    { meter: 'output_text', quantity: '931', unit_price: '0.000253369272' },
  ]);
  const [, charged = '', remainder = ''] =
    /is charged (\S+); (\S+) no price of 12 places/.exec(done.stderr) ?? [];
  expect(charged).toBe('0.728499999318'); // 7777 x 0.000063342318 + 931 x 0.000253369272
  expect(remainder).toBe('0.000000000682'); // 0.7285 - 0.728499999318
  expect((await own.rate()).map((row) => row.unrated)).toEqual(CALLS.map(() => 'unknown_model'));

  expect((await own.approve()).code).toBe(0);
  const rated = await own.rate();
  expect(sumOf(rated.slice(0, 7).map((row) => row.total_usd))).toBe(
    exact('0.7285') - exact(remainder),
  );
  // The prices are of October alone.
  expect(rated[7]).toMatchObject({ unrated: 'unknown_price' });
});

test('allocated again for the same month, the second bill takes the place of the first', {
  timeout: 180_000,
}, async () => {
  const own = house();
  const quantities = ['--classes', 'input_uncached=7777', 'output_text=931'];
  expect((await own.allocate('--bill-usd', '0.01', ...quantities)).code).toBe(3);
  expect((await own.approve()).code).toBe(0);
  const second = await own.allocate('--bill-usd', '0.8708', ...quantities);
  // 0.8708 / (7777 + 931) = 0.0001 a token; nothing is cut off.
  expect(second.stderr).toContain(
    'of 0.8708 USD the usage is charged 0.8708; 0 no price of 12 places can express\ndraft ',
  );
  expect((await own.approve()).code).toBe(0);
  const rated = await own.rate();
  expect(sumOf(rated.slice(0, 7).map((row) => row.total_usd))).toBe(exact('0.8708'));
  expect(JSON.parse(readFileSync(join(own.books, 'own/0002.json'), 'utf8'))).toMatchObject({
    version: 2,
    prepared_by: 'allocation',
    note: 'Allocated: 0.8708 USD charged, 0 USD that no price of 12 places can express.',
    prices: [
      { unit_price: '0.0001', source: 'bill of 0.8708 USD, 2024-10, allocated by allocation' },
      { unit_price: '0.0001' },
    ],
  });
});

test('what cannot be allocated is refused in a sentence, and nothing is written', {
  timeout: 180_000,
}, async () => {
  const own = house();
  const refused = async (args: string[], problem: string) => {
    const { code, stdout, stderr } = await own.allocate(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(problem);
  };
  await refused(
    ['--classes', 'input_uncached=1'],
    'Give --gpu-hours with --gpu-hour-usd, or --bill-usd: what the machines cost.',
  );
  await refused(['--bill-usd', '1'], 'Nothing that has a weight was used');
  await refused(
    ['--bill-usd', '1', '--classes', 'tokens=1'],
    '"tokens" is no meter; expected one such as output_text.',
  );
  expect(() => readFileSync(join(own.books, 'own/0001.draft.json'))).toThrow('ENOENT');
});

const contract = (root: string): string => {
  mkdirSync(join(root, 'contracts/frame'), { recursive: true });
  writeFileSync(
    join(root, 'contracts/frame/0001.json'),
    JSON.stringify({
      ...{ contract: 'frame', provider: 'openai', version: 1, accounts: ['main', 'batch'] },
      ...{ known_from: '2024-01-01T00:00:00.000Z', prices: [] },
      commitments: [
        {
          ...{ amount_usd: '1000', valid_from: '2024-01-01T00:00:00.000Z' },
          ...{ valid_to: '2024-07-01T00:00:00.000Z', source: 'page 3', retrieved_at: '2024-01-01' },
        },
      ],
    }),
  );
  return join(root, 'contracts');
};

test('what is committed, used and left is told from figures given, without a back office', {
  timeout: 120_000,
}, async () => {
  const contracts = contract(newDirectory());
  const commitments = (...spent: string[]) =>
    runCli(['prices', 'commitments', '--contracts', contracts, '--json', '--spent', ...spent]);
  const told = await commitments(
    'openai/main@2024-06-30=250.5',
    'openai/batch@2024-01-01=0.000000000000000001',
    'openai/main@2024-07-01=100',
    'openai/other@2024-03-01=7',
    'anthropic/main@2024-03-01=9',
  );
  expect(told.code, told.stderr).toBe(0);
  expect(linesOf(told.stdout)).toEqual([
    {
      contract: 'frame',
      provider: 'openai',
      accounts: 'main batch',
      valid_from: '2024-01-01T00:00:00.000Z',
      valid_to: '2024-07-01T00:00:00.000Z',
      state: 'ended',
      committed_usd: '1000',
      used_usd: '250.500000000000000001', // 250.5 + 10^-18; July, other accounts and providers are not of it
      remaining_usd: '749.499999999999999999',
      source: 'page 3',
    },
  ]);
  const odd = await commitments('openai/main=1e3');
  expect(odd.code).toBe(1);
  expect(odd.stderr).toContain(
    '--spent is "openai/main=1e3"; expected PROVIDER/ACCOUNT=USD or PROVIDER/ACCOUNT@YYYY-MM-DD=USD.',
  );
});
