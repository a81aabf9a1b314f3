import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startConsole } from '../../services/console/main.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { EQUAL_TOTALS, TOKEN } from '../unit/console/console-fakes.ts';
import { openControl, openTestWarehouse, writeLedger, writeRollup } from './console-house.ts';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => existsSync(path),
);
const WITHOUT = 'no Chromium at /usr/bin/chromium: apt-get install chromium';
const isSkipped = CHROMIUM === undefined && !process.env['CI'];
if (isSkipped) console.warn(`skipped: ${WITHOUT}`);

// acme 12.5 + 0.000000001, globex 4: together 16.500000001 USD
const LINES = [
  {
    tenant: 'acme',
    at: '2026-11-03T10:00:00.000Z',
    amount: '12.5',
    feature: 'chat',
    model: 'gpt-4o-mini',
  },
  {
    tenant: 'acme',
    at: '2026-11-04T10:00:00.000Z',
    amount: '0.000000001',
    feature: 'agent',
    model: 'gpt-4o',
  },
  { tenant: 'globex', at: '2026-11-04T10:00:00.000Z', amount: '4', model: 'gpt-4o' },
  { tenant: 'globex', at: '2026-10-04T10:00:00.000Z', amount: '1', model: 'gpt-4o' },
];

let store: Awaited<ReturnType<typeof openTestWarehouse>>;
let browser: Browser;
beforeAll(async () => {
  if (isSkipped) return;
  if (CHROMIUM === undefined) throw new Error(WITHOUT);
  store = await openTestWarehouse();
  await writeLedger(store.warehouse, LINES);
  await writeRollup(store.warehouse, LINES);
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});
afterAll(async () => {
  await browser?.close();
  await store?.drop();
});

/** Pixels that stick out of the window, or of a box that would scroll sideways. */
const OVERFLOW =
  "Math.max(...[document.documentElement, ...document.querySelectorAll('.scroll')].map((box) => box.scrollWidth - box.clientWidth))";
const FAINT_TEXT = readFileSync(join(import.meta.dirname, 'console-faint-text.js'), 'utf8');

const nothing = async () => ({});

/** A console over the seeded warehouse, and a logged-in page; whatever the page reports as an error fails the test. */
const openPage = async (path = '/', viewport = { width: 1440, height: 900 }) => {
  const control = await openControl({ tenants: [{ id: 'acme' }] });
  const house = await startConsole({
    ...control,
    config: { host: '127.0.0.1', port: 0 },
    token: TOKEN,
    warehouse: store.warehouse,
    backOffice: control.log,
    budgets: () => [
      {
        budget_id: 'acme-month',
        tenant: 'acme',
        window: 'month 2026-11',
        window_start: '2026-11-01T00:00:00.000Z',
        resets_at: '2026-12-01T00:00:00.000Z',
        limit_usd: '10',
        spent_usd: '12.500000001',
        state: 'block',
        version: 2,
      },
      {
        budget_id: 'globex-month',
        tenant: 'globex',
        window: 'month 2026-11',
        window_start: '2026-11-01T00:00:00.000Z',
        resets_at: '2026-12-01T00:00:00.000Z',
        limit_usd: '2000',
        spent_usd: '1834.5',
        state: 'warn',
        version: 1,
      },
    ],
    freshness: () => ({
      asOf: Date.parse('2026-11-21T14:02:11Z'),
      lagEvents: 0,
      controlTotals: EQUAL_TOTALS,
    }),
    prices: () => [
      {
        ...{
          provider: 'openai',
          version: 2,
          prices: 1_208,
          known_from: '2026-11-21T18:00:00.000Z',
        },
        ...{ approved_by: ['ann', 'ben'], last_compared: '2026-11-21', findings: [] },
      },
      {
        ...{ provider: 'xai', version: 1, prices: 60, known_from: '2026-09-21T12:00:00.000Z' },
        ...{ approved_by: [], last_compared: '2026-09-20' },
        findings: [
          {
            finding: 'stale',
            what: 'last compared with its sources on 2026-09-20; run prices import',
          },
        ],
      },
    ],
    biller: { plan: nothing, push: nothing, verify: nothing, planChargebee: nothing },
    reconciler: { importStatement: nothing, reconcile: nothing },
    rerater: { run: async function* () {} },
    reporter: { run: async function* () {} },
    periods: {
      openItems: async () => ({ unrated: 0, quarantined: 0, not_rated_yet: 0 }),
      runAlone: (work) => work(),
    },
    clock: systemClock,
  });
  const page = await browser.newPage({ viewport });
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  onTestFinished(async () => {
    await page.close();
    await house.close();
  });
  await page.goto(house.url + path);
  return { page, complaints, url: house.url };
};

const logIn = async (page: Page) => {
  await page.getByLabel('Access token').fill(TOKEN);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: /Spend in/ }).waitFor();
};

