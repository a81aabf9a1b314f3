import type { ClassQuantities, UnitQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage, requiredCount } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asObject } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';

/** Text in, audio out. */
const readTokens = (usage: JsonObject): ClassQuantities => ({
  input_uncached: String(requiredCount(usage, 'input_tokens')),
  'output_text.audio': String(requiredCount(usage, 'output_tokens')),
});

/**
 * OpenAI Speech. The body is audio and states nothing: what is sold is the text that was sent, by the character. Only the event form
 * ends in a usage object.
 * @param asked what the request was for; `characters` of it is sold when the provider has accepted it.
 */
export const createOpenAiSpeechReader = (asked: UnitQuantities): ReplyReader => {
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let accepted = false;
  return {
    readHead: ({ status }) => {
      accepted = status >= 200 && status < 300;
    },
    readBody: () => undefined,
    readEvent: ({ source, data }) => {
      const stated = asObject(asObject(data)?.['usage']);
      if (!stated) return;
      usage = stated;
      rawUsage = keepRawUsage(sourceAt(source, ['usage']), stated);
    },
    statement: () => {
      const stated = usage;
      if (stated) return makeStatement({ rawUsage }, () => ({ classes: readTokens(stated) }));
      const sold = accepted && asked.characters !== undefined;
      return makeStatement({}, sold ? () => ({ classes: {}, units: asked }) : null);
    },
    textSeen: () => '',
  };
};
