import type { ClassQuantities } from '../../../../schemas/usage-event.ts';
import { mustHold, requiredCount, statedCount } from '../counts.ts';
import type { JsonObject } from '../flavour.ts';
import { asObject } from '../flavour.ts';

/** How one OpenAI API names the same figures. */
export interface OpenAiNames {
  input: 'prompt_tokens' | 'input_tokens';
  inputDetails: 'prompt_tokens_details' | 'input_tokens_details';
  output: 'completion_tokens' | 'output_tokens';
  outputDetails: 'completion_tokens_details' | 'output_tokens_details';
}

const MODALITIES = [
  ['audio', 'audio_tokens'],
  ['image', 'image_tokens'],
  ['video', 'video_tokens'],
] as const;

const quantity = (count: number): string => String(count);

const readInput = (usage: JsonObject, names: OpenAiNames): [number, ClassQuantities] => {
  const classes: ClassQuantities = {};
  const input = requiredCount(usage, names.input);
  const details = asObject(usage[names.inputDetails]);
  const cached = statedCount(details, 'cached_tokens');
  const written = statedCount(details, 'cache_write_tokens');
  const split = asObject(details?.['cache_write_tokens_details']) ?? details;
  const written12h = statedCount(split, 'ttl_12h_tokens') ?? 0;
  const written30m = statedCount(split, 'ttl_30m_tokens') ?? (written ?? written12h) - written12h;
  mustHold(written === undefined || written === written30m + written12h);
  mustHold(written30m >= 0);
  const stated = MODALITIES.map(([, name]) => statedCount(details, name) ?? 0);
  const other = stated.reduce((sum, count) => sum + count, 0);
  const rest = input - (cached ?? 0) - written30m - written12h;
  // Where the uncached rest is smaller than what is not text, so many of those were in the cache.
  const overlap = Math.max(0, other - rest);
  mustHold(rest >= 0 && other <= input && overlap <= (cached ?? 0));
  classes.input_uncached = quantity(Math.max(0, rest - other));
  if (cached !== undefined) classes.cache_read = quantity(cached - overlap);
  if (written !== undefined || written30m > 0) classes.cache_write_30m = quantity(written30m);
  if (written12h > 0) classes.cache_write_12h = quantity(written12h);
  let left = overlap;
  for (const [index, [modality]] of MODALITIES.entries()) {
    const count = stated[index] ?? 0;
    const inCache = Math.min(count, left);
    left -= inCache;
    if (count > inCache) classes[`input_uncached.${modality}`] = quantity(count - inCache);
    if (inCache > 0) classes[`cache_read.${modality}`] = quantity(inCache);
  }
  return [input, classes];
};

const readOutput = (usage: JsonObject, names: OpenAiNames): [number, ClassQuantities] => {
  const classes: ClassQuantities = {};
  const output = requiredCount(usage, names.output);
  const details = asObject(usage[names.outputDetails]);
  const reasoning = statedCount(details, 'reasoning_tokens');
  const audio = statedCount(details, 'audio_tokens') ?? 0;
  const image = statedCount(details, 'image_tokens') ?? 0;
  const text = output - (reasoning ?? 0) - audio - image;
  mustHold(text >= 0);
  classes.output_text = quantity(text);
  if (reasoning !== undefined) classes.output_reasoning = quantity(reasoning);
  if (audio > 0) classes['output_text.audio'] = quantity(audio);
  if (image > 0) classes['output_text.image'] = quantity(image);
  return [output, classes];
};

/**
 * Disjoint classes of a usage object in which cached input, cache writes and reasoning are inside the totals.
 * @param inputOnly for embeddings, which state no output.
 * @throws UnreadableUsage when a figure is no count or total != input + output.
 */
export const readOpenAiUsage = (
  usage: JsonObject,
  names: OpenAiNames,
  inputOnly = false,
): ClassQuantities => {
  const [input, inputClasses] = readInput(usage, names);
  const [output, outputClasses] = inputOnly ? [0, {}] : readOutput(usage, names);
  const total = statedCount(usage, 'total_tokens');
  mustHold(total === undefined || total === input + output);
  return { ...inputClasses, ...outputClasses };
};
