import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { scaledAmount } from '../../pricing/money.ts';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { rateBatch } from '../../services/rater/core/rate-batch.ts';
import { rerate } from '../../services/rater/core/rerate.ts';
import type { RerateReport } from '../../services/rater/rerate-tally.ts';
import { book, price, usageEvent } from '../unit/pricing/pricing-fixtures.ts';
import { uuid } from './ledger-facts.ts';
import { openTestWarehouse } from './ledger-rig.ts';
import { startRerateHouse } from './rerate-rig.ts';

const warehouse = await openTestWarehouse();

const TRACES = '../shared/traces';
const FIRST_MS = Date.UTC(2026, 9, 1);
const MONTH_MS = 31 * 86_400_000;

interface Call {
  /** Offset into the trace. */
  atMs: number;
  input: string;
  output: string;
}

const readAzure = (file: string): Call[] =>
  readFileSync(`${TRACES}/${file}`, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((row) => {
      const [time = '', input = '', output = ''] = row.trim().split(',');
      return { atMs: Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`), input, output };
    });

const readMooncake = (file: string): Call[] =>
  readFileSync(`${TRACES}/${file}`, 'utf8')
    .trim()
    .split('\n')
    .map(
      (row) =>
        JSON.parse(row) as { timestamp: number; input_length: number; output_length: number },
    )
    .map((call) => ({
      atMs: call.timestamp,
      input: String(call.input_length),
      output: String(call.output_length),
    }));

const spanOf = (calls: readonly Call[]): { first: number; span: number } => {
  const first = Math.min(...calls.slice(0, 1_000).map(({ atMs }) => atMs));
  return { first, span: calls.reduce((most, { atMs }) => Math.max(most, atMs - first), 1) };
};

/** Stretches a trace of about an hour over the month; how much longer that makes it is `STRETCH`. */
const stretched = (calls: readonly Call[]): Call[] => {
  const { first, span } = spanOf(calls);
  return calls.map((call) => ({
    ...call,
    atMs: FIRST_MS + Math.floor((Math.max(0, call.atMs - first) * (MONTH_MS - 1)) / span),
  }));
};

const MODELS = ['model-a', 'model-b', 'model-c'] as const;

const tracesOf = (): Call[][] => [
  readAzure('azure-llm-inference-code-2023.csv'),
  readAzure('azure-llm-inference-conv-2023.csv'),
  readMooncake('mooncake-conversation.jsonl'),
];
/** Times that each trace is stretched, cut to whole numbers. */
const STRETCH = [779, 764, 757];

const eventsOf = (): UsageEvent[] => {
  const calls = tracesOf().flatMap(stretched);
  let seed = 5;
  return calls.map(({ atMs, input, output }, index) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const model = MODELS[(seed >>> 16) % MODELS.length] ?? 'model-a';
    return usageEvent({
      event_id: uuid(0x6e00, index + 1),
      attempt_id: uuid(0x6e01, index + 1),
      event_ts: new Date(atMs).toISOString(),
      closed_at: new Date(atMs).toISOString(),
      sequence: index + 1,
      dimensions: { tenant: `tenant-${(seed >>> 8) % 7}` },
      model,
      requested_model: model,
      classes: { input_uncached: input, output_text: output },
    });
  });
};

const V1 = '2026-09-01T00:00:00.000Z';
const V2 = '2026-10-20T00:00:00.000Z';
const V3 = '2026-11-05T00:00:00.000Z';
const CHANGE = '2026-10-15T00:00:00.000Z';
const of = (model: string, input: string, output: string, rest: object) => [
  price('input_uncached', input, { model, ...rest }),
  price('output_text', output, { model, ...rest }),
];
const versions = [
  book(
    [
      ...of('model-a', '0.000002', '0.00001', { known_from: V1 }),
      ...of('model-b', '0.00000015', '0.0000006', { known_from: V1 }),
    ],
    { known_from: V1 },
  ),
  // From the fifteenth on model-a is cheaper; model-c has a price.
  book(
    [
      ...of('model-a', '0.0000015', '0.000008', { known_from: V2, valid_from: CHANGE }),
      ...of('model-c', '0.00000301', '0.00001507', { known_from: V2 }),
    ],
    { version: 2, known_from: V2 },
  ),
  // The output of model-b always cost 0.65.
  book([price('output_text', '0.00000065', { model: 'model-b', known_from: V3 })], {
    version: 3,
    known_from: V3,
  }),
];
const books = createPriceBooks(versions);

type Known = 1 | 2 | 3;

/** USD as a count of 10^-8 by plain whole numbers: what a token of each model costs, by what was known. */
const sumKnown = (events: readonly UsageEvent[], known: Known): bigint => {
  let sum = 0n;
  for (const { model, event_ts: at, classes } of events) {
    let input = 0n;
    let output = 0n;
    if (model === 'model-a') {
      const isCheaper = known >= 2 && at >= CHANGE;
      input = isCheaper ? 150n : 200n;
      output = isCheaper ? 800n : 1000n;
    } else if (model === 'model-b') {
      input = 15n;
      output = known >= 3 ? 65n : 60n;
    } else if (known >= 2) {
      input = 301n;
      output = 1507n;
    }
    sum +=
      BigInt(classes.input_uncached ?? '') * input + BigInt(classes.output_text ?? '') * output;
  }
  return sum;
};

const totalOf = (entries: Iterable<RatedUsage>): bigint => {
  let sum = 0n;
  for (const { total_usd: total } of entries) sum += scaledAmount(total ?? '0');
  return sum;
};
const scaled = (units: bigint): bigint => units * 10n ** 10n;

const rerateAll = (
  events: readonly UsageEvent[],
  entries: Map<string, RatedUsage[]>,
  options: { books: PriceBooks; knownAt: string },
) => {
  const result = rerate(
    events.map((event) => ({ event, entries: entries.get(event.event_id) ?? [] })),
    options.books,
    { knownAt: options.knownAt, postingPeriodOf: (period) => period },
  );
  for (const entry of result.entries) entries.get(entry.event_id)?.push(entry);
  return result;
};

test.skipIf(!existsSync(TRACES))(
  'a month of real traffic under three books, one of them a correction, is what plain whole numbers say (needs ../shared/traces)',
  { timeout: 120_000 },
  () => {
    const events = eventsOf();
    expect(events.length).toBeGreaterThan(35_000);
    expect(events.every(({ event_ts: at }) => at.startsWith('2026-10-'))).toBe(true);
    const first = rateBatch(events, books, V1);
    expect([...first.unrated.keys()]).toEqual(['unknown_model']);
    const entries = new Map<string, RatedUsage[]>();
    for (const { rated } of first.envelopes) entries.set(rated.event_id, [rated]);
    const total = () => totalOf([...entries.values()].flat());
    expect(total()).toBe(scaled(sumKnown(events, 1)));
    for (const [known, knownAt] of [
      [2, V2],
      [3, V3],
    ] as const) {
      const before = total();
      const { differences } = rerateAll(events, entries, { books, knownAt });
      expect(total()).toBe(scaled(sumKnown(events, known)));
      const stated = differences.map(({ difference_usd: usd }) => scaledAmount(usd));
      expect(stated.reduce((sum, one) => sum + one, 0n)).toBe(total() - before);
      // The same as if that had been known from the start.
      const fresh = rateBatch(events, books, knownAt).envelopes.map(({ rated }) => rated);
      expect(totalOf(fresh)).toBe(total());
      expect(rerateAll(events, entries, { books, knownAt }).entries).toEqual([]);
    }
    // And as it was known in the beginning, once more.
    rerateAll(events, entries, { books, knownAt: V1 });
    expect(total()).toBe(scaled(sumKnown(events, 1)));
  },
);

/** 10^-8 USD as the warehouse writes USD. */
const written = (units: bigint): string => {
  const sign = units < 0n ? '-' : '';
  const digits = (units < 0n ? -units : units).toString().padStart(9, '0');
  const fraction = digits.slice(-8).replace(/0+$/, '');
  return `${sign}${digits.slice(0, -8)}${fraction === '' ? '' : `.${fraction}`}`;
};

type Sums = Record<string, string>;

/** What is spent, by plain whole numbers: in all, by tenant, by tenant and day. A group in which nothing has a price is left out. */
const expectedSpend = (events: readonly UsageEvent[], known: Known) => {
  const by = (keyOf: (event: UsageEvent) => string): Sums => {
    const groups = Map.groupBy(
      events.filter(({ model }) => known > 1 || model !== 'model-c'),
      keyOf,
    );
    return Object.fromEntries(
      [...groups].map(([key, group]) => [key, written(sumKnown(group, known))]),
    );
  };
  const tenants = by(({ dimensions }) => dimensions.tenant);
  return {
    total: written(sumKnown(events, known)),
    charges: tenants,
    hourly: tenants,
    daily: by(({ dimensions, event_ts: at }) => `${dimensions.tenant} ${at.slice(0, 10)}`),
  };
};

const readSums = async (key: string, view: string): Promise<Sums> => {
  const rows = await warehouse.query<{ key: string; usd: string }>(
    `SELECT ${key} AS key, toString(sum(amount_usd)) AS usd FROM ${view} GROUP BY key`,
  );
  return Object.fromEntries(rows.map((row) => [row.key, row.usd]));
};

const readTotal = async (): Promise<string> => {
  const [row] = await warehouse.query<{ usd: string }>(
    'SELECT toString(sum(amount_usd)) AS usd FROM charges',
  );
  return row?.usd ?? '';
};

const readSpend = async () => ({
  total: await readTotal(),
  charges: await readSums('tenant', 'charges'),
  hourly: await readSums('tenant', 'spend_hourly'),
  daily: await readSums("concat(tenant, ' ', toString(day))", 'spend_daily'),
});

const countEntries = async (): Promise<string> => {
  const [row] = await warehouse.query<{ entries: string }>(
    'SELECT toString(count()) AS entries FROM ledger_entries FINAL',
  );
  return row?.entries ?? '';
};

/** Differences of all causes, by tenant, in 10^-18 USD. */
const differencesOf = (report: RerateReport): Record<string, bigint> => {
  const sums: Record<string, bigint> = {};
  for (const { tenant, difference_usd: usd } of report.differences)
    sums[tenant] = (sums[tenant] ?? 0n) + scaledAmount(usd);
  return sums;
};

/** Every nth call of the traces, so many. */
const sampleOf = (events: readonly UsageEvent[], count: number): UsageEvent[] => {
  const step = Math.floor(events.length / count);
  return events
    .filter((_, index) => index % step === 0)
    .slice(0, count)
    .map((event, index) => ({ ...event, sequence: index + 1 }));
};

test.skipIf(!existsSync(TRACES))(
  'six thousand calls of that month through the whole house: the ledger and its rollups are what plain whole numbers say after every book (needs ../shared/traces)',
  { timeout: 180_000 },
  async () => {
    expect(
      tracesOf().map((calls) => Math.floor(MONTH_MS / spanOf(calls).span)),
      'times that each trace is stretched to fill October',
    ).toEqual(STRETCH);
    const events = sampleOf(eventsOf(), 6_000);
    expect(events).toHaveLength(6_000);
    const [one, two, three] = versions.map((_, index) =>
      createPriceBooks(versions.slice(0, index + 1)),
    );
    if (!one || !two || !three) throw new Error('there are three versions');
    const folder = new Map([
      ['two', two],
      ['three', three],
    ]);
    const { house, publish, rerate: rateAgain } = await startRerateHouse(warehouse, one, folder);
    for (let from = 0; from < events.length; from += 1_000)
      await publish(events.slice(from, from + 1_000));
    await house.settle();
    expect(await readSpend()).toEqual(expectedSpend(events, 1));

    let entries = 6_000;
    for (const [known, name] of [
      [2, 'two'],
      [3, 'three'],
    ] as const) {
      const before = await readSpend();
      const dry = await rateAgain({ books: name });
      expect(await readSpend()).toEqual(before);
      expect(await countEntries()).toBe(String(entries));
      const applied = await rateAgain({ books: name, apply: true });
      expect(applied).toEqual({ ...dry, dry_run: false });
      await house.settle();
      const after = await readSpend();
      expect(after).toEqual(expectedSpend(events, known));
      // What both said is what came of it, tenant by tenant.
      for (const [tenant, difference] of Object.entries(differencesOf(dry))) {
        const scaledOf = (sums: Sums) => scaledAmount(sums[tenant] ?? '0');
        expect(scaledOf(after.charges) - scaledOf(before.charges)).toBe(difference);
      }
      expect(dry.difference_usd).toBe(
        written(sumKnown(events, known) - sumKnown(events, (known - 1) as Known)),
      );
      entries += dry.entries;
      expect(await countEntries()).toBe(String(entries));

      const again = await rateAgain({ books: name, apply: true });
      expect(again).toMatchObject({ changed: 0, entries: 0, difference_usd: '0' });
      expect(await countEntries()).toBe(String(entries));
      expect(await readSpend()).toEqual(after);
    }
  },
);
