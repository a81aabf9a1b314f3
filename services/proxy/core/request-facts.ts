import type { Flavour } from '../../../schemas/words.ts';
import type { JsonObject } from './flavour.ts';
import { asLowerWord, asObject, asWord } from './flavour.ts';
import { injectIncludeUsage } from './include-usage.ts';
import { findMember } from './json-span.ts';

/** What a request body declares, as far as metering needs it. */
export interface RequestFacts {
  model?: string;
  tier?: string;
  streamed: boolean;
  /** Output limit declared by the caller, in tokens. */
  maxOutputTokens?: number;
}

/** Names, snapshots, fine-tunes, deployments and ARNs; no blanks, so no sentences. */
const MODEL_SHAPE = /^[\p{L}\p{N}][\p{L}\p{N}._:/@+~-]*$/u;

/** Reads the declarations; what is not declared or has no sane shape is left out. */
export const requestFacts = (body: JsonObject | null): RequestFacts => {
  const named = asWord(body?.['model'], 200);
  // A caller may put anything where a model's name belongs; what cannot be one is kept out of every record.
  const model = named !== undefined && MODEL_SHAPE.test(named) ? named : undefined;
  const tier = asLowerWord(body?.['service_tier'], 64);
  const maximum =
    body?.['max_completion_tokens'] ?? body?.['max_output_tokens'] ?? body?.['max_tokens'];
  const sane = typeof maximum === 'number' && Number.isSafeInteger(maximum) && maximum >= 0;
  return {
    streamed: body?.['stream'] === true,
    ...(model === undefined ? {} : { model }),
    ...(tier === undefined ? {} : { tier }),
    ...(sane ? { maxOutputTokens: maximum } : {}),
  };
};

/** The body to send when usage must be asked for, or null when it goes as it came. */
export const editedBody = (
  flavour: Flavour | null,
  facts: RequestFacts,
  source: string,
): string | null =>
  flavour === 'openai.chat' && facts.streamed && findMember(source, 'stream')
    ? injectIncludeUsage(source)
    : null;

const PROMPT_KEYS = new Set(['messages', 'system', 'input', 'instructions', 'prompt', 'tools']);
const NOT_TEXT = new Set([
  'data',
  'url',
  'image_url',
  'file_data',
  'file_id',
  'id',
  'type',
  'role',
]);
const DEPTH_MAX = 12;

/** Prompt text by piece, for a token estimate, and tokens given as numbers (embeddings may be asked for token ids). */
export const promptPieces = (body: JsonObject | null): { texts: string[]; tokenIds: number } => {
  const texts: string[] = [];
  let tokenIds = 0;
  const walk = (value: unknown, depth: number): void => {
    if (depth > DEPTH_MAX) return;
    if (typeof value === 'string') texts.push(value);
    else if (typeof value === 'number') tokenIds += depth > 0 ? 1 : 0;
    else if (Array.isArray(value)) for (const item of value) walk(item, depth + 1);
    else {
      for (const [name, item] of Object.entries(asObject(value) ?? {})) {
        if (!NOT_TEXT.has(name) && typeof item !== 'number') walk(item, depth + 1);
      }
    }
  };
  for (const name of PROMPT_KEYS) if (body && name in body) walk(body[name], 0);
  return { texts, tokenIds };
};
