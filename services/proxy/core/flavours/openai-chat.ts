import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyEvent, ReplyReader, Statement } from '../flavour.ts';
import { asArray, asLowerWord, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { readCompatibleUnits, readCompatibleUsage } from './compatible-usage.ts';
import { readServedModels } from './served-models.ts';

/** Output text of one choice, whole or a delta, in chat or in legacy completions. */
const seeChoice = (choice: JsonObject | null, seen: { add(piece: unknown): void }): void => {
  seen.add(choice?.['text']);
  const message = asObject(choice?.['delta'] ?? choice?.['message']);
  seen.add(message?.['content']);
  seen.add(message?.['refusal']);
  seen.add(message?.['reasoning_content']);
  for (const call of asArray(message?.['tool_calls'])) {
    seen.add(asObject(asObject(call)?.['function'])?.['arguments']);
  }
};

/**
 * OpenAI Chat Completions, its legacy Completions and every host that speaks like them. In a stream the usage stands in one chunk,
 * near the end but not always last (some hosts state it cumulatively in every chunk): all are looked at, the last one wins. Groq
 * states it twice; the copy in `x_groq` counts only where the other is missing.
 * @param rules `thinkingInTotal`: reasoning shows only in the total (Gemini's compatible endpoint).
 */
export const createOpenAiChatReader = (rules: { thinkingInTotal?: boolean } = {}): ReplyReader => {
  const seen = createTextSeen();
  let usage: JsonObject | null = null;
  let copied = false;
  let breakdown: unknown;
  let rawUsage: string | undefined;
  let model: string | undefined;
  let tier: string | undefined;
  let finishReason: string | undefined;
  /** The usage stands in a whole reply, or in a chunk of its own behind all choices. */
  let final = false;
  let workId: string | undefined;

  const readUsage = (source: string, object: JsonObject): void => {
    const groq = asObject(object['x_groq']);
    breakdown = groq?.['usage_breakdown'] ?? object['usage_breakdown'] ?? breakdown;
    const stated = asObject(object['usage']);
    const copy = asObject(groq?.['usage']);
    if (!stated && (!copy || (usage && !copied))) return;
    copied = !stated;
    usage = stated ?? copy;
    final = asArray(object['choices']).length === 0;
    const path = stated ? ['usage'] : ['x_groq', 'usage'];
    rawUsage = keepRawUsage(sourceAt(source, path), usage);
  };

  const readEvent = ({ source, data }: ReplyEvent): void => {
    const object = asObject(data);
    if (!object) return;
    model = asWord(object['model'], 200) ?? model;
    tier = asLowerWord(object['service_tier'], 64) ?? tier;
    workId = asWord(object['id'], 200) ?? workId;
    for (const choice of asArray(object['choices']).map(asObject)) {
      finishReason = asWord(choice?.['finish_reason'], 64) ?? finishReason;
      seeChoice(choice, seen);
    }
    // Azure bills a prompt that its content filter refuses: the caller of this has to tell that refusal from others.
    const error = asObject(object['error']);
    if (error?.['code'] === 'content_filter') finishReason = 'content_filter';
    readUsage(source, object);
  };

  const figuresOf = (stated: JsonObject) => {
    const units = readCompatibleUnits(stated);
    const classes = readCompatibleUsage(stated, rules);
    return { classes, units, ...readServedModels(breakdown, { model, units }) };
  };
  const statement = (): Statement => {
    const stated = usage;
    return makeStatement(
      { rawUsage, model, tier, finishReason, workId },
      stated && (() => figuresOf(stated)),
      // Hosts that state the usage so far in every chunk (xAI, vLLM) have not stated all of it before a choice has finished.
      final || finishReason !== undefined ? 'full' : 'part',
    );
  };

  return {
    readBody: (source, data) => {
      readEvent({ source, data });
      final = true;
    },
    readEvent,
    statement,
    textSeen: seen.text,
  };
};
