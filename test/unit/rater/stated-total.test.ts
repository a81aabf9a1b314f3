import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import { encodeEnvelope } from '../../../schemas/envelope.ts';
import { RatedUsageSchema } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { FLAVOURS } from '../../../schemas/words.ts';
import { routeOf } from '../../../services/proxy/core/route.ts';
import { createReplyMeter } from '../../../services/proxy/reply-meter.ts';
import { envelopeOf, rateBatch } from '../../../services/rater/core/rate-batch.ts';
import { rerate } from '../../../services/rater/core/rerate.ts';
import { totalVerdict } from '../../../services/rater/core/stated-total.ts';
import { book, KNOWN, plainPrices, price, usageEvent } from '../pricing/pricing-fixtures.ts';

const of = (
  flavour: UsageEvent['flavour'],
  raw: object | string,
  classes: UsageEvent['classes'],
  rest: Partial<UsageEvent> = {},
) =>
  totalVerdict(
    usageEvent({
      flavour,
      raw_usage: typeof raw === 'string' ? raw : JSON.stringify(raw),
      classes,
      ...rest,
    }),
  );

describe('case 92 · the total a provider states is held against the sum of our classes', () => {
  test.each<[string, UsageEvent['flavour'], object | string, UsageEvent['classes']]>([
    // 600 + 300 + 100 + 40 = 1,040: cached and written input, reasoning are inside.
    [
      'OpenAI: prompt and completion',
      'openai.chat',
      { prompt_tokens: 1000, completion_tokens: 40, total_tokens: 1040 },
      { input_uncached: '600', cache_read: '300', cache_write_30m: '100', output_text: '40' },
    ],
    [
      'OpenAI Responses, with the image tool beside the usage',
      'openai.responses',
      '{"input_tokens":10,"output_tokens":5,"total_tokens":15}\n{"image_gen":{"total_tokens":900}}',
      { input_uncached: '10', output_text: '2', output_reasoning: '3' },
    ],
    // 1,889 + 52 + 161 = 2,102: reasoning comes on top of the completion.
    [
      'xAI: reasoning on top',
      'openai.chat',
      { prompt_tokens: 1889, completion_tokens: 52, total_tokens: 2102 },
      { input_uncached: '1889', output_text: '52', output_reasoning: '161' },
    ],
    // 46 + 101 tool prompt + 20 + 168 thoughts = 335.
    [
      'Gemini: thoughts and tool prompts are inside the total',
      'gemini.generate',
      '{\n  "promptTokenCount": 46,\n  "totalTokenCount": 335\n}',
      { input_uncached: '147', output_text: '20', output_reasoning: '168' },
    ],
    [
      'Gemini Interactions',
      'gemini.generate',
      { total_input_tokens: 7, total_output_tokens: 3, total_tokens: 10 },
      { input_uncached: '7', output_text: '3' },
    ],
    // 433 + 2,752 + 16 = 3,201: what was cached is beside the input and inside the total.
    [
      'Bedrock Converse',
      'bedrock.converse',
      { inputTokens: 433, outputTokens: 16, cacheReadInputTokens: 2752, totalTokens: 3201 },
      { input_uncached: '433', cache_read: '2752', output_text: '16' },
    ],
    [
      'modalities count',
      'openai.images',
      { input_tokens: 30, output_tokens: 4000, total_tokens: 4030 },
      { input_uncached: '10', 'input_uncached.image': '20', 'output_text.image': '4000' },
    ],
    // Its total is 8 + 100; 50 tokens of citations and 300 of reasoning are sold beside it.
    [
      'Perplexity sells more than its total',
      'openai.chat',
      {
        prompt_tokens: 8,
        completion_tokens: 100,
        total_tokens: 108,
        citation_tokens: 50,
        reasoning_tokens: 300,
        num_search_queries: 2,
      },
      { input_uncached: '58', output_text: '100', output_reasoning: '300' },
    ],
    ['a zero that is stated', 'openai.embeddings', { total_tokens: 0 }, { input_uncached: '0' }],
  ])('%s: agrees, and one token less or more differs', (_name, flavour, raw, classes) => {
    expect(of(flavour, raw, classes)).toBe('agrees');
    expect(of(flavour, raw, { ...classes, 'output_text.audio': '1' })).toBe('differs');
    const [first] = Object.keys(classes) as 'input_uncached'[];
    if (first && classes[first] !== '0') {
      const less = { ...classes, [first]: String(BigInt(classes[first] ?? '0') - 1n) };
      expect(of(flavour, raw, less)).toBe('differs');
    }
  });

  test('parts are what is charged: their sum counts', () => {
    const raw = { prompt_tokens: 30, completion_tokens: 7, total_tokens: 37 };
    const part = (model: string, input: string) => ({
      model,
      classes: { input_uncached: input, output_text: '1' },
      units: {},
    });
    const parts = [part('a', '20'), part('b', '15')];
    expect(of('openai.chat', raw, {}, { parts })).toBe('agrees');
    expect(of('openai.chat', raw, { input_uncached: '37' }, { parts: parts.slice(1) })).toBe(
      'differs',
    );
  });

  test('a usage object that no reader could make sense of differs: its total is not nothing', () => {
    const raw = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 999 };
    expect(of('openai.chat', raw, {}, { ending: 'unknown' })).toBe('differs');
  });

  test.each([-5, 1.5, 1e300, '15', true])('a total of %j is no count and differs', (total) => {
    const raw = { prompt_tokens: 10, total_tokens: total };
    expect(of('openai.chat', raw, { input_uncached: '10' })).toBe('differs');
  });

  test.each<[string, UsageEvent['flavour'], object | string, Partial<UsageEvent>]>([
    ['Anthropic states none', 'anthropic.messages', { input_tokens: 5, output_tokens: 6 }, {}],
    ['Ollama states none', 'ollama.native', { prompt_eval_count: 5 }, {}],
    [
      'Cohere sells billed units, and its tokens are others',
      'cohere.chat',
      { billed_units: { input_tokens: 1 }, tokens: { input_tokens: 90 }, total_tokens: 90 },
      {},
    ],
    [
      "Mistral's total holds audio that is sold by the second",
      'openai.chat',
      { prompt_tokens: 4, completion_tokens: 3, total_tokens: 300, prompt_audio_seconds: 7 },
      {},
    ],
    ['nobody knows a passthrough', 'passthrough', { total_tokens: 90 }, {}],
    ['a total of null', 'openai.chat', { total_tokens: null }, {}],
    [
      'a stream that broke: its last total is not of all that was made',
      'openai.chat',
      { total_tokens: 9 },
      { ending: 'partial', estimate: { basis: 'text_seen', classes: ['output_text'] } },
    ],
    ['text that is cut', 'openai.chat', '{"total_tokens":9', {}],
  ])('%s: not stated', (_name, flavour, raw, rest) => {
    expect(of(flavour, raw, { input_uncached: '1' }, rest)).toBe('not_stated');
  });

  test('without raw usage nothing is stated, whatever the wire format', () => {
    for (const flavour of FLAVOURS)
      expect(totalVerdict(usageEvent({ flavour }))).toBe('not_stated');
  });
});

