import type { ClassQuantities, UnitQuantities } from '../../../../schemas/usage-event.ts';
import { mustHold, requiredCount, statedCount, statedQuantity } from '../counts.ts';
import type { JsonObject } from '../flavour.ts';
import { asObject } from '../flavour.ts';
import { readOpenAiUsage } from './openai-usage.ts';

const NAMES = {
  input: 'prompt_tokens',
  inputDetails: 'prompt_tokens_details',
  output: 'completion_tokens',
  outputDetails: 'completion_tokens_details',
} as const;

/**
 * Cached input under the name the host gives it: OpenAI's details, DeepSeek's hits, Mistral's `num_cached_tokens`, the Hugging Face
 * router's top-level `cached_tokens`, xAI's `cached_prompt_text_tokens`.
 */
const cachedOf = (usage: JsonObject, details: JsonObject | null): number | undefined =>
  statedCount(details, 'cached_tokens') ??
  statedCount(usage, 'prompt_cache_hit_tokens') ??
  statedCount(usage, 'num_cached_tokens') ??
  statedCount(usage, 'cached_tokens') ??
  statedCount(usage, 'cached_prompt_text_tokens');

/** What is particular to an endpoint or a model that speaks like OpenAI. */
export interface CompatibleRules {
  /** Thinking shows only in the total (Gemini's compatible endpoint, and whoever passes its figures on). */
  thinkingInTotal?: boolean;
  /** Details may state more than the whole they are of (xAI, OpenRouter): they end at it. */
  runsOver?: boolean;
  /** Embeddings: no output. */
  inputOnly?: boolean;
}

/** Members that only hosts state whose details run over. */
const RUNS_OVER = [
  'cached_prompt_text_tokens',
  'num_sources_used',
  'cost_in_usd_ticks',
  'server_side_tools_used',
  'server_side_tool_usage_details',
  'cost',
  'is_byok',
];

const runsOver = (usage: JsonObject, rules: CompatibleRules): boolean =>
  rules.runsOver === true || RUNS_OVER.some((name) => name in usage);

/** A usage object of Responses of a host whose details run over (xAI, OpenRouter): they end at their whole. Others are left alone. */
export const endAtWhole = (usage: JsonObject): JsonObject => {
  if (!runsOver(usage, {})) return usage;
  const input = requiredCount(usage, 'input_tokens');
  const output = requiredCount(usage, 'output_tokens');
  const inner = asObject(usage['input_tokens_details']) ?? {};
  const outer = asObject(usage['output_tokens_details']) ?? {};
  const cached = Math.min(statedCount(inner, 'cached_tokens') ?? 0, input);
  const written = Math.min(statedCount(inner, 'cache_write_tokens') ?? 0, input - cached);
  const reasoning = Math.min(statedCount(outer, 'reasoning_tokens') ?? 0, output);
  const ended = (details: JsonObject, counts: JsonObject): JsonObject => ({
    ...details,
    ...Object.fromEntries(
      Object.entries(counts).filter(([name]) => (details[name] ?? null) !== null),
    ),
  });
  return {
    ...usage,
    input_tokens_details: ended(inner, { cached_tokens: cached, cache_write_tokens: written }),
    output_tokens_details: ended(outer, { reasoning_tokens: reasoning }),
  };
};

/**
 * Input in OpenAI's words. xAI and OpenRouter state more cache than prompt now and then: it ends at the prompt. What Perplexity read
 * for its citations and what Mistral's connectors brought in is input beside the prompt.
 */
const readInput = (usage: JsonObject, rules: CompatibleRules): JsonObject => {
  const details =
    asObject(usage['prompt_tokens_details']) ?? asObject(usage['prompt_token_details']);
  const prompt = requiredCount(usage, 'prompt_tokens');
  const beside =
    (statedCount(usage, 'citation_tokens') ?? 0) + (statedCount(usage, 'connector_tokens') ?? 0);
  const miss = statedCount(usage, 'prompt_cache_miss_tokens');
  let cached = cachedOf(usage, details);
  mustHold(miss === undefined || (cached ?? 0) + miss === prompt);
  let written = statedCount(details, 'cache_write_tokens');
  const isOver = runsOver(usage, rules);
  if (isOver && cached !== undefined) cached = Math.min(cached, prompt);
  if (isOver && written !== undefined) written = Math.min(written, prompt - (cached ?? 0));
  return {
    prompt_tokens: prompt + beside,
    prompt_tokens_details: {
      ...details,
      ...(cached === undefined ? {} : { cached_tokens: cached }),
      ...(written === undefined ? {} : { cache_write_tokens: written }),
    },
  };
};

/**
 * Output in OpenAI's words, which always holds reasoning. Where the total says that reasoning came on top of it (xAI), or where it is
 * more than the output it would have to be in (Perplexity), it is added; where a host is known to run over, it ends at the output.
 */
