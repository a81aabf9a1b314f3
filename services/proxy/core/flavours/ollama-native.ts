import type { ClassQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawMembers, mustHold, statedCount } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asObject, asWord, createTextSeen } from '../flavour.ts';
import { makeStatement } from '../statement.ts';

const COUNTERS = ['prompt_eval_count', 'prompt_eval_cached_count', 'eval_count'] as const;

const states = (object: JsonObject, name: string): boolean =>
  object[name] !== undefined && object[name] !== null;

/** What was cached is inside the prompt. */
const readCounters = (object: JsonObject): ClassQuantities => {
  const prompt = statedCount(object, 'prompt_eval_count');
  const cached = statedCount(object, 'prompt_eval_cached_count');
  const output = statedCount(object, 'eval_count');
  mustHold((cached ?? 0) <= (prompt ?? 0));
  return {
    ...(prompt === undefined ? {} : { input_uncached: String(prompt - (cached ?? 0)) }),
    ...(cached === undefined ? {} : { cache_read: String(cached) }),
    ...(output === undefined ? {} : { output_text: String(output) }),
  };
};

/**
 * Ollama's own API: chat, generate and embed. The counters stand in the last object of the stream, the one that is done. Versions
 * before July 2024 left the prompt out when it was cached: such a reply is stated in part.
 */
export const createOllamaReader = (): ReplyReader => {
  const seen = createTextSeen();
  let counters: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;
  let finishReason: string | undefined;

  const read = (source: string, data: unknown): void => {
    const object = asObject(data);
    if (!object) return;
    model = asWord(object['model'], 200) ?? model;
    finishReason = asWord(object['done_reason'], 64) ?? finishReason;
    const message = asObject(object['message']);
    for (const piece of [object['response'], message?.['content'], message?.['thinking']]) {
      seen.add(piece);
    }
    if (!COUNTERS.some((name) => states(object, name))) return;
    counters = object;
    rawUsage = keepRawMembers(source, COUNTERS);
  };
  return {
    readBody: read,
    readEvent: ({ source, data }) => read(source, data),
    statement: () => {
      const stated = counters;
      const completeness = stated && states(stated, 'prompt_eval_count') ? 'full' : 'part';
      const figures = stated && (() => ({ classes: readCounters(stated) }));
      return makeStatement({ rawUsage, model, finishReason }, figures, completeness);
    },
    textSeen: seen.text,
  };
};
