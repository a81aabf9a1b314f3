import { keepRawUsage, requiredCount } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asObject, asWord } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';

/** Mistral OCR, sold by the page. */
export const createMistralOcrReader = (): ReplyReader => {
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;
  return {
    readBody: (source, body) => {
      const object = asObject(body);
      model = asWord(object?.['model'], 200);
      usage = asObject(object?.['usage_info']);
      if (usage) rawUsage = keepRawUsage(sourceAt(source, ['usage_info']), usage);
    },
    readEvent: () => undefined,
    statement: () => {
      const stated = usage;
      const figures =
        stated &&
        (() => ({
          classes: {},
          units: { pages: String(requiredCount(stated, 'pages_processed')) },
        }));
      return makeStatement({ rawUsage, model }, figures);
    },
    textSeen: () => '',
  };
};
