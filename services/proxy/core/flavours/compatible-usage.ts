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

/** Input details in OpenAI's words. xAI and OpenRouter state more cache than prompt now and then: it ends at the prompt. */
const inputDetails = (usage: JsonObject): JsonObject => {
  const details =
    asObject(usage['prompt_tokens_details']) ?? asObject(usage['prompt_token_details']);
  const prompt = requiredCount(usage, 'prompt_tokens');
  const miss = statedCount(usage, 'prompt_cache_miss_tokens');
  let cached = cachedOf(usage, details);
  mustHold(miss === undefined || (cached ?? 0) + miss === prompt);
  let written = statedCount(details, 'cache_write_tokens');
  const runsOver = 'cached_prompt_text_tokens' in usage || 'cost' in usage;
  if (runsOver && cached !== undefined) cached = Math.min(cached, prompt);
  if (runsOver && written !== undefined) written = Math.min(written, prompt - (cached ?? 0));
  return {
    ...details,
    ...(cached === undefined ? {} : { cached_tokens: cached }),
    ...(written === undefined ? {} : { cache_write_tokens: written }),
  };
};

/** Where the total says that reasoning came on top of the output (xAI), it is added to it: here output always holds reasoning. */
const outputWithReasoning = (usage: JsonObject): JsonObject => {
  const prompt = requiredCount(usage, 'prompt_tokens');
  const output = statedCount(usage, 'completion_tokens');
  const total = statedCount(usage, 'total_tokens');
  const details = asObject(usage['completion_tokens_details']);
  const reasoning =
    statedCount(details, 'reasoning_tokens') ?? statedCount(usage, 'reasoning_tokens');
  if (output === undefined || reasoning === undefined) return {};
  const onTop = total === prompt + output + reasoning;
  return {
    completion_tokens: onTop ? output + reasoning : output,
    completion_tokens_details: { ...details, reasoning_tokens: reasoning },
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
 * Disjoint classes of a chat usage object of any OpenAI-compatible host.
 * @throws UnreadableUsage when figures are no counts or do not add up under any of the hosts' rules.
 */
export const readCompatibleUsage = (
  usage: JsonObject,
  rules: { thinkingInTotal?: boolean; inputOnly?: boolean } = {},
): ClassQuantities => {
  const inOurWords = { ...usage, prompt_tokens_details: inputDetails(usage) };
  if (rules.inputOnly) return readOpenAiUsage(inOurWords, NAMES, true);
  const hidden = rules.thinkingInTotal ? hiddenThinking(usage) : {};
  return readOpenAiUsage({ ...inOurWords, ...outputWithReasoning(usage), ...hidden }, NAMES);
};

/** What a chat usage object states beside tokens: seconds of audio heard (Mistral), searches run by the host (OpenRouter). */
export const readCompatibleUnits = (usage: JsonObject): UnitQuantities => {
  const units: UnitQuantities = {};
  const seconds = statedQuantity(usage, 'prompt_audio_seconds');
  if (seconds !== undefined && seconds !== '0') units.audio_seconds = seconds;
  const tools = asObject(usage['server_tool_use']) ?? asObject(usage['server_tool_use_details']);
  const searches = statedCount(tools, 'web_search_requests') ?? 0;
  if (searches > 0) units.web_search_requests = String(searches);
  return units;
};
