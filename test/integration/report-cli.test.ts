import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { runCli } from '../helpers/run-cli.ts';
import { book, price } from '../unit/pricing/pricing-fixtures.ts';
import { newDirectory } from './house-rig.ts';
import { usageEntry, usageEvent } from './ledger-facts.ts';

const MODEL = 'gpt-4o-mini-2024-07-18';

const startBackOffice = async (dataDir: string): Promise<{ child: ChildProcess; url: string }> => {
  const child = fork('services/cli/bin.js', ['serve', 'back-office'], {
    env: { ...process.env, RECKONER_DATA_DIR: dataDir, RECKONER_CONSOLE_PORT: '0' },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the back office ended with ${code}`)));
    child.on('message', (message: { ready?: { url: string } }) => {
      if (message.ready) resolve(message.ready.url);
    });
  });
  return { child, url };
};

const stopped = async ({ child }: { child: ChildProcess }): Promise<void> => {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
};

/** Calls of three tenants in October, a call a minute. */
const october = (from: number, count: number): UsageEvent[] =>
  Array.from({ length: count }, (_, index) => {
    const number = from + index;
    return {
      ...usageEvent({
        tenant: `acme-${number % 3}`,
        number,
        space: 0x7100,
        eventTs: new Date(Date.UTC(2026, 9, 1) + number * 60_000).toISOString(),
        outputTokens: String(1 + ((number * 31) % 977)),
        model: MODEL,
      }),
      proxy_id: 'proxy-1',
    };
  });

const append = async (dataDir: string, events: readonly UsageEvent[]): Promise<void> => {
  const log = await openLmdbEventLog({
    directory: join(dataDir, 'log', 'proxy-1'),
    name: 'proxy-1',
  });
  for (let from = 0; from < events.length; from += 1_000) {
    await log.append(events.slice(from, from + 1_000).map(usageEntry)).stored;
  }
  await log.close();
};

/** As a count of 10^-8 USD: 15 a token in, 60 a token out. */
const usd = (events: readonly UsageEvent[]): string => {
  const units = events.reduce(
    (sum, { classes }) =>
      sum + BigInt(classes.input_uncached ?? '0') * 15n + BigInt(classes.output_text ?? '0') * 60n,
    0n,
  );
  const digits = units.toString().padStart(9, '0');
  return `${digits.slice(0, -8)}.${digits.slice(-8)}`.replace(/\.?0+$/, '');
};

/** Twice the price of the shipped book. */
const dearerBooks = (): string => {
  const books = join(newDirectory(), 'books');
  mkdirSync(join(books, 'openai'), { recursive: true });
  const prices = [
    price('input_uncached', '0.0000003', { model: MODEL }),
    price('output_text', '0.0000012', { model: MODEL }),
  ];
  writeFileSync(
    join(books, 'openai', '0001.json'),
    JSON.stringify(book(prices, { provider: 'openai', standard_tiers: ['default', 'standard'] })),
  );
  return books;
};

test('a kept report comes out again byte for byte, whatever came since; compared it says what did', {
  timeout: 300_000,
}, async () => {
  const dataDir = newDirectory();
  const first = october(1, 2_500);
  await append(dataDir, first);
  let office = await startBackOffice(dataDir);
  const cli = (...args: string[]) =>
    runCli(args, { RECKONER_DATA_DIR: dataDir, RECKONER_URL: office.url, TZ: 'Asia/Kathmandu' });
  const slice = ['--period', '2026-10', '--by', 'tenant,day'];
  const report = (...args: string[]) => cli('report', ...args);
  const inLedger = async (events: readonly UsageEvent[]): Promise<void> => {
    await expect
      .poll(async () => (await report('--by', 'none')).stderr, { timeout: 60_000, interval: 500 })
      .toBe(`ledger ${usd(events)} USD of the same events now, difference 0 USD\n`);
  };
  await inLedger(first);

  const directory = newDirectory();
  const kept: Record<string, { path: string; text: string }> = {};
  for (const format of ['json', 'csv']) {
    const made = await report(...slice, `--${format}`);
    expect(made.code).toBe(0);
    const path = join(directory, `report.${format}`);
    writeFileSync(path, made.stdout);
    kept[format] = { path, text: made.stdout };
  }
  const lines = (kept['json']?.text ?? '')
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text));
  expect(lines[0]).toMatchObject({ recipe: { reckoner_report: 1, by: ['tenant', 'day'] } });
  expect(lines.at(-1)).toMatchObject({ totals: { events: 2_500, amount_usd: usd(first) } });
  expect(lines[1]).toMatchObject({ row: { group: { tenant: 'acme-0', day: '2026-10-01' } } });

  // Late events, the ledger re-rated by other books, the month closed, a restart.
  await stopped(office);
  const late = october(2_501, 300);
  await append(dataDir, late);
  office = await startBackOffice(dataDir);
  await inLedger([...first, ...late]);
  const rerated = await cli('rerate', '--period', '2026-10', '--books', dearerBooks(), '--yes');
  expect(rerated.code).toBe(0);
  expect((await cli('period', 'close', '2026-10', '--reason', 'month end')).code).toBe(0);
  await stopped(office);
  office = await startBackOffice(dataDir);

  for (const { path, text } of Object.values(kept)) {
    const again = await report('--again', path);
    expect([again.code, again.stdout]).toEqual([0, text]);
  }
  const compared = await report('--compare', kept['json']?.path ?? '', '--json');
  expect(compared.code).toBe(3);
  expect(JSON.parse(compared.stdout.trim().split('\n').at(-1) ?? '')).toEqual({
    totals: {
      before_usd: usd(first),
      by_prices_usd: '0',
      by_events_usd: usd(late),
      after_usd: usd([...first, ...late]),
      difference_usd: usd(late),
      events_before: 2_500,
      events_after: 2_800,
      unrated_before: 0,
      unrated_after: 0,
    },
  });
  // Before any book was known all of it was without a price.
  const then = ['--period', '2026-10', '--known-at', '2026-03-14'];
  const known = await report(...then, '--compare', '2026-11-22', '--by', 'none', '--csv');
  expect(known.code).toBe(3);
  const total = usd([...first, ...late]);
  expect(known.stdout.split('\n')[1]).toBe(`0,${total},0,${total},${total},2800,2800,2800,0`);
  const same = await report(...slice, '--compare');
  expect([same.code, same.stderr]).toEqual([
    0,
    expect.stringContaining('difference 0 USD in 0 group(s)'),
  ]);

  const edited = join(directory, 'edited.json');
  writeFileSync(edited, (kept['json']?.text ?? '').replace('"amount_usd":"', '"amount_usd":"1'));
  const refused = await report('--again', edited);
  expect([refused.code, refused.stdout]).toEqual([3, '']);
  expect(refused.stderr).toContain('first in line 2');
  expect((await report('--again', kept['csv']?.path ?? '', '--period', '2026-10')).code).toBe(2);
});
