import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyReader, Statement } from '../flavour.ts';
import { asObject, asWord } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { readCompatibleUsage } from './compatible-usage.ts';

/** Embeddings of OpenAI and of hosts that speak like it (Voyage states the total only): input only, never streamed. */
export const createOpenAiEmbeddingsReader = (): ReplyReader => {
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;

  const statement = (): Statement => {
    const stated = usage;
    return makeStatement(
      { rawUsage, model },
      stated &&
        (() => ({
          classes: readCompatibleUsage(
            { ...stated, prompt_tokens: stated['prompt_tokens'] ?? stated['total_tokens'] },
            { inputOnly: true },
          ),
        })),
    );
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
