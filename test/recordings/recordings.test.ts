import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../helpers/run-cli.ts';
import type { Expectation, RecordedExchange } from './expectation.ts';
import { expectationOf } from './expectation.ts';

const SHARED = join(import.meta.dirname, '../../../shared/recordings');
const RECORDS = join(SHARED, 'provider-responses.jsonl');
const present = existsSync(RECORDS);
if (!present) console.warn('skipped: ../shared/recordings is not beside the project');

interface KnownDifference {
  index: number;
  src: string;
  field: string;
  reason: string;
}
const KNOWN: KnownDifference[] = JSON.parse(
  readFileSync(join(import.meta.dirname, 'known-differences.json'), 'utf8'),
);

interface Line extends Omit<Expectation, 'classes' | 'parts' | 'units'> {
  index: number;
  src: string;
  classes: Record<string, string>;
  units: Record<string, string>;
  parts?: { model: string; classes: Record<string, string> }[];
}

const numbers = (quantities: Record<string, string>): Record<string, number> =>
  Object.fromEntries(Object.entries(quantities).map(([name, text]) => [name, Number(text)]));

/** The fields in which a line differs from the expectation. */
const differencesOf = (line: Line, wanted: Expectation): string[] => {
  const pairs: [string, unknown, unknown][] = [
    ['ending', line.ending, wanted.ending],
    ['model', line.model, wanted.model],
    ['tier', line.tier, wanted.tier],
    ['units', numbers(line.units), wanted.units],
    [
      'parts',
      line.parts?.map((p) => [p.model, numbers(p.classes)]),
      wanted.parts?.map((p) => [p.model, p.classes]),
    ],
  ];
  if (wanted.classes !== null) pairs.push(['classes', numbers(line.classes), wanted.classes]);
  return pairs.flatMap(([field, got, want]) => {
    try {
      expect(got).toEqual(want);
      return [];
    } catch {
      return [`${field}: ${JSON.stringify(got)} instead of ${JSON.stringify(want)}`];
    }
  });
};

const sum = (classes: Record<string, number>): number =>
  Object.values(classes).reduce((total, count) => total + count, 0);

