import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ENVELOPES, encodeEnvelope } from '../../schemas/envelope.ts';
import { NOT_SURE, settleOf } from '../../schemas/settle.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent } from '../integration/ledger-facts.ts';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const parse = (bytes: Uint8Array | null): Json =>
  JSON.parse(Buffer.from(bytes ?? []).toString()) as Json;

const event = usageEvent({ tenant: 'acme', number: 7, space: 1, feature: 'chat' });
const RATED: Json[] = [
  ratedUsage(event),
  ratedUsage(event, { kind: 'reversal', revision: 2 }),
  ratedUsage(event, { unrated: true }),
  { ...ratedUsage(event), assumed: ['tier'], flags: ['stated_cost_differs'] },
].map((rated) => parse(ratedEntry(rated as ReturnType<typeof ratedUsage>).value));
const EVENTS: Json[] = [
  event,
  { ...event, parts: [{ model: 'm', classes: { 'input_uncached.audio': '1.5' }, units: {} }] },
  { ...event, estimate: { basis: 'text_seen', classes: ['output_text'] }, ending: 'estimated' },
].map((one) => parse(usageEntry(one as typeof event).value));

/** Values a field may be confused with, and those that trip careless readers. */
const ODD: Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  '',
  'acme',
  '-1',
  '0.1',
  '1e3',
  '01',
  '1.0000000000000000001',
  '2026-11-21T20:15:00.123Z',
  '2026-11',
  'constructor',
  '__proto__',
  'x'.repeat(64),
  'x'.repeat(65),
  '🧮'.repeat(33),
  '🧮'.repeat(100),
  [],
  [null],
  {},
  { constructor: 'x' },
  { a: 'b' },
  JSON.parse('{"__proto__": "x"}') as Json,
];

const placesOf = (value: Json, path: string[] = []): string[][] =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([name, inner]) => [
        [...path, name],
        ...placesOf(inner, [...path, name]),
      ])
    : [];

type Edit = { at: number; how: 'replace' | 'remove' | 'add' | 'last'; odd: number; name: string };

const edit = (value: Json, { at, how, odd, name }: Edit): void => {
  const places = placesOf(value);
  const path = places[at % places.length] ?? [];
  let parent = value as { [name: string]: Json };
  for (const step of path.slice(0, -1)) parent = parent[step] as { [name: string]: Json };
  const last = path.at(-1) ?? '';
  const replacement = structuredClone(ODD[odd % ODD.length] ?? null);
  if (how === 'replace') parent[last] = replacement;
  else if (how === 'add') {
    Object.defineProperty(parent, name, {
      value: replacement,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  } else if (how === 'last' && !Array.isArray(parent)) {
    const moved = parent[last] as Json;
    delete parent[last];
    parent[last] = moved;
  } else if (!Array.isArray(parent)) delete parent[last];
};

const edits = fc.array(
  fc.record({
    at: fc.nat(200),
    how: fc.constantFrom<Edit['how'][]>('replace', 'remove', 'add', 'last'),
    odd: fc.nat(ODD.length - 1),
    name: fc.constantFrom('extra', '__proto__', 'constructor', 'ceiling_usd', 'geo', 'supersedes'),
  }),
  { maxLength: 3 },
);

describe.each([
  { kind: 'ratedUsage' as const, valid: RATED },
  { kind: 'usageEvent' as const, valid: EVENTS },
])('$kind', ({ kind, valid }) => {
  const settle = settleOf(ENVELOPES[kind]);

  test('valid records are settled without zod, in the bytes zod would give', () => {
    for (const one of valid) {
      expect(ENVELOPES[kind].safeParse(one).success).toBe(true);
      expect(JSON.stringify(settle(structuredClone(one)))).toBe(
        JSON.stringify(ENVELOPES[kind].parse(one)),
      );
    }
  });

  test('whatever is done to a record, what is settled is what zod says, to the byte', () => {
    fc.assert(
      fc.property(fc.constantFrom(...valid), edits, (one, changes) => {
        const value = structuredClone(one);
        for (const change of changes) edit(value, change);
        const judged = ENVELOPES[kind].safeParse(value);
        const settled = settle(value);
        if (settled === NOT_SURE) return;
        expect(judged.success).toBe(true);
        expect(JSON.stringify(settled)).toBe(JSON.stringify(judged.data));
      }),
      { numRuns: 3_000 },
    );
  });

  test('a record whose keys lie in another order comes back in the order of the schema', () => {
    const [first] = valid;
    const turned = Object.fromEntries(Object.entries(first as object).reverse());
    expect(JSON.stringify(turned)).not.toBe(JSON.stringify(first));
    expect(JSON.stringify(settle(turned))).toBe(JSON.stringify(ENVELOPES[kind].parse(first)));
  });
});

test.each<[string, z.ZodType, unknown]>([
  ['an object that drops what it does not know', z.object({ a: z.string() }), { a: 'b', c: 'd' }],
  ['a transform', z.strictObject({ a: z.string().transform((a) => `${a}!`) }), { a: 'b' }],
  ['a trim', z.string().trim(), ' a '],
  ['a default', z.strictObject({ a: z.string().default('b') }), {}],
  ['a coercion', z.coerce.string(), 'a'],
  ['a record of every key', z.record(z.enum(['a', 'b']), z.string()), { a: 'x' }],
  ['an e-mail address', z.email(), 'not one'],
  ['a small whole number', z.int32(), 2 ** 40],
  ['a number with a fraction', z.number(), 1.5],
])('%s is left to zod', (_name, schema, value) => {
  expect(settleOf(schema)(value)).toBe(NOT_SURE);
});

test('encodes and settles the same bytes', () => {
  const rated = ratedUsage(event);
  const outer = { id: rated.entry_id, source: '/rater', subject: 'acme', time: rated.event_ts };
  const bytes = encodeEnvelope('ratedUsage', outer, ENVELOPES.ratedUsage.shape.data.parse(rated));
  const settled = settleOf(ENVELOPES.ratedUsage)(parse(bytes));
  expect(JSON.stringify(settled)).toBe(Buffer.from(bytes).toString());
});
