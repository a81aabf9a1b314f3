import type { ClassQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage, statedCount } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asArray, asObject, asWord } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { readOpenAiUsage } from './openai-usage.ts';

const NAMES = {
  input: 'input_tokens',
  inputDetails: 'input_tokens_details',
  output: 'output_tokens',
  outputDetails: 'output_tokens_details',
} as const;

/** Where the output is not split it is all image: that is what the endpoint makes. */
const readTokens = (usage: JsonObject): ClassQuantities => {
  const details = asObject(usage['output_tokens_details']);
  const output = statedCount(usage, 'output_tokens');
  const whole = details ?? { image_tokens: output };
  return readOpenAiUsage({ ...usage, output_tokens_details: whole }, NAMES);
};

/** OpenAI Images. Token models state usage, in a stream in the completed event; older ones are sold by the image and are counted. */
export const createOpenAiImagesReader = (): ReplyReader => {
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;
  let images = 0;

  const read = (source: string, data: unknown): void => {
    const object = asObject(data);
    model = asWord(object?.['model'], 200) ?? model;
    images += asArray(object?.['data']).length;
    const type = object?.['type'];
    if (typeof type === 'string' && type.endsWith('.completed')) images += 1;
    const stated = asObject(object?.['usage']);
    if (!stated) return;
    usage = stated;
    rawUsage = keepRawUsage(sourceAt(source, ['usage']), stated);
  };
  return {
    readBody: read,
    readEvent: ({ source, data }) => read(source, data),
    statement: () => {
      const stated = usage;
      // Hosts may put nothing but a cost into it (xAI); the image is then what is sold.
      if (stated && ('input_tokens' in stated || 'output_tokens' in stated || images === 0)) {
        return makeStatement({ rawUsage, model }, () => ({ classes: readTokens(stated) }));
      }
      const counted = () => ({ classes: {}, units: { images: String(images) } });
      return makeStatement({ rawUsage, model }, images > 0 ? counted : null);
    },
    textSeen: () => '',
  };
};
