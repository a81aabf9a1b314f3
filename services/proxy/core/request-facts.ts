import type { UnitQuantities } from '../../../schemas/usage-event.ts';
import type { Flavour } from '../../../schemas/words.ts';
import type { JsonObject } from './flavour.ts';
import { asArray, asLowerWord, asObject, asWord } from './flavour.ts';
import { injectIncludeUsage } from './include-usage.ts';
import { findMember } from './json-span.ts';
import { onlyField } from './multipart-form.ts';
import { pathModel, pathStreams } from './route.ts';

/** What a request body declares, as far as metering needs it. */
export interface RequestFacts {
  model?: string;
  tier?: string;
  streamed: boolean;
  /** Output limit declared by the caller, in tokens. */
  maxOutputTokens?: number;
  /** Units the request itself states, where the reply will not: characters to be spoken. */
  asked?: UnitQuantities;
  /** The caller forbids the provider to keep the reply: nobody can ask for it again. */
  notStored?: true;
}

/** What a request says beside its JSON body. */
export interface RequestAbout {
  flavour: Flavour | null;
  path: string;
  /** Value of the form field `model`, of bodies that are forms. */
  formModel?: string | undefined;
}

/** The output limit, under the name the dialect gives it. */
const maximumOf = (body: JsonObject | null): unknown => {
  const [inner] = [
    'generationConfig',
    'generation_config',
    'inferenceConfig',
    'options',
    'textGenerationConfig',
  ]
    .map((name) => asObject(body?.[name]))
    .filter((object) => object !== null);
  return (
    body?.['max_completion_tokens'] ??
    body?.['max_output_tokens'] ??
    body?.['max_tokens'] ??
    body?.['max_gen_len'] ??
    body?.['max_tokens_to_sample'] ??
    inner?.['maxOutputTokens'] ??
    inner?.['max_output_tokens'] ??
    inner?.['maxTokens'] ??
    inner?.['max_new_tokens'] ??
    inner?.['maxTokenCount'] ??
    inner?.['num_predict']
  );
};

const tierOf = (body: JsonObject | null): string | undefined => {
  const inner = asObject(body?.['serviceTier'])?.['type'] ?? body?.['serviceTier'];
  return asLowerWord(body?.['service_tier'] ?? inner, 64);
};

/** Ollama streams unless it is told not to. */
const isStreamed = (body: JsonObject | null, about: RequestAbout | undefined): boolean =>
  pathStreams(about?.path ?? '') ||
  (about?.flavour === 'ollama.native' && body !== null
    ? body['stream'] !== false && !about.path.endsWith('/embed')
    : body?.['stream'] === true);

/** Value of a text field of a multipart form; undefined where it is not there exactly once, or no plain word. */
export const formField = (
  source: string,
  contentType: string | undefined,
  name: string,
): string | undefined => {
  const field = onlyField(source, contentType, name);
  return field ? /^[^\r\n]{1,200}$/.exec(source.slice(field.start, field.end))?.[0] : undefined;
};

const modelOf = (value: unknown): unknown =>
  typeof value === 'string' ? value : asObject(value)?.['model'];

/**
 * Models a body names beside its own: what to fall back on (OpenRouter's `models`, others' `fallbacks`) and what tools work with.
 * Some of the work is theirs. What is named there without a name that can be read is an empty one.
 */
export const furtherModels = (body: JsonObject | null): string[] => {
  const choices = [body?.['models'], body?.['fallbacks']].flatMap(asArray).map(modelOf);
  const tools = asArray(body?.['tools'])
    .map((tool) => asObject(tool)?.['model'])
    .filter((model) => model !== undefined);
  return [...choices, ...tools].map((model) => (typeof model === 'string' ? model : ''));
};

/** Names, snapshots, fine-tunes, deployments and ARNs; no blanks, so no sentences. */
const MODEL_SHAPE = /^[\p{L}\p{N}@~][\p{L}\p{N}._:/@+~-]*$/u;

/** Reads the declarations; what is not declared or has no sane shape is left out. */
export const requestFacts = (body: JsonObject | null, about?: RequestAbout): RequestFacts => {
  // Providers that choose by path ignore what a body says, so the path's model is the one a key's list is held against, even where
  // it cannot be one. A caller may put anything where a name belongs; what cannot be a name is kept out of every record.
  const named =
    pathModel(about?.path ?? '') ?? asWord(body?.['model'], 200) ?? asWord(about?.formModel, 200);
  const model = named !== undefined && MODEL_SHAPE.test(named) ? named : undefined;
  const tier = tierOf(body);
  const maximum = maximumOf(body);
  const spoken = about?.flavour === 'openai.speech' ? body?.['input'] : undefined;
  const sane = typeof maximum === 'number' && Number.isSafeInteger(maximum) && maximum >= 0;
  return {
    streamed: isStreamed(body, about),
    ...(typeof spoken === 'string' ? { asked: { characters: String([...spoken].length) } } : {}),
    ...(model === undefined ? {} : { model }),
    ...(tier === undefined ? {} : { tier }),
    ...(sane ? { maxOutputTokens: maximum } : {}),
    ...(body?.['store'] === false ? { notStored: true as const } : {}),
  };
};

const STREAM_OPTIONS: ReadonlySet<Flavour> = new Set([
  'openai.chat',
  'openai.completions',
  'gemini.openai',
]);

/** The body to send when usage must be asked for, or null when it goes as it came. */
export const editedBody = (
  flavour: Flavour | null,
  facts: RequestFacts,
  source: string,
): string | null =>
  flavour !== null && STREAM_OPTIONS.has(flavour) && facts.streamed && findMember(source, 'stream')
    ? injectIncludeUsage(source)
    : null;

const PROMPT_KEYS = new Set([
  'messages',
  'system',
  'input',
  'instructions',
  'prompt',
  'tools',
  'contents',
  'content',
  'systemInstruction',
  'system_instruction',
  'toolConfig',
  'inputText',
  'message',
  'chat_history',
  'documents',
  'texts',
  'requests',
  'inputs',
  'query',
  'instances',
]);
const NOT_TEXT = new Set([
  'data',
  'url',
  'image_url',
  'file_data',
  'file_id',
  'id',
  'type',
  'role',
  'bytes',
  'fileUri',
  'mimeType',
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
