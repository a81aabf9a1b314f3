import type { Upstream } from '../../../schemas/control-record.ts';
import type { Flavour } from '../../../schemas/words.ts';

export type Dialect = Upstream['dialect'];

/** What a path asks for. */
export interface Route {
  /** The id of an upstream or of a route over several, or null on a unified endpoint, where the model decides. */
  upstreamId: string | null;
  /** Path behind the upstream's prefix, starting with a slash, without query. */
  path: string;
  /** With its question mark, or empty. */
  query: string;
  /** Null: the provider does not bill this call (lists, token counts, files); it is passed on and only counted. */
  flavour: Flavour | null;
  /** In which error shape the caller expects to be answered. */
  dialect: Dialect;
}

/** First match wins. Null: not billed by the call. Each takes time in proportion to the path: it is judged before the key is. */
const ENDPOINTS: readonly (readonly [RegExp, Flavour | null])[] = [
  [/\/(v1beta|v1alpha)\/openai\/chat\/completions$/, 'gemini.openai'],
  [/\/endpoints\/openapi\/chat\/completions$/, 'gemini.openai'],
  [/\/chat\/completions$/, 'openai.chat'],
  [/\/completions$/, 'openai.completions'],
  [/\/conversations\/conv_[^/]+(\/items)?$/, null],
  [/\/conversations(\/[^/]+(\/restart)?)?$/, 'openai.chat'],
  [/\/images\/(generations|edits|variations)$/, 'openai.images'],
  [/\/audio\/speech$/, 'openai.speech'],
  [/\/audio\/(transcriptions|translations)$/, 'openai.transcription'],
  [/\/threads(\/[^/]+)?\/runs$/, 'openai.runs'],
  [/\/runs\/[^/]+\/submit_tool_outputs$/, 'openai.runs'],
  [/\/(threads|assistants)(\/.*)?$/, null],
  [/\/moderations$/, null],
  [/\/responses\/resp_[^/]+(\/input_items)?$/, null],
  [/:(streamGenerateContent|generateContent)$/i, 'gemini.generate'],
  [/:(embedContent|batchEmbedContents)$/i, 'gemini.embed'],
  [/\/cachedContents$/i, 'gemini.cache'],
  [/\/interactions$/, 'gemini.generate'],
  [/\/interactions\/[^/]+\/cancel$/, null],
  [/:(countTokens|computeTokens)$|\/count-tokens:rawPredict$/, null],
  [/\/publishers\/anthropic\/models\/[^/]+:(rawPredict|streamRawPredict)$/i, 'anthropic.messages'],
  [/\/publishers\/mistralai\/models\/mistral-ocr[^/]*:rawPredict$/i, 'mistral.ocr'],
  [/\/publishers\/[^/]+\/models\/[^/]+:(rawPredict|streamRawPredict)$/i, 'openai.chat'],
  [/\/models\/(?=[^/]*embedding)[^/]*:predict$/i, 'gemini.embed'],
  [/\/models\/imag[^/]*:predict$/i, 'gemini.generate'],
  [/\/fileSearchStores(\/.*)?$/, null],
  [/^(?=.*\/model\/).*\/(converse|converse-stream)$/, 'bedrock.converse'],
  [/^(?=.*\/model\/).*\/(invoke|invoke-with-response-stream)$/, 'bedrock.invoke'],
  [/\/model\/[^/]+\/count-tokens$/, null],
  [/\/v[12]\/(chat|generate|summarize|classify)$/, 'cohere.chat'],
  [/\/v[12]\/embed$/, 'cohere.embed'],
  [/\/v[12]\/rerank$|^\/rerank$/, 'cohere.rerank'],
  [/\/(tokenize|detokenize)$|\/v1\/(datasets|connectors)(\/.*)?$|\/v1\/check-api-key$/, null],
  [/\/v1\/ocr$/, 'mistral.ocr'],
  [/\/api\/(chat|generate|embed)$/, 'ollama.native'],
  [/\/api\/(show|pull|push|create|copy|delete)$/, null],
  [/\/responses(\/compact)?$/, 'openai.responses'],
  [/\/(multimodal|contextualized)?embeddings$/, 'openai.embeddings'],
  [/\/(messages|v1\/complete)$/, 'anthropic.messages'],
  [/\/messages\/batches$/, 'anthropic.batch'],
  [/\/batches$/, 'openai.batch'],
  [/\/batches\/[^/]+\/cancel$/, null],
  [/\/messages\/count_tokens$/, null],
  [/\/responses\/input_tokens$/, null],
  [/\/responses\/[^/]+\/cancel$/, null],
  [/\/(files|uploads|vector_stores)(\/.*)?$/, null],
];

