import type { ClassQuantities } from '../../../../schemas/usage-event.ts';
import type { Modality, TokenClass } from '../../../../schemas/words.ts';
import { mustHold, requiredCount, statedCount } from '../counts.ts';
import type { JsonObject } from '../flavour.ts';
import { asArray, asObject } from '../flavour.ts';

/** Vertex writes a modality by name or, with `enum-encoding=int`, by number. Text is what is left. */
const MODALITY: Record<string, Modality> = {
  IMAGE: 'image',
  VIDEO: 'video',
  AUDIO: 'audio',
  DOCUMENT: 'document',
  2: 'image',
  3: 'video',
  4: 'audio',
  5: 'document',
};

type ByModality = Map<Modality, number>;

/** Counts that are not text. Details may sum to less than the total. */
const readDetails = (usage: JsonObject, ...names: readonly string[]): ByModality => {
  const counts: ByModality = new Map();
  for (const entry of names.flatMap((name) => asArray(usage[name])).map(asObject)) {
    const modality = MODALITY[String(entry?.['modality'])];
    const count = statedCount(entry, 'tokenCount') ?? 0;
    if (modality) counts.set(modality, (counts.get(modality) ?? 0) + count);
  }
  return counts;
};

const MODALITIES: readonly Modality[] = ['audio', 'image', 'video', 'document'];

/** One class by modality; text is the total less everything else. */
const split = (name: TokenClass, total: number, counts: ByModality): ClassQuantities => {
  const classes: ClassQuantities = {};
  let text = total;
  for (const modality of MODALITIES) {
    const count = counts.get(modality) ?? 0;
    if (count > 0) classes[`${name}.${modality}`] = String(count);
    text -= count;
  }
  mustHold(text >= 0);
  return { [name]: String(text), ...classes };
};

/**
 * What was in the cache, by modality: as stated, and where the details leave more in the cache than the prompt had, or less than can
 * be text, the difference is moved so that no modality goes below zero.
 */
const splitCached = (prompt: ByModality, stated: ByModality, sizes: Sizes): ByModality => {
  const cached: ByModality = new Map();
  for (const modality of MODALITIES) {
    cached.set(modality, Math.min(stated.get(modality) ?? 0, prompt.get(modality) ?? 0));
  }
  const sum = (counts: ByModality): number => [...counts.values()].reduce((a, b) => a + b, 0);
  const textInPrompt = sizes.input - sum(prompt);
  let missing = sizes.cached - sum(cached) - textInPrompt;
  for (const modality of MODALITIES) {
    const room = (prompt.get(modality) ?? 0) - (cached.get(modality) ?? 0);
    const moved = Math.max(0, Math.min(room, missing));
    cached.set(modality, (cached.get(modality) ?? 0) + moved);
    missing -= moved;
  }
  return cached;
};

interface Sizes {
  input: number;
  cached: number;
}

/** Whether the object states any count; Vertex sends objects that name only the traffic type. */
export const statesGeminiCounts = (usage: JsonObject): boolean =>
  Object.entries(usage).some(([name, count]) => name.endsWith('TokenCount') && count !== null);

/**
 * Disjoint classes of `usageMetadata`. The prompt holds what was cached; tool prompts and thoughts are additional. Counts of zero are
 * left out by the provider, so beside another count a missing one is zero.
 * @throws UnreadableUsage when a figure is no count or the total is not prompt + tool prompts + candidates + thoughts.
 */
export const readGeminiUsage = (usage: JsonObject): ClassQuantities => {
  const input =
    (statedCount(usage, 'promptTokenCount') ?? 0) +
    (statedCount(usage, 'toolUsePromptTokenCount') ?? 0);
  const cached = statedCount(usage, 'cachedContentTokenCount');
  const output =
    statedCount(usage, 'candidatesTokenCount') ?? statedCount(usage, 'responseTokenCount') ?? 0;
  const thoughts = statedCount(usage, 'thoughtsTokenCount');
  const total = statedCount(usage, 'totalTokenCount');
  mustHold(total === undefined || total === input + output + (thoughts ?? 0));
  mustHold((cached ?? 0) <= input);
  const prompt = readDetails(usage, 'promptTokensDetails', 'toolUsePromptTokensDetails');
  const sizes = { input, cached: cached ?? 0 };
  const inCache = splitCached(prompt, readDetails(usage, 'cacheTokensDetails'), sizes);
  const fresh: ByModality = new Map(
    [...prompt].map(([modality, count]) => [modality, count - (inCache.get(modality) ?? 0)]),
  );
  const made = readDetails(usage, 'candidatesTokensDetails', 'responseTokensDetails');
  return {
    ...split('input_uncached', input - sizes.cached, fresh),
    ...(cached === undefined ? {} : split('cache_read', cached, inCache)),
    ...split('output_text', output, made),
    ...(thoughts === undefined ? {} : { output_reasoning: String(thoughts) }),
  };
};

/** Input classes of an embedding. The Gemini API spells the details' name without the "s" of tokens. */
export const readGeminiEmbedding = (usage: JsonObject): ClassQuantities => {
  const counts = readDetails(
    usage,
    'promptTokensDetails' in usage ? 'promptTokensDetails' : 'promptTokenDetails',
  );
  return split('input_uncached', requiredCount(usage, 'promptTokenCount'), counts);
};
