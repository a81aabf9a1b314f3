import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Flavour } from '../../schemas/words.ts';
import { FLAVOURS } from '../../schemas/words.ts';
import type { Statement } from '../../services/proxy/core/flavour.ts';
import { routeOf } from '../../services/proxy/core/route.ts';
import { createReplyMeter } from '../../services/proxy/reply-meter.ts';
import type { RecordedExchange } from '../recordings/expectation.ts';
import { expectationOf } from '../recordings/expectation.ts';

const FILE = join(import.meta.dirname, '../../../shared/recordings/provider-responses.jsonl');
const present = existsSync(FILE);
if (!present) console.warn('skipped: ../shared/recordings is not beside the project');

interface Metered {
  exchange: RecordedExchange;
  flavour: Flavour;
}

const flavourOf = ({ uri }: RecordedExchange): Flavour | null =>
  routeOf('POST', `/x${new URL(uri).pathname}`)?.flavour ?? null;

/** Recorded answers that are metered. */
const metered = (): Metered[] =>
  readFileSync(FILE, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RecordedExchange)
    .filter(({ status, request }) => status === 200 && request !== null)
    .flatMap((exchange) => {
      const flavour = flavourOf(exchange);
      return flavour === null ? [] : [{ exchange, flavour }];
    });

const bytesOf = ({ response }: RecordedExchange): Buffer =>
  response.startsWith('base64:') ? Buffer.from(response.slice(7), 'base64') : Buffer.from(response);

