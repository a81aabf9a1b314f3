import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyEvent, ReplyReader, Statement } from '../flavour.ts';
import { asArray, asLowerWord, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import type { CompatibleRules } from './compatible-usage.ts';
import { readCompatibleUnits, readCompatibleUsage } from './compatible-usage.ts';
import { readServedModels } from './served-models.ts';

interface Seen {
  add(piece: unknown): void;
}

/** Content as text, or as parts of text and thinking (Mistral). */
const seeContent = (content: unknown, seen: Seen): void => {
  seen.add(content);
  for (const part of asArray(content).map(asObject)) {
    seen.add(part?.['text']);
    for (const thought of asArray(part?.['thinking'])) seen.add(asObject(thought)?.['text']);
  }
};

/** Output text of one choice, whole or a delta, in chat or in legacy completions. Reasoning has two names. */
const seeChoice = (choice: JsonObject | null, seen: Seen): void => {
  seen.add(choice?.['text']);
  const message = asObject(choice?.['delta'] ?? choice?.['message']);
  seeContent(message?.['content'], seen);
  seen.add(message?.['refusal']);
  seen.add(message?.['reasoning_content'] ?? message?.['reasoning']);
  seen.add(asObject(message?.['audio'])?.['transcript']);
  seen.add(asObject(message?.['function_call'])?.['arguments']);
  for (const call of asArray(message?.['tool_calls'])) {
    seen.add(asObject(asObject(call)?.['function'])?.['arguments']);
  }
};

/** What is particular to a model, whichever host serves it. */
const rulesOf = (model: string | undefined, rules: CompatibleRules): CompatibleRules => ({
  thinkingInTotal: rules.thinkingInTotal || /(^|\/)gemini-/.test(model ?? ''),
  runsOver: rules.runsOver || /(^|\/)grok-/.test(model ?? ''),
});

/**
 * OpenAI Chat Completions, its legacy Completions and every host that speaks like them. In a stream the usage stands in one chunk,
 * near the end but not always last (some hosts state it cumulatively in every chunk): all are looked at, the last one wins. Groq
 * states it twice; the copy in `x_groq` counts only where the other is missing.
 * A stream that states usage all along and breaks is stated so far.
 * @param rules what the endpoint is known for, see `CompatibleRules`.
 */
export const createOpenAiChatReader = (rules: CompatibleRules = {}): ReplyReader => {
  const seen = createTextSeen();
  let usage: JsonObject | null = null;
  let copied = false;
  let breakdown: unknown;
  let rawUsage: string | undefined;
  let model: string | undefined;
  let tier: string | undefined;
  let finishReason: string | undefined;
  let ended = false;
  let workId: string | undefined;

  const readUsage = (source: string, object: JsonObject): void => {
    const groq = asObject(object['x_groq']);
    breakdown = groq?.['usage_breakdown'] ?? object['usage_breakdown'] ?? breakdown;
    const stated = asObject(object['usage']);
    const copy = asObject(groq?.['usage']);
    if (!stated && (!copy || (usage && !copied))) return;
    copied = !stated;
    usage = stated ?? copy;
    const path = stated ? ['usage'] : ['x_groq', 'usage'];
    rawUsage = keepRawUsage(sourceAt(source, path), usage);
    // The chunk that is there for usage alone is the last word, even of a stream that forgets to say why it stopped.
    if (asArray(object['choices']).length === 0) ended = true;
  };

  const readEvent = ({ source, data }: ReplyEvent): void => {
    const object = asObject(data);
    if (!object) {
      ended ||= source === '[DONE]';
      return;
    }
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
    const classes = readCompatibleUsage(stated, rulesOf(model, rules));
    return { classes, units, ...readServedModels(breakdown, { model, units }) };
  };
  const statement = (): Statement => {
    const stated = usage;
    return makeStatement(
      { rawUsage, model, tier, finishReason, workId },
      stated && (() => figuresOf(stated)),
      ended || finishReason !== undefined ? 'full' : 'running',
    );
  };

  return {
    readBody: (source, data) => {
      ended = true;
      readEvent({ source, data });
    },
    readEvent,
    statement,
    textSeen: seen.text,
  };
};
