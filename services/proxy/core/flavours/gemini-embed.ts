import type { ClassQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage, requiredCount } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asObject, asWord } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { readGeminiEmbedding, statesGeminiCounts } from './gemini-usage.ts';

const createReader = (read: (usage: JsonObject) => ClassQuantities): ReplyReader => {
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;
  return {
    readBody: (source, body) => {
      const object = asObject(body);
      model = asWord(object?.['modelVersion'], 200);
      const stated = asObject(object?.['usageMetadata']);
      if (!stated || !statesGeminiCounts(stated)) return;
      usage = stated;
      rawUsage = keepRawUsage(sourceAt(source, ['usageMetadata']), stated);
    },
    readEvent: () => undefined,
    statement: () => {
      const stated = usage;
      return makeStatement({ rawUsage, model }, stated && (() => ({ classes: read(stated) })));
    },
    textSeen: () => '',
  };
};

/** Gemini embedContent and batchEmbedContents: input only. */
export const createGeminiEmbedReader = (): ReplyReader => createReader(readGeminiEmbedding);

/** Gemini cachedContents: the tokens that were put into the cache are sold as input, once; how long they stay is sold by the hour. */
export const createGeminiCacheReader = (): ReplyReader =>
  createReader((usage) => ({ input_uncached: String(requiredCount(usage, 'totalTokenCount')) }));