/** What is read of a reply whose bytes come in pieces of these sizes. */
const readInPieces = ({ exchange, flavour }: Metered, sizes: readonly number[]): Statement => {
  const headers = exchange.headers ?? {};
  const meter = createReplyMeter(flavour, headers['content-type'], {
    head: { status: exchange.status, headers },
  });
  const bytes = bytesOf(exchange);
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    meter.feed(bytes.subarray(at, at + size));
    at += size;
  }
  meter.end();
  return meter.statement();
};
const readWhole = (one: Metered): Statement => readInPieces(one, [Number.MAX_SAFE_INTEGER]);
const figures = ({ completeness, classes, units, parts }: Statement) => ({
  completeness,
  classes,
  units,
  parts,
});

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
const isObject = (value: Json): value is { [name: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The exchange with every JSON document of its reply changed; null where there is none that could be. */
const changed = (one: Metered, change: (document: Json) => Json): Metered | null => {
  const { response } = one.exchange;
  if (response.startsWith('base64:')) return null;
  const rewrite = (text: string): string => {
    try {
      return JSON.stringify(change(JSON.parse(text)));
    } catch {
      return text;
    }
  };
  const text = /(^|\n)data: ?\{/.test(response)
    ? response.replaceAll(/^(data: ?)(\{.*\})[ \t\r]*$/gm, (_, name, json) => name + rewrite(json))
    : rewrite(response);
  return text === response ? null : { ...one, exchange: { ...one.exchange, response: text } };
};

const everywhere = (value: Json, change: (object: { [name: string]: Json }) => Json): Json => {
  if (Array.isArray(value)) return value.map((item) => everywhere(item, change));
  if (!isObject(value)) return value;
  const inner = Object.entries(value).map(([name, item]) => [name, everywhere(item, change)]);
  return change(Object.fromEntries(inner));
};

const USAGE = /^(usage|usageMetadata|meta|amazon-bedrock-invocationMetrics)$/;
/** Changes usage objects only, wherever they stand. */
const inUsage = (value: Json, change: (usage: { [name: string]: Json }) => Json): Json =>
  everywhere(value, (object) =>
    Object.fromEntries(
      Object.entries(object).map(([name, item]) => [
        name,
        USAGE.test(name) && isObject(item) ? change(item) : item,
      ]),
    ),
  );

const OPTIONAL = [
  'prompt_tokens_details',
  'completion_tokens_details',
  'input_tokens_details',
  'output_tokens_details',
  'cache_creation',
  'server_tool_use',
  'iterations',
  'service_tier',
  'inference_geo',
  'num_cached_tokens',
  'prompt_audio_seconds',
  'cachedContentTokenCount',
  'thoughtsTokenCount',
  'cacheReadInputTokens',
  'cacheDetails',
];

const CHANGES: readonly (readonly [string, (document: Json) => Json])[] = [
  [
    'the members of every object in the opposite order',
    (document) =>
      everywhere(document, (object) => Object.fromEntries(Object.entries(object).reverse())),
  ],
  [
    'what is absent stated as null',
    (document) =>
      inUsage(document, (usage) => ({
        ...Object.fromEntries(OPTIONAL.map((name) => [name, null])),
        ...usage,
      })),
  ],
  [
    'members nobody knows, of every kind',
    (document) =>
      inUsage(document, (usage) => ({
        dream_tokens_details: { lucid_tokens: 12 },
        carbon_grams: 0.25,
        note: 'a sentence, with blanks',
        list: [1, 'two', null],
        ...usage,
      })),
  ],
];

describe.skipIf(!present)('however a real reply comes, the same is read of it', () => {
  const all = present ? metered() : [];
  // xAI and OpenRouter are told by the members of their usage; the rest of this file is about what all hosts share.
  const recorded = all.map((one) => ({ one, read: figures(readWhole(one)) }));

  test('in pieces of any size', () => {
    for (const sizes of [[1], [2, 3, 1, 7], [61, 1, 1, 4093]]) {
      for (const { one, read } of recorded) {
        expect(figures(readInPieces(one, sizes)), one.exchange.src).toEqual(read);
      }
    }
  });

  test.each(CHANGES)('with %s', (_name, change) => {
    let compared = 0;
    for (const { one, read } of recorded) {
      const other = changed(one, change);
      if (!other) continue;
      compared += 1;
      expect(figures(readWhole(other)), one.exchange.src).toEqual(read);
      const wanted = expectationOf(other.exchange);
      expect(wanted, one.exchange.src).toEqual(expectationOf(one.exchange));
    }
    expect(compared).toBeGreaterThan(400);
  });

  test.each([
    ['CRLF', '\r\n'],
    ['CR', '\r'],
  ])('with lines that end in %s', (_name, lineEnd) => {
    const streams = recorded.filter(({ one }) =>
      /event-stream/.test(one.exchange.headers?.['content-type'] ?? ''),
    );
    expect(streams.length).toBeGreaterThan(50);
    for (const { one, read } of streams) {
      const response = one.exchange.response.replaceAll(/\r?\n/g, lineEnd);
      const other = { ...one, exchange: { ...one.exchange, response } };
      expect(figures(readInPieces(other, [5, 1, 2])), one.exchange.src).toEqual(read);
    }
  });

  test('with its last statement said twice: it is set, not added', () => {
    for (const { one, read } of recorded) {
      const said = one.exchange.response.match(/^data: ?\{.*"usage.*$/gm)?.at(-1);
      if (!said) continue;
      const response = one.exchange.response.replace(said, () => `${said}\n\n${said}`);
      const twice = { ...one, exchange: { ...one.exchange, response } };
      expect(figures(readWhole(twice)), one.exchange.src).toEqual(read);
    }
  });

  test('with figures that are no counts it is unreadable, and never another figure', () => {
    const numbers = (value: Json, to: (count: number) => Json): Json => {
      if (typeof value === 'number') return to(value);
      if (Array.isArray(value)) return value.map((item) => numbers(item, to));
      return isObject(value)
        ? Object.fromEntries(Object.entries(value).map(([name, item]) => [name, numbers(item, to)]))
        : value;
    };
    const halves = (value: Json): Json => numbers(value, (count) => count + 0.5);
    const asText = (value: Json): Json => numbers(value, String);
    const below = (value: Json): Json => numbers(value, (count) => -count - 1);
    for (const { one, read } of recorded) {
      if (read.completeness !== 'full' || Object.keys(read.classes).length === 0) continue;
      for (const change of [halves, asText, below]) {
        const other = changed(one, (document) =>
          inUsage(document, (usage) => change(usage) as { [name: string]: Json }),
        );
        if (!other || one.exchange.headers?.['x-amzn-bedrock-input-token-count']) continue;
        expect(readWhole(other), one.exchange.src).toMatchObject({
          completeness: 'unreadable',
          classes: {},
        });
      }
    }
  });

  test('with one figure left out, what is still called full has figures that were all stated', () => {
    for (const { one, read } of recorded) {
      const names = Object.keys(read.classes);
      const other = changed(one, (document) =>
        inUsage(
          document,
          ({ total_tokens: _a, totalTokenCount: _b, totalTokens: _c, ...usage }) => usage,
        ),
      );
      if (!other) continue;
      // The total is only a check: without it the same is read, but where it alone shows what was thought.
      const without = readWhole(other);
      const reasoned = names.includes('output_reasoning');
      if (!reasoned && without.completeness === read.completeness) {
        expect(without.classes, one.exchange.src).toEqual(read.classes);
      }
    }
  });
});

describe('bytes of any kind', () => {
  const TYPES = [
    'application/json',
    'text/event-stream',
    'application/vnd.amazon.eventstream',
    'application/x-ndjson',
    'text/plain',
    undefined,
  ];
  const read = (flavour: Flavour, bytes: Uint8Array, type: string | undefined): Statement => {
    const meter = createReplyMeter(flavour, type, { head: { status: 200, headers: {} } });
    for (let at = 0; at < bytes.length; at += 11)
      meter.feed(Buffer.from(bytes.subarray(at, at + 11)));
    meter.end();
    meter.textSeen();
    return meter.statement();
  };

  test('are never thrown over, and are never taken for figures', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FLAVOURS.filter((flavour) => flavour !== 'openai.speech')),
        fc.uint8Array({ maxLength: 400 }),
        fc.constantFrom(...TYPES),
        (flavour, bytes, type) => {
          expect(read(flavour, bytes, type).classes).toEqual({});
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('that are JSON of any shape are never thrown over', () => {
    const NAMES = [
      'usage',
      'usageMetadata',
      'message',
      'delta',
      'choices',
      'response',
      'output',
      'meta',
    ];
    const LEAVES = [
      'input_tokens',
      'prompt_tokens',
      'candidates',
      'billed_units',
      'iterations',
      'x_groq',
    ];
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        fc.jsonValue({ maxDepth: 1 }),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...NAMES, ...LEAVES), tie('tree'), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(fc.constantFrom(...FLAVOURS), tree, fc.boolean(), (flavour, value, streamed) => {
        const json = JSON.stringify(value) ?? 'null';
        const body = streamed ? `data: ${json}\n\n` : json;
        const type = streamed ? 'text/event-stream' : 'application/json';
        const { classes } = read(flavour, Buffer.from(body), type);
        for (const quantity of Object.values(classes)) expect(quantity).toMatch(/^\d+$/);
      }),
      { numRuns: 3_000 },
    );
  });

  test.each(TYPES)('of %s without an end are not kept without an end', (type) => {
    const meter = createReplyMeter('openai.chat', type, { head: { status: 200, headers: {} } });
    const stream = type === 'text/event-stream' ? 'data: ' : '';
    const start = Buffer.from(type === TYPES[2] ? '\u0000\u0000' : `${stream}{"a":"`);
    const piece = Buffer.alloc(65_536, 'x');
    meter.feed(start);
    // 64 MiB, twice what is read at most.
    for (let fed = 0; fed < 67_108_864; fed += piece.length) meter.feed(piece);
    meter.end();
    expect(meter.statement().classes).toEqual({});
    if (type !== TYPES[2]) expect(meter.overflown()).toBe(true);
  });

  test.skipIf(!present)(
    'that are a real reply cut or with a byte changed are never thrown over',
    () => {
      const all = present ? metered() : [];
      fc.assert(
        fc.property(
          fc.nat(all.length - 1),
          fc.nat(),
          fc.nat(255),
          fc.boolean(),
          (index, where, value, cut) => {
            const one = all[index];
            if (!one) return;
            const bytes = Buffer.from(bytesOf(one.exchange));
            const at = where % Math.max(1, bytes.length);
            if (!cut) bytes[at] = value;
            const { classes } = read(
              one.flavour,
              cut ? bytes.subarray(0, at) : bytes,
              one.exchange.headers?.['content-type'],
            );
            for (const quantity of Object.values(classes)) expect(quantity).toMatch(/^\d+$/);
          },
        ),
        { numRuns: 1_000 },
      );
    },
  );
});
