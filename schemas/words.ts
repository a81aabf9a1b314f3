import { z } from 'zod';

/** How an attempt ended, as far as its usage is known. One of seven; absent usage is never zero. */
export const ENDINGS = [
  'reported', // usage stated by the provider
  'drained', // the same, after the client had left
  'partial', // stated in part; the rest is estimated or missing
  'estimated', // not stated; counted by us from what was seen
  'unknown', // not stated and not countable
  'pending', // the provider will state it later (background and batch work)
  'not_billed', // the provider refused or never received the call
] as const;
export const EndingSchema = z.enum(ENDINGS);

/** Disjoint from the proxy on: a token is in exactly one class. "output_text" is all output that is not reasoning. */
export const TOKEN_CLASSES = [
  'input_uncached',
  'cache_read',
  'cache_write_5m',
  'cache_write_30m',
  'cache_write_1h',
  'cache_write_12h',
  'output_text',
  'output_reasoning',
] as const;
export type TokenClass = (typeof TOKEN_CLASSES)[number];
export const MODALITIES = ['audio', 'image', 'video', 'document'] as const;
export type Modality = (typeof MODALITIES)[number];
export type ClassKey = TokenClass | `${TokenClass}.${Modality}`;

export const CLASS_KEYS: readonly ClassKey[] = TOKEN_CLASSES.flatMap((tokenClass) => [
  tokenClass,
  ...MODALITIES.map((modality): ClassKey => `${tokenClass}.${modality}`),
]);
/** A token class, with the modality behind a dot when it is not text: `input_uncached.audio`. */
export const ClassKeySchema = z.enum(CLASS_KEYS as [ClassKey, ...ClassKey[]]);

/** Everything sold by something else than tokens. */
export const UNITS = [
  'requests',
  'web_search_requests',
  'web_fetch_requests',
  'file_search_calls',
  'code_interpreter_sessions',
  'code_execution_hours',
  'computer_use_calls',
  'tool_calls',
  'search_units',
  'classifications',
  'images',
  'audio_seconds',
  'video_seconds',
  'characters',
  'pages',
  'storage_gb_hours',
  'session_hours',
  'gpu_hours',
  'cache_storage_token_hours', // tokens kept in an explicit cache times hours (Gemini)
  'stated_cost_micro_usd', // millionths of a dollar that the provider itself says the call cost; of pass-through prices only
] as const;
export const UnitSchema = z.enum(UNITS);
export type Unit = z.infer<typeof UnitSchema>;

/** What a price is for and a charge is of: a token class or a unit. */
export const MeterSchema = z.union([ClassKeySchema, UnitSchema]);
export type Meter = z.infer<typeof MeterSchema>;

/** Which wire format the call spoke. Chosen by endpoint, never by vendor. */
export const FLAVOURS = [
  'openai.chat',
  'openai.responses',
  'openai.embeddings',
  'openai.completions',
  'openai.images',
  'openai.speech',
  'openai.transcription',
  'openai.runs',
  'openai.batch',
  'anthropic.messages',
  'anthropic.batch',
  'gemini.generate',
  'gemini.embed',
  'gemini.cache',
  'gemini.openai',
  'bedrock.converse',
  'bedrock.invoke',
  'cohere.chat',
  'cohere.embed',
  'cohere.rerank',
  'mistral.ocr',
  'ollama.native',
  'passthrough',
] as const;
export const FlavourSchema = z.enum(FLAVOURS);
export type Flavour = z.infer<typeof FlavourSchema>;

/** Who and what a call was for. `tenant` always comes from the key; the rest from key, then headers. */
export const DIMENSIONS = [
  'tenant',
  'feature',
  'user',
  'session',
  'team',
  'business_unit',
  'cost_center',
  'application',
  'workflow',
  'agent',
  'env',
  'repo',
] as const;
export type Dimension = (typeof DIMENSIONS)[number];
