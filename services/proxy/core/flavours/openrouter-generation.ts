import { requiredCount, statedCount } from '../counts.ts';
import type { JsonObject, ReplyReader, Statement } from '../flavour.ts';
import { asObject, asWord } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';

/** Members of the record that are kept word for word: native counts, and the cost as a second witness. */
const KEPT = [
  'native_tokens_prompt',
  'native_tokens_completion',
  'native_tokens_reasoning',
  'native_tokens_cached',
  'total_cost',
  'upstream_inference_cost',
  'is_byok',
  'cancelled',
] as const;

const rawOf = (source: string): string =>
  `{${KEPT.flatMap((name) => {
    const value = sourceAt(source, ['data', name]);
    return value === null || value.length > 64 ? [] : [`"${name}":${value}`];
  }).join(',')}}`;

const figuresOf = (record: JsonObject): Pick<Statement, 'classes'> => {
  const prompt = requiredCount(record, 'native_tokens_prompt');
  const completion = requiredCount(record, 'native_tokens_completion');
  const cached = statedCount(record, 'native_tokens_cached') ?? 0;
  const reasoning = statedCount(record, 'native_tokens_reasoning') ?? 0;
  // Of Gemini, cached and written tokens can exceed the prompt: what is cached is never more than what was sent.
  const fromCache = Math.min(cached, prompt);
  const thought = Math.min(reasoning, completion);
  return {
    classes: {
      input_uncached: String(prompt - fromCache),
      cache_read: String(fromCache),
      output_text: String(completion - thought),
      output_reasoning: String(thought),
    },
  };
};

/** OpenRouter's own record of a call (`GET /generation`): native token counts, also of a call that was broken off. */
export const createOpenRouterGenerationReader = (): ReplyReader => {
  let record: JsonObject | null = null;
  let rawUsage: string | undefined;
  const readBody = (source: string, body: unknown): void => {
    rawUsage = rawOf(source);
    record = asObject(asObject(body)?.['data']);
  };
  return {
    readBody,
    readEvent: ({ source, data }) => readBody(source, data),
    statement: (): Statement => {
      const stated = record;
      const counted = stated !== null && typeof stated['native_tokens_prompt'] === 'number';
      return makeStatement(
        {
          rawUsage: counted ? rawUsage : undefined,
          model: asWord(stated?.['model'], 200),
          finishReason: asWord(stated?.['native_finish_reason'] ?? stated?.['finish_reason'], 64),
        },
        counted ? () => figuresOf(stated) : null,
      );
    },
    textSeen: () => '',
  };
};