describe('case 92 · flags', () => {
  const books = createPriceBooks([book(plainPrices())]);
  // 1,000 + 100 tokens; the provider says 1,100 or 1,101. They cost 0.003.
  const event = (total: number, cost = '0.003') =>
    usageEvent({ raw_usage: `{"total_tokens":${total},"cost":${cost}}` });

  test('an entry that total or cost contradict says so, and is charged the same', () => {
    const { envelopes, totals } = rateBatch(
      [event(1100), event(1101), event(1101, '0.004'), usageEvent()],
      books,
      KNOWN,
    );
    expect(envelopes.map(({ rated }) => [rated.flags, rated.total_usd])).toEqual([
      [undefined, '0.003'],
      [['stated_total_differs'], '0.003'],
      [['stated_total_differs', 'stated_cost_differs'], '0.003'],
      [undefined, '0.003'],
    ]);
    expect(totals.map(({ verdict }) => verdict)).toEqual([
      'agrees',
      'differs',
      'differs',
      'not_stated',
    ]);
    for (const { rated } of envelopes) expect(RatedUsageSchema.parse(rated)).toEqual(rated);
  });

  test('a replay writes the same bytes, and re-rating flags as rating does', () => {
    const [first] = rateBatch([event(1101)], books, KNOWN).envelopes;
    const [again] = rateBatch([event(1101)], books, KNOWN).envelopes;
    if (!first || !again) throw new Error('no envelope');
    expect(encodeEnvelope('ratedUsage', again.outer, again.rated)).toEqual(
      encodeEnvelope('ratedUsage', first.outer, first.rated),
    );
    const dearer = createPriceBooks([
      book(plainPrices()),
      book([price('output_text', '0.00002', { known_from: '2026-11-10T00:00:00.000Z' })], {
        version: 2,
        known_from: '2026-11-10T00:00:00.000Z',
      }),
    ]);
    const options = {
      knownAt: dearer.newestKnownFrom,
      postingPeriodOf: (period: string) => period,
    };
    const { entries } = rerate([{ event: event(1101), entries: [first.rated] }], dearer, options);
    // The new price of output takes the stated cost of 0.003 away from ours: 0.002 + 100 x 0.00002 = 0.004.
    expect(entries.map(({ kind, flags, total_usd }) => [kind, flags, total_usd])).toEqual([
      ['reversal', ['stated_total_differs'], '-0.003'],
      ['charge', ['stated_total_differs', 'stated_cost_differs'], '0.004'],
    ]);
    // The books have not changed: nothing to do, flagged or not.
    const same = { knownAt: KNOWN, postingPeriodOf: (period: string) => period };
    expect(rerate([{ event: event(1101), entries: [first.rated] }], books, same).entries).toEqual(
      [],
    );
    expect(envelopeOf(first.rated).outer.id).toBe(first.outer.id);
  });
});

