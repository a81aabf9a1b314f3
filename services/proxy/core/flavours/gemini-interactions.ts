import type { UnitQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage, statedCount } from '../counts.ts';
import type { JsonObject, Statement } from '../flavour.ts';
import { asArray, asLowerWord, asObject, asWord } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import type { About } from '../statement.ts';
import { makeStatement } from '../statement.ts';
import { readGeminiUsage } from './gemini-usage.ts';

const DETAILS = [
  ['promptTokensDetails', 'input_tokens_by_modality'],
  ['toolUsePromptTokensDetails', 'tool_use_tokens_by_modality'],
  ['candidatesTokensDetails', 'output_tokens_by_modality'],
  ['cacheTokensDetails', 'cached_tokens_by_modality'],
] as const;

const detailsOf = (usage: JsonObject, name: string): unknown[] =>
  asArray(usage[name])
    .map(asObject)
    .map((entry) => ({
      modality: String(entry?.['modality']).toUpperCase(),
      tokenCount: entry?.['tokens'],
    }));

/** The object of an interaction that states usage, as a whole reply or in the event that completes it; null where none does. */
const findInteraction = (
  reply: JsonObject,
): { interaction: JsonObject; usage: JsonObject; path: string[] } | null => {
  const inner = asObject(reply['interaction']);
  const interaction = inner ?? reply;
  const usage = asObject(interaction['usage']);
  if (!usage || !('total_input_tokens' in usage)) return null;
  return { interaction, usage, path: inner ? ['interaction', 'usage'] : ['usage'] };
};

/**
 * Usage of Gemini's Interactions API in the words of generateContent. Thoughts are additional to the output unless the total says that
 * they are inside it.
 * @throws UnreadableUsage
 */
const inGeminiWords = (usage: JsonObject): JsonObject => {
  const input = statedCount(usage, 'total_input_tokens') ?? 0;
  const tools = statedCount(usage, 'total_tool_use_tokens') ?? 0;
  const output = statedCount(usage, 'total_output_tokens') ?? 0;
  const thoughts = statedCount(usage, 'total_thought_tokens') ?? 0;
  const total = statedCount(usage, 'total_tokens');
  const inside = thoughts > 0 && total === input + tools + output;
  return {
    promptTokenCount: input,
    toolUsePromptTokenCount: tools,
    cachedContentTokenCount: usage['total_cached_tokens'],
    candidatesTokenCount: inside ? output - thoughts : output,
    thoughtsTokenCount: usage['total_thought_tokens'],
    totalTokenCount: total,
    ...Object.fromEntries(DETAILS.map(([to, from]) => [to, detailsOf(usage, from)])),
  };
};

/** Searches of Google that the interaction made. */
const searchesOf = (usage: JsonObject): UnitQuantities => {
  const searches = asArray(usage['grounding_tool_count'])
    .map(asObject)
    .filter((entry) => entry?.['type'] === 'google_search')
    .reduce((sum, entry) => sum + (statedCount(entry, 'count') ?? 0), 0);
  return searches > 0 ? { web_search_requests: String(searches) } : {};
};

/** Reads interactions where generateContent is read: null when none stated usage. */
export const createInteractionReader = (seen: { add(piece: unknown): void }) => {
  let usage: JsonObject | null = null;
  let about: About = {};
  return {
    read: (source: string | null, reply: JsonObject): void => {
      seen.add(asObject(reply['delta'])?.['text']);
      const found = findInteraction(reply);
      if (!found) return;
      usage = found.usage;
      about = {
        rawUsage: keepRawUsage(source === null ? null : sourceAt(source, found.path), usage),
        model: asWord(found.interaction['model'], 200),
        tier: asLowerWord(found.interaction['service_tier'], 64),
        finishReason: asWord(found.interaction['status'], 64),
      };
    },
    statement: (): Statement | null => {
      const stated = usage;
      if (!stated) return null;
      return makeStatement(about, () => ({
        classes: readGeminiUsage(inGeminiWords(stated)),
        units: searchesOf(stated),
      }));
    },
  };
};
