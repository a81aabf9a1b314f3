import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyEvent, ReplyReader, Statement } from '../flavour.ts';
import { asArray, asLowerWord, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { readOpenAiUsage } from './openai-usage.ts';

const NAMES = {
  input: 'prompt_tokens',
  inputDetails: 'prompt_tokens_details',
  output: 'completion_tokens',
  outputDetails: 'completion_tokens_details',
} as const;

/** OpenAI Chat Completions. In a stream the usage stands in one chunk, near the end but not always last: all are looked at. */
export const createOpenAiChatReader = (): ReplyReader => {
  const seen = createTextSeen();
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;
  let tier: string | undefined;
  let finishReason: string | undefined;

  const readObject = (source: string, object: JsonObject): void => {
    model = asWord(object['model'], 200) ?? model;
    tier = asLowerWord(object['service_tier'], 64) ?? tier;
    for (const item of asArray(object['choices'])) {
      const choice = asObject(item);
      finishReason = asWord(choice?.['finish_reason'], 64) ?? finishReason;
      const message = asObject(choice?.['delta'] ?? choice?.['message']);
      seen.add(message?.['content']);
      seen.add(message?.['refusal']);
      seen.add(message?.['reasoning_content']);
      for (const call of asArray(message?.['tool_calls'])) {
        seen.add(asObject(asObject(call)?.['function'])?.['arguments']);
      }
    }
    const stated = asObject(object['usage']);
    if (!stated) return;
    usage = stated;
    rawUsage = keepRawUsage(sourceAt(source, ['usage']), stated);
  };

  const statement = (): Statement => {
    const about = {
      ...(rawUsage === undefined ? {} : { rawUsage }),
      ...(model === undefined ? {} : { model }),
      ...(tier === undefined ? {} : { tier }),
      ...(finishReason === undefined ? {} : { finishReason }),
    };
    if (!usage) return { completeness: 'none', classes: {}, units: {}, ...about };
    try {
      const classes = readOpenAiUsage(usage, NAMES);
      return { completeness: 'full', classes, units: {}, ...about };
    } catch {
      return { completeness: 'unreadable', classes: {}, units: {}, ...about };
    }
  };

  const readEvent = ({ source, data }: ReplyEvent): void => {
    const object = asObject(data);
    if (object) readObject(source, object);
  };
  return {
    readBody: (source, data) => readEvent({ source, data }),
    readEvent,
    statement,
    textSeen: seen.text,
  };
};
