import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyReader, Statement } from '../flavour.ts';
import { asObject, asWord } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { readOpenAiUsage } from './openai-usage.ts';

const NAMES = {
  input: 'prompt_tokens',
  inputDetails: 'prompt_tokens_details',
  output: 'completion_tokens',
  outputDetails: 'completion_tokens_details',
} as const;

/** OpenAI Embeddings: input only, never streamed. */
export const createOpenAiEmbeddingsReader = (): ReplyReader => {
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;

  const statement = (): Statement => {
    const about = {
      ...(rawUsage === undefined ? {} : { rawUsage }),
      ...(model === undefined ? {} : { model }),
    };
    if (!usage) return { completeness: 'none', classes: {}, units: {}, ...about };
    try {
      const classes = readOpenAiUsage(usage, NAMES, true);
      return { completeness: 'full', classes, units: {}, ...about };
    } catch {
      return { completeness: 'unreadable', classes: {}, units: {}, ...about };
    }
  };

  return {
    readBody: (source, body) => {
      const object = asObject(body);
      model = asWord(object?.['model'], 200);
      usage = asObject(object?.['usage']);
      if (usage) rawUsage = keepRawUsage(sourceAt(source, ['usage']), usage);
    },
    readEvent: () => undefined,
    statement,
    textSeen: () => '',
  };
};
