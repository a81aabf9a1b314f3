import type { UnitQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asArray, asLowerWord, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { createInteractionReader } from './gemini-interactions.ts';
import { readGeminiUsage, statesGeminiCounts } from './gemini-usage.ts';

/** Searches of Google the reply rests on. From Gemini 3 on each query is sold, before that each prompt that was grounded. */
const searchesOf = (queries: ReadonlySet<unknown>, model: string | undefined): UnitQuantities => {
  if (queries.size === 0) return {};
  const perPrompt = /^(models\/)?gemini-[12]\b/.test(model ?? '');
  return { web_search_requests: perPrompt ? '1' : String(queries.size) };
};

/** Pictures that Imagen made: sold by the picture. What its filters kept back is not sold. */
const picturesIn = (reply: JsonObject): number =>
  asArray(reply['predictions'])
    .map(asObject)
    .filter((one) => one && ('bytesBase64Encoded' in one || 'gcsUri' in one)).length;

/** Tokens as stated; where none are, the pictures that were made; null where there is neither. */
const figuresOf = (
  usage: JsonObject | null,
  about: { queries: ReadonlySet<unknown>; model: string | undefined; images: number },
) => {
  const { queries, model, images } = about;
  if (usage) return () => ({ classes: readGeminiUsage(usage), units: searchesOf(queries, model) });
  return images > 0 ? () => ({ classes: {}, units: { images: String(images) } }) : null;
};

/**
 * Gemini and Vertex generateContent and streamGenerateContent, as events or as one JSON array. Every chunk states usage, but the
 * figures are not monotone: the last object is taken as a whole, never merged, summed or the greatest.
 */
export const createGeminiGenerateReader = (): ReplyReader => {
  const seen = createTextSeen();
  const interactions = createInteractionReader(seen);
  const queries = new Set<unknown>();
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let tier: string | undefined;
  let model: string | undefined;
  let finishReason: string | undefined;
  let whole = false;
  let images = 0;

  const readCandidate = (candidate: JsonObject | null): void => {
    const reason = candidate?.['finishReason'];
    finishReason =
      (typeof reason === 'number' ? String(reason) : asWord(reason, 64)) ?? finishReason;
    for (const part of asArray(asObject(candidate?.['content'])?.['parts']).map(asObject)) {
      seen.add(part?.['text']);
      const call = asObject(part?.['functionCall']);
      if (call) seen.add(JSON.stringify(call['args'] ?? {}));
    }
    const grounding = asObject(candidate?.['groundingMetadata']);
    for (const query of asArray(grounding?.['webSearchQueries'])) {
      if (query !== '') queries.add(query);
    }
  };

  const readChunk = (source: string | null, data: unknown): void => {
    const outer = asObject(data);
    // Code assistants' endpoint puts the reply one level down.
    const inner = outer && !('candidates' in outer) ? asObject(outer['response']) : null;
    const chunk = inner ?? outer;
    if (!chunk) return;
    images += picturesIn(chunk);
    interactions.read(source, chunk);
    model = asWord(chunk['modelVersion'], 200) ?? model;
    for (const candidate of asArray(chunk['candidates'])) readCandidate(asObject(candidate));
    const blocked = asObject(chunk['promptFeedback'])?.['blockReason'];
    finishReason = asWord(blocked, 64) ?? finishReason;
    const stated = asObject(chunk['usageMetadata']);
    if (!stated) return;
    const served = stated['serviceTier'] ?? stated['trafficType'];
    tier = asLowerWord(served, 64) ?? tier;
    if (!statesGeminiCounts(stated)) return;
    usage = stated;
    const path = inner ? ['response', 'usageMetadata'] : ['usageMetadata'];
    const kept = source === null ? null : sourceAt(source, path);
    rawUsage = keepRawUsage(kept, stated);
  };

  return {
    readBody: (source, body) => {
      whole = true;
      if (!Array.isArray(body)) return readChunk(source, body);
      for (const chunk of body) readChunk(null, chunk);
    },
    readEvent: ({ source, data }) => readChunk(source, data),
    statement: () => {
      const interaction = interactions.statement();
      if (interaction) return interaction;
      const figures = figuresOf(usage, { queries, model, images });
      const ended = whole || finishReason !== undefined;
      return makeStatement(
        { rawUsage, model, tier, finishReason },
        figures,
        ended ? 'full' : 'running',
      );
    },
    textSeen: seen.text,
  };
};
