import type { Meter } from '../../../schemas/words.ts';

/** The name of statement lines no table maps. */
export const UNMAPPED = 'unmapped';
/** The model of meters that statements bill without naming one. */
export const ANY_MODEL = '*';

/** Sold by the house, not by the model: statements print one line for all models. */
const MODEL_LESS: ReadonlySet<string> = new Set([
  'web_search_requests',
  'web_fetch_requests',
  'file_search_calls',
  'code_interpreter_sessions',
  'code_execution_hours',
  'computer_use_calls',
  'tool_calls',
  'storage_gb_hours',
  'session_hours',
]);

/** OpenAI prints one line for cache writes of every lifetime; Anthropic one for each. */
const WRITES_IN_ONE_LINE: ReadonlySet<string> = new Set(['openai']);

/**
 * The coarsest meter both sides can be compared at: reasoning is inside "output" on every statement. A modality stays apart:
 * `output.audio`.
 */
export const meterGroupOf = (provider: string, meter: Meter): string => {
  const [tokenClass = meter, modality] = meter.split('.');
  const suffix = modality === undefined ? '' : `.${modality}`;
  if (tokenClass.startsWith('output_')) return `output${suffix}`;
  if (tokenClass.startsWith('cache_write_') && WRITES_IN_ONE_LINE.has(provider)) {
    return `cache_write${suffix}`;
  }
  return meter;
};

export const isBilledWithoutModel = (meter: string): boolean => MODEL_LESS.has(meter);