const readOutput = (usage: JsonObject, rules: CompatibleRules): JsonObject => {
  const prompt = requiredCount(usage, 'prompt_tokens');
  const output = statedCount(usage, 'completion_tokens');
  const total = statedCount(usage, 'total_tokens');
  const details = asObject(usage['completion_tokens_details']);
  const reasoning =
    statedCount(details, 'reasoning_tokens') ?? statedCount(usage, 'reasoning_tokens');
  if (output === undefined || reasoning === undefined) return {};
  const isBeside = reasoning > output && 'num_search_queries' in usage;
  const onTop = total === prompt + output + reasoning || isBeside;
  const inside = onTop || !runsOver(usage, rules) ? reasoning : Math.min(reasoning, output);
  return {
    completion_tokens: onTop ? output + reasoning : output,
    completion_tokens_details: { ...details, reasoning_tokens: inside },
  };
};

/** Gemini's OpenAI-compatible endpoint shows thinking only in the total: what is neither prompt nor completion is reasoning. */
const hiddenThinking = (usage: JsonObject): JsonObject => {
  const prompt = requiredCount(usage, 'prompt_tokens');
  const output = statedCount(usage, 'completion_tokens') ?? 0;
  const total = statedCount(usage, 'total_tokens') ?? prompt + output;
  const details = asObject(usage['completion_tokens_details']);
  if (total <= prompt + output || statedCount(details, 'reasoning_tokens')) return {};
  return {
    completion_tokens: total - prompt,
    completion_tokens_details: { ...details, reasoning_tokens: total - prompt - output },
  };
};

/**
 * The total, where it is one of what is sold by the token. Perplexity's leaves out what it read and thought for an answer; Mistral's
 * holds the tokens of audio, which is sold by the second and in no other figure.
 */
const readTotal = (usage: JsonObject): JsonObject => {
  const total = statedCount(usage, 'total_tokens');
  const visible =
    requiredCount(usage, 'prompt_tokens') + (statedCount(usage, 'completion_tokens') ?? 0);
  const ofPart = 'num_search_queries' in usage && total === visible;
  const seconds = usage['prompt_audio_seconds'];
  const withAudio = typeof seconds === 'number' && seconds > 0 && (total ?? 0) > visible;
  return ofPart || withAudio ? { total_tokens: undefined } : {};
};

/**
 * Disjoint classes of a chat usage object of any OpenAI-compatible host.
 * @throws UnreadableUsage when figures are no counts or do not add up under any of the hosts' rules.
 */
export const readCompatibleUsage = (
  usage: JsonObject,
  rules: CompatibleRules = {},
): ClassQuantities => {
  const inOurWords = { ...usage, ...readInput(usage, rules), ...readTotal(usage) };
  if (rules.inputOnly) return readOpenAiUsage(inOurWords, NAMES, true);
  const hidden = rules.thinkingInTotal ? hiddenThinking(usage) : {};
  return readOpenAiUsage({ ...inOurWords, ...readOutput(usage, rules), ...hidden }, NAMES);
};

type Counts = Partial<Record<keyof UnitQuantities, number>>;

/** Tools a host ran and sells by the call, by the names of the members that count them. */
const TOOLS: readonly (readonly [string, keyof UnitQuantities, readonly string[]])[] = [
  ['server_tool_use', 'web_search_requests', ['web_search_requests']],
  ['server_tool_use_details', 'web_search_requests', ['web_search_requests']],
  ['server_side_tool_usage_details', 'web_search_requests', ['web_search_calls', 'x_search_calls']],
  [
    'server_side_tool_usage_details',
    'file_search_calls',
    ['file_search_calls', 'document_search_calls'],
  ],
  ['server_side_tool_usage_details', 'code_interpreter_sessions', ['code_interpreter_calls']],
  ['connectors', 'web_search_requests', ['web_search', 'web_search_premium']],
  ['connectors', 'code_interpreter_sessions', ['code_interpreter']],
  ['connectors', 'images', ['image_generation']],
];

/** The same counters may stand at two places: the first that is not zero counts, they are never added. */
const countTools = (usage: JsonObject): Counts => {
  const counts: Counts = {};
  for (const [place, unit, names] of TOOLS) {
    const object = asObject(usage[place]);
    const count = names.reduce((sum, name) => sum + (statedCount(object, name) ?? 0), 0);
    counts[unit] ||= count;
  }
  counts.web_search_requests ||= statedCount(usage, 'num_search_queries') ?? 0;
  return counts;
};

/**
 * What a usage object of an OpenAI-compatible host states beside tokens: seconds of audio heard (Mistral), tools run by the host
 * (OpenRouter, xAI, Mistral's connectors, Perplexity's searches).
 */
export const readCompatibleUnits = (usage: JsonObject): UnitQuantities => {
  const units: UnitQuantities = {};
  // Mistral writes an empty object where there was no audio.
  const heard = asObject(usage['prompt_audio_seconds']) ? {} : usage;
  const seconds = statedQuantity(heard, 'prompt_audio_seconds');
  if (seconds !== undefined && seconds !== '0') units.audio_seconds = seconds;
  for (const [unit, count] of Object.entries(countTools(usage)) as [
    keyof UnitQuantities,
    number,
  ][]) {
    if (count > 0) units[unit] = String(count);
  }
  return units;
};
