import type { ClassQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage, requiredCount } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asArray, asObject, asWord } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { readGeminiEmbedding, statesGeminiCounts } from './gemini-usage.ts';

interface Figures {
  classes: ClassQuantities;
}

/**
 * Vertex's older `:predict` states tokens by prediction, and characters where a model is sold by them.
 * @returns null where it states neither.
 */
const readPredictions = (body: JsonObject | null): (() => Figures) | null => {
  const statistics = asArray(body?.['predictions']).map((prediction) => {
    const embeddings = asObject(asObject(prediction)?.['embeddings']);
    return asObject(embeddings?.['statistics']);
  });
  if (statistics.length === 0 || statistics.some((one) => one === null)) return null;
  return () => ({
    classes: {
      input_uncached: String(
        statistics.reduce((sum, one) => sum + requiredCount(one, 'token_count'), 0),
      ),
    },
  });
};

/** The counts of all predictions and of the call, without what was computed. */
const predictionCounts = (body: JsonObject | null): unknown => ({
  statistics: asArray(body?.['predictions']).map(
    (one) => asObject(asObject(one)?.['embeddings'])?.['statistics'] ?? null,
  ),
  metadata: asObject(body?.['metadata']),
});

const createReader = (read: (usage: JsonObject) => ClassQuantities): ReplyReader => {
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;
  let predicted: (() => Figures) | null = null;
  return {
    readBody: (source, body) => {
      const object = asObject(body);
      model = asWord(object?.['modelVersion'], 200);
      predicted = readPredictions(object);
      if (predicted) rawUsage = keepRawUsage(null, predictionCounts(object));
      const stated = asObject(object?.['usageMetadata']);
      if (!stated || !statesGeminiCounts(stated)) return;
      usage = stated;
      rawUsage = keepRawUsage(sourceAt(source, ['usageMetadata']), stated);
    },
    readEvent: () => undefined,
    statement: () => {
      const stated = usage;
      return makeStatement(
        { rawUsage, model },
        stated ? () => ({ classes: read(stated) }) : predicted,
      );
    },
    textSeen: () => '',
  };
};

/** Gemini embedContent and batchEmbedContents: input only. */
export const createGeminiEmbedReader = (): ReplyReader => createReader(readGeminiEmbedding);

/** Gemini cachedContents: the tokens that were put into the cache are sold as input, once; how long they stay is sold by the hour. */
export const createGeminiCacheReader = (): ReplyReader =>
  createReader((usage) => ({ input_uncached: String(requiredCount(usage, 'totalTokenCount')) }));