interface Recording {
  src: string;
  uri: string;
  status: number;
  headers: Record<string, string> | null;
  response: unknown;
  stream: string;
}

const FILE = join(import.meta.dirname, '../../../../shared/recordings/provider-responses.jsonl');

/** What the reader of its wire format makes of a recorded reply. */
const eventOf = ({ uri, headers, response, stream }: Recording): UsageEvent | null => {
  const flavour = routeOf('POST', `/x${new URL(uri).pathname}`)?.flavour;
  if (!flavour || typeof response !== 'string' || response.startsWith('base64:')) return null;
  const type = stream === 'sse' ? 'text/event-stream' : 'application/json';
  const head = { status: 200, headers: headers ?? {} };
  const meter = createReplyMeter(flavour, type, { head });
  meter.feed(Buffer.from(response));
  meter.end();
  const { classes, parts, rawUsage, completeness } = meter.statement();
  if (completeness !== 'full' || rawUsage === undefined) return null;
  return usageEvent({ flavour, classes, raw_usage: rawUsage, ...(parts ? { parts } : {}) });
};

describe.skipIf(!existsSync(FILE))(
  'case 92 · real replies (skipped where ../shared/recordings is absent)',
  () => {
    test('no honest reply is flagged, and most state a total', () => {
      const verdicts = { agrees: 0, differs: [] as string[], not_stated: 0 };
      for (const text of readFileSync(FILE, 'utf8').trim().split('\n')) {
        const recording = JSON.parse(text) as Recording;
        const event = recording.status === 200 ? eventOf(recording) : null;
        if (!event) continue;
        const verdict = totalVerdict(event);
        if (verdict === 'differs') verdicts.differs.push(recording.src);
        else verdicts[verdict] += 1;
      }
      expect(verdicts.differs).toEqual([]);
      expect(verdicts.agrees).toBeGreaterThan(300);
      expect(verdicts.not_stated).toBeGreaterThan(50);
    });
  },
);
