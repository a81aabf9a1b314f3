import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { scaledAmount } from '../../pricing/money.ts';
import type { PriceBooks } from '../../pricing/price-books.ts';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { rateBatch } from '../../services/rater/core/rate-batch.ts';
import { rerate } from '../../services/rater/core/rerate.ts';
import { book, price, usageEvent } from '../unit/pricing/pricing-fixtures.ts';
import { uuid } from './ledger-facts.ts';

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

/** Stretches a trace over the month: its hour times about 744. */
const stretched = (calls: readonly Call[]): { atMs: number; input: string; output: string }[] => {
  const first = Math.min(...calls.slice(0, 1_000).map(({ atMs }) => atMs));
  const span = calls.reduce((most, { atMs }) => Math.max(most, atMs - first), 1);
  return calls.map((call) => ({
    ...call,
    atMs: FIRST_MS + Math.floor((Math.max(0, call.atMs - first) * (MONTH_MS - 1)) / span),
  }));
};

const MODELS = ['model-a', 'model-b', 'model-c'] as const;

const eventsOf = (): UsageEvent[] => {
  const calls = [
    ...stretched(readAzure('azure-llm-inference-code-2023.csv')),
    ...stretched(readAzure('azure-llm-inference-conv-2023.csv')),
    ...stretched(readMooncake('mooncake-conversation.jsonl')),
  ];
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
const books = createPriceBooks([
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
]);

/** USD as a count of 10^-8 by plain whole numbers: what a token of each model costs, by what was known. */
const sumKnown = (events: readonly UsageEvent[], known: 1 | 2 | 3): bigint => {
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
