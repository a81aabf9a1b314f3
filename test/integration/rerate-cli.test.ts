import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { createAdminClient } from '../../services/cli/admin-client.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import type { RerateStep } from '../../services/rater/rerate-run.ts';
import type { RerateReport } from '../../services/rater/rerate-tally.ts';
import { runCli } from '../helpers/run-cli.ts';
import { book, price } from '../unit/pricing/pricing-fixtures.ts';
import { newDirectory } from './house-rig.ts';
import { usageEntry, usageEvent } from './ledger-facts.ts';

const MODEL = 'gpt-4o-mini-2024-07-18';
/** More than one page of a run. */
const EVENTS = 3_000;

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

/** Usage of the first two days of October, a call a minute. */
const october = (): UsageEvent[] =>
  Array.from({ length: EVENTS }, (_, index) => {
    const at = new Date(Date.UTC(2026, 9, 1) + index * 60_000).toISOString();
    const event = usageEvent({
      tenant: `acme-${index % 3}`,
      number: index + 1,
      space: 0x7000,
      eventTs: at,
      outputTokens: String(1 + ((index * 31) % 977)),
      model: MODEL,
    });
    return { ...event, proxy_id: 'proxy-1' };
  });

/** As a count of 10^-8 USD: 15 and 60 a token. */
const sumOf = (events: readonly UsageEvent[]): bigint =>
  events.reduce(
    (sum, { classes }) =>
      sum + BigInt(classes.input_uncached ?? '0') * 15n + BigInt(classes.output_text ?? '0') * 60n,
    0n,
  );
const usd = (units: bigint): string => {
  const digits = units.toString().padStart(9, '0');
  return `${digits.slice(0, -8)}.${digits.slice(-8)}`.replace(/\.?0+$/, '');
};

test('rerate and period as people use them: dry run, applied, killed on the way, taken up again, closed', {
  timeout: 180_000,
}, async () => {
  const dataDir = newDirectory();
  const events = october();
  const log = await openLmdbEventLog({
    directory: join(dataDir, 'log', 'proxy-1'),
    name: 'proxy-1',
  });
  for (let from = 0; from < EVENTS; from += 1_000) {
    await log.append(events.slice(from, from + 1_000).map(usageEntry)).stored;
  }
  await log.close();
  // Twice the price of the shipped book: 0.3 in and 1.2 out per million tokens.
  const books = join(newDirectory(), 'books');
  mkdirSync(join(books, 'openai'), { recursive: true });
  writeFileSync(
    join(books, 'openai', '0001.json'),
    JSON.stringify(
      book(
        [
          price('input_uncached', '0.0000003', { model: MODEL }),
          price('output_text', '0.0000012', { model: MODEL }),
        ],
        { provider: 'openai', standard_tiers: ['default', 'standard'] },
      ),
    ),
  );

  let office = await startBackOffice(dataDir);
  const cli = (...args: string[]) =>
    runCli(args, { RECKONER_DATA_DIR: dataDir, RECKONER_URL: office.url });
  const report = async (...args: string[]): Promise<RerateReport & { code: number | null }> => {
    const run = await cli('rerate', ...args, '--json');
    expect(run.stderr).toBe('');
    return { ...(JSON.parse(run.stdout) as RerateReport), code: run.code };
  };
  const slice = ['--period', '2026-10', '--provider', 'openai', '--model', MODEL];
  const charged = async (where: string): Promise<string> => {
    const run = await cli(
      'sql',
      `SELECT toString(sum(amount_usd)) AS usd FROM charges WHERE ${where}`,
      '--json',
    );
    return (JSON.parse(run.stdout) as { usd: string }).usd;
  };
  await expect
    .poll(async () => (await report(...slice)).unchanged, { timeout: 60_000, interval: 500 })
    .toBe(EVENTS);
  expect(await charged('1')).toBe(usd(sumOf(events)));

  const dry = await report(...slice, '--books', books);
  expect(dry).toMatchObject({ code: 3, dry_run: true, changed: EVENTS, events_read: EVENTS });
  expect(dry.difference_usd).toBe(usd(sumOf(events)));
  expect(await charged('1')).toBe(usd(sumOf(events)));

  // Killed when the first reversals and charges are in the log and the others are not.
  const token = readFileSync(join(dataDir, 'bootstrap-token'), 'utf8').trim();
  const body = { period: '2026-10', books, yes: true };
  const steps: RerateStep[] = [];
  await expect(
    (async () => {
      const lines = createAdminClient(office.url, token).postLines<RerateStep>(
        '/api/v1/rerate',
        body,
      );
      for await (const step of lines) {
        steps.push(step);
        if (steps.length === 2) office.child.kill('SIGKILL');
      }
    })(),
  ).rejects.toThrow();
  expect(steps.at(-1)?.step).toBe('progress');

  office = await startBackOffice(dataDir);
  const rest = await report(...slice, '--books', books, '--yes');
  expect(rest).toMatchObject({ code: 0, dry_run: false, events_read: EVENTS });
  expect(rest.changed).toBeGreaterThan(0);
  expect(rest.changed).toBeLessThan(EVENTS);
  expect(await charged('1')).toBe(usd(2n * sumOf(events)));
  expect(await report(...slice, '--books', books, '--yes')).toMatchObject({
    code: 0,
    changed: 0,
    unchanged: EVENTS,
  });

  const why = ['--reason', 'month end', '--by', 'ada'];
  const closed = await cli('period', 'close', '2026-10', ...why, '--json');
  expect(closed.code).toBe(0);
  expect(JSON.parse(closed.stdout)).toMatchObject({
    period: '2026-10',
    state: 'closed',
    by: 'ada',
  });
  const again = await cli('period', 'close', '2026-10', ...why);
  expect([again.code, again.stdout]).toEqual([1, '']);
  expect(again.stderr).toContain('2026-10 is closed already, by ada');
  // Back to the shipped price, with October closed: its sum stands, the difference is posted into November.
  const back = await report(...slice, '--tenant', 'acme-1', '--yes');
  const one = events.filter(({ dimensions }) => dimensions.tenant === 'acme-1');
  expect(back.postings).toEqual([
    {
      period: '2026-10',
      posting_period: '2026-11',
      entries: 2 * one.length,
      amount_usd: `-${usd(sumOf(one))}`,
    },
  ]);
  expect(await charged(`posting_period = '2026-10'`)).toBe(usd(2n * sumOf(events)));
  expect(await charged('1')).toBe(usd(2n * sumOf(events) - sumOf(one)));
  expect((await cli('period', 'reopen', '2026-10', ...why)).code).toBe(0);
  const words = await cli(
    'sql',
    `SELECT JSONExtractString(data_json, 'body', 'state') AS state FROM control_history WHERE kind = 'period' ORDER BY recorded_at`,
    '--csv',
  );
  expect(words.stdout.trim().split('\n')).toEqual(['state', 'closed', 'open']);
});
