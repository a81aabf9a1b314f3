import type { ClassQuantities, UnitQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawMembers, keepRawUsage, mustHold, statedQuantity } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { readCompatibleUnits, readCompatibleUsage } from './compatible-usage.ts';
import { readOpenAiUsage } from './openai-usage.ts';

const NAMES = {
  input: 'input_tokens',
  inputDetails: 'input_tokens_details',
  output: 'output_tokens',
  outputDetails: 'output_tokens_details',
} as const;

/** `type` says what the model is sold by. Here, and only here, the details' name has "token" in the singular. Mistral states it as of a chat. */
const readUsage = (usage: JsonObject): { classes: ClassQuantities; units: UnitQuantities } => {
  const seconds = statedQuantity(usage, 'seconds');
  if (seconds !== undefined) return { classes: {}, units: { audio_seconds: seconds } };
  mustHold(usage['type'] !== 'duration');
  if ('prompt_tokens' in usage) {
    return { classes: readCompatibleUsage(usage), units: readCompatibleUnits(usage) };
  }
  const details = usage['input_tokens_details'] ?? usage['input_token_details'];
  return {
    classes: readOpenAiUsage({ ...usage, input_tokens_details: details }, NAMES),
    units: {},
  };
};

/**
 * OpenAI Transcription and Translation: tokens, or seconds of audio. The verbose format of models without a usage object states the
 * audio's duration; the plain formats state nothing.
 */
export const createOpenAiTranscriptionReader = (): ReplyReader => {
  const seen = createTextSeen();
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;

  const read = (source: string, data: unknown): void => {
    const object = asObject(data);
    if (!object) return;
    model = asWord(object['model'], 200) ?? model;
    seen.add(object['delta'] ?? object['text']);
    const stated = asObject(object['usage']);
    if (stated) {
      usage = stated;
      rawUsage = keepRawUsage(sourceAt(source, ['usage']), stated);
    } else if (usage === null && object['duration'] !== undefined) {
      usage = { seconds: Number(object['duration']) };
      rawUsage = keepRawMembers(source, ['duration']);
    }
  };
  return {
    readBody: read,
    readEvent: ({ source, data }) => read(source, data),
    statement: () => {
      const stated = usage;
      return makeStatement({ rawUsage, model }, stated && (() => readUsage(stated)));
    },
    textSeen: seen.text,
  };
};