/** The four routes that need no upstream in their path. */
const UNIFIED = new Set([
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/embeddings',
  '/v1/messages',
]);

/** The path as a lenient server reads it: escapes, parameters and trailing slashes do not tell endpoints apart. */
const lenient = (path: string): string => {
  try {
    return decodeURIComponent(path)
      .replace(/;[^/]*/g, '')
      .replace(/\/+$/, '');
  } catch {
    return path;
  }
};

/** And case neither. */
const plainSpelling = (path: string): string => lenient(path).toLowerCase();

/**
 * Chosen by endpoint, never by vendor. A POST to an endpoint nobody told us about may well be billed: it is metered. Free is only
 * what is spelt exactly so; another spelling of a billed endpoint is that endpoint.
 */
export const flavourOf = (method: string, path: string): Flavour | null => {
  if (method !== 'POST') return null;
  for (const [pattern, flavour] of ENDPOINTS) if (pattern.test(path)) return flavour;
  const plain = plainSpelling(path);
  const billed = ENDPOINTS.find(([pattern, flavour]) => flavour !== null && pattern.test(plain));
  return billed?.[1] ?? 'passthrough';
};

/** An ARN of Bedrock, escaped, is the longest there is. */
const PATH_MAX = 2_048;

/** @returns the route, or null when the path belongs to nobody. */
export const routeOf = (method: string, target: string): Route | null => {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '' : target.slice(mark);
  // Servers cut a target at `#` or a zero byte: they would answer another endpoint than the one that is metered here.
  if (target.includes('#') || path.length > PATH_MAX) return null;
  // A model of Bedrock may be named by its ARN, whose slashes stand escaped in one segment; what hides behind them is still judged.
  const checked = path.replace(/\/model\/arn[^/]+\//, (arn) => arn.replace(/%2f/gi, '/'));
  if (/\/\.\.?(\/|$)|\\|%2e|%2f|%5c|%00|\/\//i.test(checked)) return null;
  const about = (rest: string) => ({
    path: rest,
    query,
    flavour: flavourOf(method, rest),
    dialect: /\/messages(\/|$)/.test(rest) ? ('anthropic' as const) : ('openai' as const),
  });
  if (UNIFIED.has(path)) return method === 'POST' ? { upstreamId: null, ...about(path) } : null;
  const match = /^\/([A-Za-z0-9][A-Za-z0-9._-]*)(\/.*)$/.exec(path);
  if (!match?.[1] || !match[2] || match[1] === 'api' || match[1] === 'v1') return null;
  return { upstreamId: match[1], ...about(match[2]) };
};

/** In any case: Azure minds none. */
const PATH_MODEL = [
  /\/(?:openai\/)?deployments\/([^/]+)\//i,
  /\/model\/(.+)\/[a-z-]+$/i,
  /\/(?:models|tunedModels)\/([^/:]+):[a-z]+$/i,
];

const modelNamedIn = (path: string): string | undefined =>
  PATH_MODEL.map((pattern) => pattern.exec(path)?.[1]).find((named) => named !== undefined);

/**
 * The model an endpoint names in its path (Gemini, Vertex, Bedrock) or the deployment that stands for one (Azure), however the path is
 * spelt. Empty where it names one that cannot be read.
 */
export const pathModel = (path: string): string | undefined => {
  const named = modelNamedIn(path) ?? modelNamedIn(lenient(path));
  if (named === undefined) return undefined;
  try {
    return decodeURIComponent(named).slice(0, 200);
  } catch {
    return '';
  }
};

/** The path with another model where it names one; other paths stay. */
export const modelInPath = (path: string, model: string): string => {
  for (const pattern of PATH_MODEL) {
    const span = new RegExp(pattern.source, 'di').exec(path)?.indices?.[1];
    if (span) return path.slice(0, span[0]) + encodeURIComponent(model) + path.slice(span[1]);
  }
  return path;
};

/** Azure's own paths; its OpenAI-compatible `/openai/v1` is known by the upstream's dialect only. */
export const isAzurePath = (path: string): boolean => path.startsWith('/openai/deployments/');

/** Whether an endpoint streams whatever the body says. */
export const pathStreams = (path: string): boolean =>
  /:(streamGenerateContent|streamRawPredict)$|\/(converse-stream|invoke-with-response-stream)$/i.test(
    path,
  );

/**
 * `/azure/<account>/…` belongs to the upstream `azure-<account>` where there is no upstream `azure` that takes every account.
 * @param isKnown whether an upstream or route of that id is configured.
 */
export const resolveAccount = (route: Route, isKnown: (id: string) => boolean): Route => {
  if (route.upstreamId !== 'azure' || isKnown('azure')) return route;
  const match = /^\/([A-Za-z0-9][A-Za-z0-9._-]*)(\/.+)$/.exec(route.path);
  return match?.[1] && match[2]
    ? { ...route, upstreamId: `azure-${match[1]}`, path: match[2] }
    : route;
};

/** `file-8Hk2…`, `resp_68a…`, Gemini's and Vertex' bare letters and digits: a name that is told only to whoever made the thing. */
const HAS_ID = /[_-](?=[A-Za-z]*\d)[A-Za-z0-9]{6,}|\/(?=[A-Za-z]*\d)[A-Za-z0-9]{10,}(?=[/:]|$)/;
/** What a path stands in: `us-central1` and a project's number look like ids and are everybody's. */
const PLACES = /\/(projects|locations|regions|accounts|workspaces|deployments|publishers)\/[^/]+/gi;
/** What there is to be called, which is the same for everybody: models, Ollama's tags, Azure's deployments, AWS's foundation models. */
const MODELS =
  /\/models(\/|$)|\/api\/(tags|version)$|\/openai\/deployments(\/[^/]+)?$|^\/foundation-models(\/|$)/;
const ADMINISTRATION = /\/organizations?(\/|$)/;
/** Ollama's: what one tenant deletes or replaces the others call. */
const MODEL_MANAGEMENT = /\/api\/(pull|push|create|copy|delete|blobs)(\/|$)/i;

const hasId = (path: string): boolean => HAS_ID.test(lenient(path).replace(PLACES, ''));

/**
 * Whether a call concerns what the provider's account holds as a whole, which tenants share: lists of files, batches, stored completions;
 * changes to what has no id of its own or is everybody's, such as a fine-tuned model; its administration. Model lists are shown.
 */
export const concernsWholeAccount = (method: string, path: string): boolean => {
  if (ADMINISTRATION.test(path)) return true;
  if (method === 'GET' || method === 'HEAD') return !MODELS.test(path) && !hasId(path);
  if (MODEL_MANAGEMENT.test(path)) return true;
  return method !== 'POST' && (MODELS.test(path) || !hasId(path));
};

const patternLength = (pattern: string, model: string): number => {
  if (pattern === model) return Number.MAX_SAFE_INTEGER;
  return pattern.endsWith('*') && model.startsWith(pattern.slice(0, -1)) ? pattern.length : -1;
};

/** How exactly a list of names names a model: the exact name before the longest prefix (`gpt-*`); -1 when it does not. */
export const modelMatch = (patterns: readonly string[], model: string): number =>
  Math.max(-1, ...patterns.map((pattern) => patternLength(pattern, model)));

/** The upstream of the dialect that serves a model: an exact name before the longest prefix; ties by id, so it is stable. */
export const upstreamForModel = (
  upstreams: Iterable<Upstream>,
  dialect: Dialect,
  model: string,
): Upstream | null => {
  let best: Upstream | null = null;
  let bestLength = -1;
  for (const upstream of upstreams) {
    if (upstream.dialect !== dialect) continue;
    const length = modelMatch(upstream.models, model);
    const wins = length > bestLength || (length === bestLength && best && upstream.id < best.id);
    if (length >= 0 && wins) {
      best = upstream;
      bestLength = length;
    }
  }
  return best;
};

/** `/v1`, `/api/paas/v4`, Gemini's `/v1beta/openai`, Vertex' `/endpoints/openapi`: what OpenAI clients call a base address. */
const VERSIONED_BASE = /\/v\d+((alpha|beta)\d*(\/openai)?)?$|\/endpoints\/openapi$/;

/** Path to ask the upstream for. A base address that ends in a version does not get a second one (`/v1/…`). */
export const upstreamPath = (basePath: string, path: string): string => {
  const base = basePath.replace(/\/+$/, '');
  const versioned = path.startsWith('/v1/') && VERSIONED_BASE.test(base);
  return versioned ? base + path.slice(3) : base + path;
};

/**
 * The wire format at the place a call really goes to: Gemini's OpenAI-compatible endpoint counts thinking another way, and a caller
 * that reaches it through a route or under a base address does not say so in its own path.
 */
export const flavourAt = (flavour: Flavour, path: string): Flavour =>
  flavour === 'openai.chat' && flavourOf('POST', path) === 'gemini.openai'
    ? 'gemini.openai'
    : flavour;
