/**
 * What should be metered of a recorded exchange, worked out a second time. It shares no code with the services: own framing, own
 * readers, written from the providers' rules alone. `statedTotal` is what the provider itself says all tokens sum to, so that this
 * file is checked too.
 */

export interface RecordedExchange {
  src: string;
  uri: string;
  status: number;
  headers?: Record<string, string> | null;
  request?: unknown;
  response: string;
  stream?: string;
}

export interface Expectation {
  ending: string;
  model: string | null;
  tier: string | null;
  /** Null where nothing is stated and the figures are the proxy's own estimate. */
  classes: Record<string, number> | null;
  units: Record<string, number>;
  parts?: { model: string; classes: Record<string, number> }[];
  statedTotal?: number;
}

// biome-ignore lint/suspicious/noExplicitAny: recorded JSON of forty shapes, read by trial
type Json = any;

/** Frames of an AWS event stream: total length, header length, checksum, headers, payload, checksum. */
const awsDocuments = (bytes: Buffer): Json[] => {
  const documents: Json[] = [];
  for (let at = 0; at + 16 <= bytes.length; at += bytes.readUInt32BE(at)) {
    const end = at + bytes.readUInt32BE(at) - 4;
    const payload = JSON.parse(bytes.toString('utf8', at + 12 + bytes.readUInt32BE(at + 4), end));
    const inner = payload.bytes && Buffer.from(payload.bytes, 'base64').toString('utf8');
    documents.push(inner ? JSON.parse(inner) : payload);
  }
  return documents;
};

const tryParse = (text: string): Json[] => {
  try {
    return [JSON.parse(text)];
  } catch {
    return [];
  }
};