/** Replays the exchanges with `reckoner recordings` and gives its lines. */
const replay = async (exchanges: readonly RecordedExchange[]): Promise<Line[]> => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-recordings-test-'));
  try {
    const records = join(directory, 'records.jsonl');
    const out = join(directory, 'out.jsonl');
    writeFileSync(records, exchanges.map((exchange) => `${JSON.stringify(exchange)}\n`).join(''));
    const { code, stderr } = await runCli(['recordings', '--records', records, '--out', out]);
    // 3 would mean that a client did not get the recorded bytes.
    expect(code, stderr).toBe(0);
    return readFileSync(out, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

const readRecords = (): RecordedExchange[] =>
  readFileSync(RECORDS, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RecordedExchange);

describe.skipIf(!present)('recorded replies, replayed through the running proxy', () => {
  const exchanges = present ? readRecords() : [];
  let lines: Line[] = [];
  beforeAll(async () => {
    lines = await replay(exchanges);
  });

  test('every record has its line, and the client got the recorded bytes', () => {
    expect(lines.map(({ index, src }) => [index, src])).toEqual(
      exchanges.map(({ src }, index) => [index, src]),
    );
  });

  test('the expectation itself sums to what the providers state as their total', () => {
    const checked = exchanges.map(expectationOf).filter((e) => e.classes && e.statedTotal);
    expect(checked.length).toBeGreaterThan(exchanges.length / 2);
    for (const { classes, statedTotal } of checked) expect(sum(classes ?? {})).toBe(statedTotal);
  });

  test('what was metered equals the expectation, but for the known differences', () => {
    const found = lines.flatMap((line, index) => {
      const exchange = exchanges[index];
      const differences = exchange ? differencesOf(line, expectationOf(exchange)) : [];
      return differences.map((difference) => `${index} ${line.src} ${difference}`);
    });
    const known = KNOWN.map(({ index, src, field }) => `${index} ${src} ${field}:`);
    expect(found.filter((text) => !known.some((start) => text.startsWith(start)))).toEqual([]);
    // A difference that is gone must leave the list.
    expect(known.filter((start) => !found.some((text) => text.startsWith(start)))).toEqual([]);
    expect(KNOWN.every(({ reason }) => reason.length > 20)).toBe(true);
  });

  test('nothing a provider answered with counts is left unknown', () => {
    const unknown = lines.filter(({ ending }) => ending === 'unknown');
    // A prompt that a guard blocked before the model, and a host whose reply is a bare list of texts.
    expect(unknown.map(({ index }) => index)).toEqual(
      exchanges.flatMap((exchange, index) =>
        expectationOf(exchange).ending === 'unknown' ? [index] : [],
      ),
    );
    expect(unknown.length).toBeLessThan(exchanges.length / 100);
  });
});

interface UsageBody {
  body: Record<string, unknown> & { file: string };
  extracted?: {
    usage?: Record<string, number>;
    extractors: { provider_id: string; api_flavor: string }[];
  }[];
}

/** The endpoint whose replies have a body of this shape, and the status that goes with it. */
const endpointOf = (body: UsageBody['body']): string => {
  const usage = (body['usage'] ?? {}) as Record<string, unknown>;
  if (body['usageMetadata']) {
    const embeds = !('totalTokenCount' in (body['usageMetadata'] as object));
    return `generativelanguage.googleapis.com/v1beta/models/m:${embeds ? 'embedContent' : 'generateContent'}`;
  }
  if (body['meta']) return 'api.cohere.com/v2/embed';
  if ('billed_units' in usage) return 'api.cohere.com/v2/chat';
  if ('inputTokens' in usage) return 'bedrock-runtime.us-east-1.amazonaws.com/model/m/converse';
  if ('prompt_tokens' in usage && !('completion_tokens' in usage)) {
    return 'api.openai.com/v1/embeddings';
  }
  if ('prompt_tokens' in usage) return 'api.openai.com/v1/chat/completions';
  if ('total_tokens' in usage) return 'api.openai.com/v1/responses';
  return 'api.anthropic.com/v1/messages';
};

const asExchange = ({ body }: UsageBody): RecordedExchange => {
  const { file, ...reply } = body;
  return {
    src: file,
    uri: `https://${endpointOf(body)}`,
    status: 200,
    headers: { 'content-type': 'application/json' },
    request: { model: 'm' },
    response: JSON.stringify(reply),
  };
};

/**
 * Where the second opinion is known to err or to mean something else: it takes Mistral's `num_cached_tokens` for uncached input, leaves
 * out Anthropic's compaction and advisor turns, and counts Cohere's tokens where billed units are sold.
 */
const secondOpinionErrs = ({ body }: UsageBody): boolean => {
  const usage = (body['usage'] ?? body['meta'] ?? {}) as Record<string, unknown>;
  return 'num_cached_tokens' in usage || 'iterations' in usage || 'billed_units' in usage;
};

/** How the second opinion names the reader of the same endpoint. */
const READER_OF: readonly (readonly [string, string, string])[] = [
  ['api.openai.com/v1/responses', 'openai', 'responses'],
  ['api.openai.com/v1/chat/completions', 'openai', 'chat'],
  ['api.openai.com/v1/embeddings', 'openai', 'embeddings'],
  ['api.anthropic.com', 'anthropic', 'default'],
  ['generativelanguage', 'google', 'default'],
  ['bedrock-runtime', 'aws', 'default'],
];

const secondOpinion = (body: UsageBody): Record<string, number> | undefined => {
  const endpoint = endpointOf(body.body);
  const [, provider, flavour] = READER_OF.find(([start]) => endpoint.startsWith(start)) ?? [];
  return body.extracted?.find(({ extractors }) =>
    extractors.some((e) => e.provider_id === provider && e.api_flavor === flavour),
  )?.usage;
};

describe.skipIf(!present)('usage objects of real replies, each in a reply of its shape', () => {
  const bodies: UsageBody[] = present
    ? JSON.parse(readFileSync(join(SHARED, 'usage-bodies.json'), 'utf8'))
    : [];
  let lines: Line[] = [];
  beforeAll(async () => {
    lines = await replay(bodies.map(asExchange));
  });

  test('what was metered equals the expectation', () => {
    const found = lines.flatMap((line, index) => {
      const body = bodies[index];
      return body ? differencesOf(line, expectationOf(asExchange(body))) : [];
    });
    expect(found).toEqual([]);
  });

  test('input and output agree with the second opinion where it is right', () => {
    const compared = bodies.flatMap((body, index) => {
      const usage = secondOpinion(body);
      const line = lines[index];
      if (!usage || !line || secondOpinionErrs(body)) return [];
      const side = (pattern: RegExp): number =>
        Object.entries(line.classes).reduce(
          (total, [name, count]) => total + (pattern.test(name) ? Number(count) : 0),
          0,
        );
      return [
        {
          src: line.src,
          ours: [side(/^(input|cache)/), side(/^output/), side(/^cache_read/)],
          theirs: [
            usage['input_tokens'] ?? 0,
            usage['output_tokens'] ?? 0,
            usage['cache_read_tokens'] ?? 0,
          ],
        },
      ];
    });
    expect(compared.length).toBeGreaterThan(450);
    for (const { src, ours, theirs } of compared) expect(ours, src).toEqual(theirs);
  });
});

test('a recorded list of a whole account is withheld by the proxy, and its line says that nothing was metered', async () => {
  const lines = await replay([
    {
      src: 'a list of files',
      uri: 'https://api.openai.com/v1/files?limit=2',
      status: 200,
      headers: { 'content-type': 'application/json' },
      request: '',
      response: '{"object":"list","data":[]}',
    },
  ]);
  expect(lines).toEqual([
    {
      index: 0,
      src: 'a list of files',
      ending: 'not_metered',
      model: null,
      tier: null,
      classes: {},
      units: {},
    },
  ]);
});

test('what is no HTTP exchange has its line, and a body that is still compressed is replayed as one', async () => {
  const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
  const body = { model: 'm', choices: [], usage };
  const record = {
    uri: 'https://api.openai.com/v1/chat/completions',
    status: 200,
    request: { model: 'm' },
  };
  const json = { 'content-type': 'application/json' };
  const lines = await replay([
    {
      ...record,
      src: 'a socket',
      uri: 'wss://api.openai.com/v1/realtime?model=m',
      status: 101,
      response: '',
    },
    {
      ...record,
      src: 'gzip',
      headers: { ...json, 'content-encoding': 'gzip' },
      response: `base64:${gzipSync(JSON.stringify(body)).toString('base64')}`,
    },
    {
      ...record,
      src: 'decoded by the recorder',
      headers: { ...json, 'content-encoding': 'gzip' },
      response: JSON.stringify(body),
    },
    {
      ...record,
      src: 'without headers',
      headers: null,
      response: `data: ${JSON.stringify(body)}\n\n`,
      stream: 'sse',
    },
  ]);
  expect(lines.map(({ src, ending, classes }) => [src, ending, classes])).toEqual([
    ['a socket', 'not_metered', {}],
    ...['gzip', 'decoded by the recorder', 'without headers'].map((src) => [
      src,
      'reported',
      { input_uncached: '5', output_text: '2' },
    ]),
  ]);
});

afterAll(() => {
  if (!present) console.warn('no recorded reply was replayed');
});
