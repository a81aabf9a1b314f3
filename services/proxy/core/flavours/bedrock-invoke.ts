import { keepRawMembers, keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyEvent, ReplyHead, ReplyReader, Statement } from '../flavour.ts';
import { asArray, asLowerWord, asObject, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { joinRaw, makeStatement } from '../statement.ts';
import { createAnthropicMessagesReader } from './anthropic-messages.ts';
import { readBedrockUsage, readInvocationCounts } from './bedrock-usage.ts';
import { createCohereReader } from './cohere.ts';
import { createOpenAiChatReader } from './openai-chat.ts';

const METRICS = 'amazon-bedrock-invocationMetrics';

const COUNT_HEADERS = {
  inputTokenCount: 'x-amzn-bedrock-input-token-count',
  outputTokenCount: 'x-amzn-bedrock-output-token-count',
  cacheReadInputTokenCount: 'x-amzn-bedrock-cache-read-input-token-count',
  cacheWriteInputTokenCount: 'x-amzn-bedrock-cache-write-input-token-count',
} as const;

const headerCounts = ({ headers }: ReplyHead): JsonObject | null => {
  const counts = Object.entries(COUNT_HEADERS).flatMap(([name, header]) => {
    const value = headers[header];
    return typeof value === 'string' && /^\d{1,15}$/.test(value) ? [[name, Number(value)]] : [];
  });
  return counts.length === 0 ? null : Object.fromEntries(counts);
};

/** Counts in the bodies of vendors that have no usage object: Titan and Llama. */
const vendorCounts = (object: JsonObject): JsonObject | null => {
  const input = object['inputTextTokenCount'] ?? object['prompt_token_count'];
  if (input === undefined || input === null) return null;
  const results = asArray(object['results']).map(asObject);
  const output =
    object['generation_token_count'] ??
    object['totalOutputTextTokenCount'] ??
    (results.length > 0
      ? results.reduce((sum, result) => sum + Number(result?.['tokenCount']), 0)
      : undefined);
  return { inputTokenCount: input, ...(output === undefined ? {} : { outputTokenCount: output }) };
};

const VENDOR_MEMBERS = [
  'inputTextTokenCount',
  'totalOutputTextTokenCount',
  'prompt_token_count',
  'generation_token_count',
];

/** Pictures in the bodies of Titan Image, Nova Canvas, Stability and SDXL, which are sold by the picture. */
const picturesIn = (object: JsonObject): number =>
  [...asArray(object['images']), ...asArray(object['artifacts'])].filter(
    (item) => typeof item === 'string' || typeof asObject(item)?.['base64'] === 'string',
  ).length;

/** The tier a reply's headers state, or `optimized` where the latency-optimised variant served the call. */
const tierOf = ({ headers }: ReplyHead): string | undefined => {
  const tier = asLowerWord(headers['x-amzn-bedrock-service-tier'], 64);
  const latency = headers['x-amzn-bedrock-performanceconfig-latency'];
  return tier ?? (latency === 'optimized' ? 'optimized' : undefined);
};

/** Text of vendors whose bodies no other reader looks at: Titan, Llama, Claude 2, Mistral, AI21. */
const seeText = (object: JsonObject, seen: { add(piece: unknown): void }): void => {
  seen.add(object['outputText'] ?? object['generation'] ?? object['completion']);
  seen.add(asObject(asObject(object['contentBlockDelta'])?.['delta'])?.['text']);
  for (const made of [...asArray(object['outputs']), ...asArray(object['results'])]) {
    seen.add(asObject(made)?.['text'] ?? asObject(made)?.['outputText']);
  }
  for (const made of asArray(object['completions'])) {
    seen.add(asObject(asObject(made)?.['data'])?.['text']);
  }
};

/** What a Bedrock reply states, each at its own place. */
interface Gathered {
  /** AWS's own counts, from headers or from the last chunk. */
  counts: JsonObject | null;
  rawCounts: string | undefined;
  /** Usage object in Bedrock's own words (Nova). */
  own: JsonObject | null;
  rawOwn: string | undefined;
  /** Counts in the words of Titan and Llama. */
  vendor: JsonObject | null;
  rawVendor: string | undefined;
  pictures: number;
}

const NOTHING_GATHERED: Gathered = {
  counts: null,
  rawCounts: undefined,
  own: null,
  rawOwn: undefined,
  vendor: null,
  rawVendor: undefined,
  pictures: 0,
};

const gather = (gathered: Gathered, source: string, object: JsonObject): void => {
  const metrics = asObject(object[METRICS]);
  if (metrics) {
    gathered.counts = metrics;
    gathered.rawCounts = keepRawUsage(sourceAt(source, [METRICS]), metrics);
  }
  const path = asObject(object['metadata']) ? ['metadata', 'usage'] : ['usage'];
  const usage = asObject((asObject(object['metadata']) ?? object)['usage']);
  if (usage && 'inputTokens' in usage) {
    gathered.own = usage;
    gathered.rawOwn = keepRawUsage(sourceAt(source, path), usage);
  }
  const vendor = vendorCounts(object);
  if (!vendor) return;
  gathered.vendor = { ...gathered.vendor, ...vendor };
  gathered.rawVendor = joinRaw([gathered.rawVendor, keepRawMembers(source, VENDOR_MEMBERS)]);
};

/**
 * Bedrock InvokeModel and its stream: the body is the vendor's, so readers of the vendors' formats look at it; AWS's own counts stand in
 * headers and in the last chunk. Billed by the body where it states usage; both statements are kept, as they differ now and then.
 */
export const createBedrockInvokeReader = (): ReplyReader => {
  const vendors = [createAnthropicMessagesReader(), createOpenAiChatReader(), createCohereReader()];
  const seen = createTextSeen();
  const gathered: Gathered = { ...NOTHING_GATHERED };
  let tier: string | undefined;

  const readOwn = (source: string, data: unknown): void => {
    const object = asObject(data);
    if (!object) return;
    seeText(object, seen);
    gathered.pictures += picturesIn(object);
    gather(gathered, source, object);
  };
  const readEvent = (event: ReplyEvent): void => {
    const usage = asObject(asObject(event.data)?.['usage']);
    const nova = usage !== null && 'inputTokens' in usage;
    if (!nova) for (const reader of vendors) reader.readEvent(event);
    readOwn(event.source, event.data);
  };

  /** The vendor's own reading, where the body is of a format that states usage. */
  const vendorStatement = (): Statement | null => {
    const stated = vendors.map((reader) => reader.statement());
    return stated.find(({ completeness }) => completeness === 'full') ?? null;
  };

  const statement = (): Statement => {
    const { counts, own, vendor } = gathered;
    const named = vendors.map((reader) => reader.statement());
    const model = named.find((one) => one.model !== undefined)?.model;
    const finishReason = named.find((one) => one.finishReason !== undefined)?.finishReason;
    const inBody = vendorStatement();
    if (inBody) {
      const rawUsage = joinRaw([inBody.rawUsage, gathered.rawCounts]);
      const served = tier ?? inBody.tier;
      return {
        ...inBody,
        ...(served === undefined ? {} : { tier: served }),
        ...(rawUsage === undefined ? {} : { rawUsage }),
      };
    }
    const rawUsage = joinRaw([gathered.rawOwn, gathered.rawVendor, gathered.rawCounts]);
    const about = { rawUsage, model, tier, finishReason };
    if (own) return makeStatement(about, () => ({ classes: readBedrockUsage(own) }));
    const { pictures } = gathered;
    const sold = { classes: {}, units: { images: String(pictures) } };
    if (pictures > 0) return makeStatement(about, () => sold);
    if (counts) return makeStatement(about, () => ({ classes: readInvocationCounts(counts) }));
    if (vendor) return makeStatement(about, () => ({ classes: readInvocationCounts(vendor) }));
    return named.find(({ completeness }) => completeness !== 'none') ?? makeStatement(about, null);
  };

  return {
    readHead: (head) => {
      tier = tierOf(head);
      gathered.counts = headerCounts(head);
      if (gathered.counts) gathered.rawCounts = keepRawUsage(null, gathered.counts);
    },
    readBody: (source, body) => {
      const usage = asObject(asObject(body)?.['usage']);
      if (usage && 'input_tokens' in usage) vendors[0]?.readBody(source, body);
      if (usage && 'prompt_tokens' in usage) vendors[1]?.readBody(source, body);
      if (asObject(asObject(body)?.['meta'])) vendors[2]?.readBody(source, body);
      readOwn(source, body);
    },
    readEvent,
    statement,
    textSeen: () => [seen.text(), ...vendors.map((reader) => reader.textSeen())].join(''),
  };
};