const documentsOf = (exchange: RecordedExchange): Json[] => {
  const { response } = exchange;
  if (response.startsWith('base64:')) return awsDocuments(Buffer.from(response.slice(7), 'base64'));
  if (/(^|\n)data: ?\{/.test(response)) {
    return response
      .split(/\r?\n/)
      .filter((line) => line.startsWith('data:'))
      .flatMap((line) => tryParse(line.slice(5)));
  }
  const whole = tryParse(response);
  return whole.length > 0 ? whole.flat() : response.split('\n').flatMap(tryParse);
};

const last = <T>(items: readonly (T | undefined | null)[]): T | undefined =>
  items.filter((item) => item !== undefined && item !== null).at(-1) ?? undefined;

const lower = (word: unknown): string | null => (word ? String(word).toLowerCase() : null);

/** Zero classes are left out. */
const positive = (classes: Record<string, number | undefined>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(classes).filter((entry): entry is [string, number] => (entry[1] ?? 0) !== 0),
  );

type Found = Pick<Expectation, 'classes'> & Partial<Expectation>;

const MODALITY_WORDS = ['AUDIO', 'IMAGE', 'VIDEO', 'DOCUMENT'];

/** Tokens of one modality in Gemini's details. */
const modal = (details: Json, word: string): number =>
  (details ?? [])
    .filter((entry: Json) => entry.modality === word)
    .reduce((sum: number, entry: Json) => sum + entry.tokenCount, 0);

const gemini = (documents: Json[]): Found => {
  const meta = last(documents.map((d) => d.usageMetadata)) ?? {};
  const queries = new Set(
    documents.flatMap((d) =>
      (d.candidates ?? [])
        .flatMap((c: Json) => c.groundingMetadata?.webSearchQueries ?? [])
        .filter(Boolean),
    ),
  );
  const model = last(documents.map((d) => d.modelVersion)) ?? null;
  const about = { model, tier: lower(meta.serviceTier ?? meta.trafficType) };
  if (meta.promptTokenCount === undefined) return { classes: null, ...about };
  const cached = meta.cachedContentTokenCount ?? 0;
  const classes: Record<string, number> = {
    input_uncached: meta.promptTokenCount + (meta.toolUsePromptTokenCount ?? 0) - cached,
    cache_read: cached,
    output_text: meta.candidatesTokenCount ?? 0,
    output_reasoning: meta.thoughtsTokenCount ?? 0,
  };
  for (const word of MODALITY_WORDS) {
    const name = word.toLowerCase();
    const inCache = modal(meta.cacheTokensDetails, word);
    const asked =
      modal(meta.promptTokensDetails, word) + modal(meta.toolUsePromptTokensDetails, word);
    const made = modal(meta.candidatesTokensDetails, word);
    const moved: [string, number][] = [
      ['input_uncached', asked - inCache],
      ['cache_read', inCache],
      ['output_text', made],
    ];
    for (const [total, count] of moved) {
      classes[`${total}.${name}`] = count;
      classes[total] = (classes[total] ?? 0) - count;
    }
  }
  const searches = /gemini-2/.test(model ?? '') ? Math.min(1, queries.size) : queries.size;
  return {
    classes: positive(classes),
    units: positive({ web_search_requests: searches }),
    statedTotal: meta.totalTokenCount,
    ...about,
  };
};

const anthropicClasses = (usage: Json): Record<string, number> => {
  const hour = usage.cache_creation?.ephemeral_1h_input_tokens ?? 0;
  return {
    input_uncached: usage.input_tokens,
    cache_read: usage.cache_read_input_tokens ?? 0,
    cache_write_5m: (usage.cache_creation_input_tokens ?? 0) - hour,
    cache_write_1h: hour,
    output_text: usage.output_tokens - (usage.output_tokens_details?.thinking_tokens ?? 0),
    output_reasoning: usage.output_tokens_details?.thinking_tokens ?? 0,
  };
};

const plus = (a: Record<string, number>, b: Record<string, number>): Record<string, number> =>
  Object.fromEntries(
    [...new Set([...Object.keys(a), ...Object.keys(b)])].map((name) => [
      name,
      (a[name] ?? 0) + (b[name] ?? 0),
    ]),
  );

const anthropic = (documents: Json[]): Found => {
  const statements = documents.flatMap((d) => [d.message?.usage, d.usage]).filter(Boolean);
  const model = last(documents.map((d) => d.message?.model ?? d.model)) ?? null;
  if (statements.length === 0) return { classes: null, model };
  // Null says nothing; what an earlier statement said stands.
  const said = (s: Json) => Object.entries(s).filter(([, value]) => value !== null);
  const usage: Json = Object.fromEntries(statements.flatMap(said));
  const turns: Json[] = usage.iterations?.length ? usage.iterations : [usage];
  const models = [...new Set(turns.map((turn) => turn.model ?? model))];
  // Thinking is stated once, for the reply; where the turns leave it out it was the reply's own model that thought.
  const stated = usage.output_tokens_details?.thinking_tokens ?? 0;
  const inTurns = turns.reduce(
    (total, turn) => total + (turn.output_tokens_details?.thinking_tokens ?? 0),
    0,
  );
  const thinking = {
    output_text: inTurns - stated,
    output_reasoning: stated - inTurns,
  };
  const of = (name: string) =>
    positive(
      turns
        .filter((turn) => (turn.model ?? model) === name)
        .map(anthropicClasses)
        .reduce(plus, name === model ? thinking : {}),
    );
  const tools = usage.server_tool_use ?? {};
  return {
    classes: positive(plus(turns.map(anthropicClasses).reduce(plus, {}), thinking)),
    units: positive({
      web_search_requests: tools.web_search_requests,
      web_fetch_requests: tools.web_fetch_requests,
    }),
    model,
    tier: usage.speed === 'fast' ? 'fast' : lower(usage.service_tier),
    ...(models.length > 1 ? { parts: models.map((m) => ({ model: m, classes: of(m) })) } : {}),
  };
};

/** Chat, completions, embeddings, runs, Responses: totals that hold their details. */
const openai = (documents: Json[]): Found => {
  const holders = documents.map((d) => d.response ?? d);
  const usage = last(
    holders.filter((d) => d.object !== 'thread.run.step').map((d) => d.usage ?? undefined),
  );
  const about = {
    model: last(holders.map((d) => d.model)) ?? null,
    tier: lower(last(holders.map((d) => d.service_tier))),
  };
  if (!usage) return { classes: null, ...about };
  const inner =
    usage.prompt_tokens_details ?? usage.prompt_token_details ?? usage.input_tokens_details ?? {};
  const outer = usage.completion_tokens_details ?? usage.output_tokens_details ?? {};
  const input = usage.prompt_tokens ?? usage.input_tokens;
  const said = usage.completion_tokens ?? usage.output_tokens ?? 0;
  const output = (usage.total_tokens ?? input + said) - input;
  const inCache =
    inner.cached_tokens ??
    usage.prompt_cache_hit_tokens ??
    usage.num_cached_tokens ??
    usage.cached_tokens ??
    usage.cached_prompt_text_tokens ??
    0;
  // xAI and OpenRouter may state more cache than there was prompt.
  const cached = Math.min(inCache, input);
  const written = Math.min(inner.cache_write_tokens ?? 0, input - cached);
  const audio = inner.audio_tokens ?? 0;
  // What neither prompt nor answer explains of the total was thought (Gemini as OpenAI).
  const thought = outer.reasoning_tokens ?? usage.reasoning_tokens ?? output - said;
  const reasoning = input === usage.total_tokens ? 0 : thought;
  const spoken = outer.audio_tokens ?? 0;
  const drawn = outer.image_tokens ?? 0;
  return {
    classes: positive({
      input_uncached: input - cached - written - audio,
      'input_uncached.audio': audio,
      cache_read: cached,
      cache_write_30m: written,
      output_text: output - reasoning - spoken - drawn,
      'output_text.audio': spoken,
      'output_text.image': drawn,
      output_reasoning: reasoning,
    }),
    units: positive({
      ...builtInTools(last(holders.map((d) => d.output)) ?? []),
      ...(usage.server_tool_use_details && {
        web_search_requests: usage.server_tool_use_details.web_search_requests,
      }),
    }),
    statedTotal: usage.total_tokens,
    ...about,
  };
};

const builtInTools = (output: Json[]): Record<string, number> => {
  const count = (type: string, also = (_: Json): boolean => true): number =>
    output.filter((item) => item.type === type && also(item)).length;
  return positive({
    web_search_requests: count('web_search_call', (i) => (i.action?.type ?? 'search') === 'search'),
    file_search_calls: count('file_search_call'),
    computer_use_calls: count('computer_call'),
    images: count('image_generation_call'),
    code_interpreter_sessions: new Set(
      output.filter((i) => i.type === 'code_interpreter_call').map((i) => i.container_id),
    ).size,
  });
};

const converse = (usage: Json): Found => {
  const read = usage.cacheReadInputTokens ?? usage.cacheReadInputTokenCount ?? 0;
  const written = usage.cacheWriteInputTokens ?? usage.cacheWriteInputTokenCount ?? 0;
  const hour = (usage.cacheDetails ?? [])
    .filter((d: Json) => d.ttl === '1h')
    .reduce((sum: number, d: Json) => sum + d.inputTokens, 0);
  return {
    classes: positive({
      input_uncached: usage.inputTokens,
      cache_read: read,
      cache_write_5m: written - hour,
      cache_write_1h: hour,
      output_text: usage.outputTokens,
    }),
    statedTotal: usage.totalTokens,
  };
};

const pathModel = (path: string): string =>
  decodeURIComponent(/\/model\/([^/]+)\//.exec(path)?.[1] ?? '');

/** Counters of the last line; what was cached is inside the prompt. */
const ollama = (documents: Json[]): Found => {
  const model = last(documents.map((d) => d.model)) ?? null;
  const end = documents.findLast((d) => d.prompt_eval_count !== undefined);
  if (!end) return { classes: null, model };
  const cached = end.prompt_eval_cached_count ?? 0;
  return {
    classes: positive({
      input_uncached: end.prompt_eval_count - cached,
      cache_read: cached,
      output_text: end.eval_count,
    }),
    model,
  };
};

/** The vendor's own usage object first, then what AWS counted. */
const invoke = (documents: Json[], exchange: RecordedExchange): Found => {
  const asked = pathModel(new URL(exchange.uri).pathname);
  const body = documents.some((d) => d.usage?.output_tokens ?? d.message?.usage);
  if (body) return anthropic(documents);
  const nova = last(documents.map((d) => d.metadata?.usage ?? d.usage));
  if (nova) return { ...converse(nova), model: asked };
  const metrics = last(documents.map((d) => d['amazon-bedrock-invocationMetrics'])) ?? {};
  const header = (name: string): number | undefined => {
    const text = exchange.headers?.[`x-amzn-bedrock-${name}-token-count`];
    return text === undefined ? undefined : Number(text);
  };
  const stated = header('input') ?? metrics.inputTokenCount;
  if (stated === undefined) {
    const counts = ownCounts(documents);
    return { classes: Object.keys(counts).length > 0 ? counts : null, model: asked };
  }
  return {
    classes: positive({
      input_uncached: header('input') ?? metrics.inputTokenCount,
      cache_read: header('cache-read-input') ?? metrics.cacheReadInputTokenCount,
      cache_write_5m: header('cache-write-input') ?? metrics.cacheWriteInputTokenCount,
      output_text: header('output') ?? metrics.outputTokenCount,
    }),
    model: asked,
  };
};

/** Titan and Llama count in members of their own. */
const ownCounts = (documents: Json[]): Record<string, number> => {
  const results = documents.flatMap((d) => d.results ?? []);
  return positive({
    input_uncached: last(documents.map((d) => d.inputTextTokenCount ?? d.prompt_token_count)),
    output_text:
      last(documents.map((d) => d.totalOutputTextTokenCount ?? d.generation_token_count)) ??
      results.reduce((sum: number, r: Json) => sum + (r.tokenCount ?? 0), 0),
  });
};

const cohere = (documents: Json[], request: Json): Found => {
  const billed = last(
    documents.flatMap((d) =>
      [d.usage, d.meta, d.delta?.usage, d.response?.meta].map((place) => place?.billed_units),
    ),
  );
  const model = request?.model ?? null;
  if (!billed) return { classes: null, model };
  return {
    classes: positive({
      input_uncached: billed.input_tokens,
      'input_uncached.image': billed.image_tokens,
      output_text: billed.output_tokens,
    }),
    units: positive({ search_units: billed.search_units, classifications: billed.classifications }),
    model,
  };
};

const FREE =
  /count_tokens$|input_tokens$|:countTokens$|\/(files|uploads|vector_stores|fileSearchStores|moderations)(\/|$)|\/models$|\/(assistants|threads)(\/[^/]+(\/messages(\/[^/]+)?)?)?$/;

const read = (exchange: RecordedExchange, path: string): Found | null => {
  const documents = documentsOf(exchange);
  if (/:(stream)?generateContent$/i.test(path)) return gemini(documents);
  if (/mbedContents?$/.test(path)) {
    const meta = last(documents.map((d) => d.usageMetadata));
    const model = /models\/([^:]+):/.exec(path)?.[1] ?? null;
    if (!meta) return { classes: null, model };
    return { classes: positive({ input_uncached: meta?.promptTokenCount }), model };
  }
  if (/\/converse(-stream)?$/.test(path)) {
    const usage = last(documents.map((d) => d.usage));
    const tier = lower(
      last(documents.map((d) => d.serviceTier?.type)) ??
        documents.map((d) => d.performanceConfig?.latency).find((l) => l === 'optimized'),
    );
    const model = pathModel(path);
    return usage ? { ...converse(usage), model, tier } : { classes: null, model, tier };
  }
  if (/\/invoke(-with-response-stream)?$/.test(path)) return invoke(documents, exchange);
  if (/\/messages$/.test(path)) return anthropic(documents);
  if (/\/v[12]\/(chat|embed|rerank|generate)$/.test(path))
    return cohere(documents, exchange.request);
  if (/\/(completions|embeddings|responses|compact|runs)$/.test(path)) return openai(documents);
  if (/\/api\/(chat|generate|embed)$/.test(path)) return ollama(documents);
  if (/\/ocr$/.test(path)) {
    const pages = last(documents.map((d) => d.usage_info?.pages_processed));
    return {
      classes: {},
      units: positive({ pages }),
      model: last(documents.map((d) => d.model)) ?? null,
    };
  }
  return null;
};

/** What the proxy should say about the exchange. */
export const expectationOf = (exchange: RecordedExchange): Expectation => {
  const { pathname } = new URL(exchange.uri);
  const nothing = { model: null, tier: null, classes: {}, units: {} };
  if (FREE.test(pathname) || exchange.request === null)
    return { ending: 'not_metered', ...nothing };
  const request = exchange.request as Json;
  const inPath = /(?:models|deployments)\/([^/:]+)[/:]/.exec(pathname)?.[1];
  const asked = request?.model ?? (pathModel(pathname) || inPath) ?? null;
  // Azure bills a prompt that its filter refused, and a call that took too long.
  const azure = /\.azure\.com$/.test(new URL(exchange.uri).hostname);
  const filtered = exchange.status === 400 && /"content_filter"/.test(exchange.response);
  if (azure && (filtered || exchange.status === 408)) {
    return { ending: 'estimated', ...nothing, classes: null, model: asked };
  }
  if (exchange.status >= 400) return { ending: 'not_billed', ...nothing, model: asked };
  const found = read(exchange, pathname);
  if (!found) return { ending: 'unknown', ...nothing, model: asked };
  const about = { ...nothing, ...found, model: found.model ?? asked };
  if (found.classes !== null) return { ending: 'reported', ...about };
  const queued = /"status":\s*"queued"/.test(exchange.response) && /\/runs$/.test(pathname);
  if (queued) return { ending: 'pending', ...about, classes: {} };
  const text = /"(text|content)":\s*"[^"]/.test(exchange.response);
  return text ? { ending: 'estimated', ...about } : { ending: 'unknown', ...about, classes: {} };
};