const exactTotal = (page: Page) => page.locator('h1 data').getAttribute('value');

test.skipIf(isSkipped)(
  'a wrong token is refused in words; the right one opens the page with exact totals',
  async () => {
    const { page, complaints } = await openPage();
    await page.getByLabel('Access token').fill('guess');
    await page.keyboard.press('Enter');
    expect(await page.getByRole('alert').textContent()).toContain('not the token of this house');
    complaints.length = 0;
    await logIn(page);
    // The newest month with spend; October's 1 USD is not in it.
    expect(await exactTotal(page)).toBe('16.500000001');
    expect(await page.locator('.status').textContent()).toContain('as of 14:02:11 UTC');
    expect(await page.locator('.status').textContent()).toContain('0 s behind');
    expect(await page.locator('.status').textContent()).toContain('control totals equal');
    expect(await page.getByText('= ledger').isVisible()).toBe(true);
    expect(await page.locator('.budgets tbody tr').first().textContent()).toContain('blocked');
    expect(complaints).toEqual([]);
  },
);

test.skipIf(isSkipped)(
  'names narrow the page, the address keeps it, and back undoes it',
  async () => {
    const { page } = await openPage();
    await logIn(page);
    await page.getByRole('link', { name: 'Show only tenant acme' }).click();
    await expect.poll(() => exactTotal(page)).toBe('12.500000001');
    expect(new URL(page.url()).search).toBe('?tenant=acme');
    await page.reload();
    await page.getByRole('link', { name: 'Remove tenant acme' }).waitFor();
    expect(await exactTotal(page)).toBe('12.500000001');
    await page.goBack();
    await expect.poll(() => exactTotal(page)).toBe('16.500000001');
    await page.getByRole('combobox').selectOption('2026-10');
    await expect.poll(() => exactTotal(page)).toBe('1');
    expect(new URL(page.url()).search).toBe('?period=2026-10');
  },
);

test.skipIf(isSkipped)(
  'the chart has a table with the same days, and an amount too small to show is not zero',
  async () => {
    const { page } = await openPage('/?tenant=acme');
    await logIn(page);
    await page.getByText('Show as a table').click();
    const rows = page.locator('details table:not(.books) tbody tr');
    expect(await rows.allTextContents()).toEqual(['2026-11-0312.5000', '2026-11-04< 0.0001']);
    expect(await rows.nth(1).locator('data').getAttribute('title')).toBe('0.000000001 USD');
  },
);

test.skipIf(isSkipped)(
  'filters that match nothing lead back; a console that is gone says so and keeps the last figures',
  async () => {
    const { page } = await openPage('/?tenant=nobody');
    await logIn(page);
    await page.getByRole('link', { name: /Show all/ }).click();
    await page.getByRole('heading', { name: 'By day' }).waitFor();
    await page.route('**/api/v1/**', (route) => route.abort());
    await page.getByRole('link', { name: 'Show only tenant acme' }).click();
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toContain('What is shown is the last reading');
    await page.unroute('**/api/v1/**');
    await page.getByRole('button', { name: 'Try again' }).click();
    await alert.waitFor({ state: 'detached' });
    expect(await exactTotal(page)).toBe('12.500000001');
  },
);

test.skipIf(isSkipped)(
  'nothing is cut off at 390, 820 and 1440 pixels, in light and in dark, and text stands out by 4.5 to 1',
  async () => {
    const { page } = await openPage();
    await logIn(page);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const width of [390, 820, 1440]) {
        await page.setViewportSize({ width, height: 900 });
        const overflow = await page.evaluate(OVERFLOW);
        expect([colorScheme, width, overflow]).toEqual([colorScheme, width, 0]);
      }
      expect([colorScheme, await page.evaluate(FAINT_TEXT)]).toEqual([colorScheme, []]);
    }
  },
);

test.skipIf(isSkipped)(
  'price books say what needs a person, at every width, and which they are when opened',
  {
    timeout: 60_000,
  },
  async () => {
    for (const width of [1440, 800, 390]) {
      const { page } = await openPage('/', { width, height: 900 });
      await logIn(page);
      await page.getByRole('heading', { name: 'Price books' }).waitFor();
      const card = page.locator('section', { has: page.locator('#prices') });
      expect(await card.textContent()).toContain('1 book is stale');
      await card.getByText('2 books in force').click();
      expect(await card.textContent()).toContain('last compared with its sources on 2026-09-20');
      expect(await card.textContent()).toContain('ann, ben');
      expect(
        await page.evaluate('document.documentElement.scrollWidth - innerWidth'),
      ).toBeLessThanOrEqual(0);
      const shots = process.env['RECKONER_SHOTS'];
      if (shots) {
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          await page.screenshot({
            path: join(shots, `prices-${width}-${colorScheme}.png`),
            fullPage: true,
          });
        }
      }
    }
  },
);
