import { keepRawUsage } from '../counts.ts';
import type { ReplyReader, Statement } from '../flavour.ts';
import { asObject, asWord } from '../flavour.ts';

/**
 * Billable endpoints whose wire format is not read: the call is an attempt with usage unknown, and the structure of whatever
 * usage object it states is kept, so that nothing is lost and nothing is taken for zero.
 */
export const createPassthroughReader = (): ReplyReader => {
  let rawUsage: string | undefined;
  let model: string | undefined;
  let stated = false;
  const read = (data: unknown): void => {
    const object = asObject(data);
    const usage = object?.['usage'] ?? asObject(object?.['response'])?.['usage'];
    model = asWord(object?.['model'], 200) ?? model;
    if (usage === undefined || usage === null) return;
    stated = true;
    rawUsage = keepRawUsage(null, usage);
  };
  return {
    readBody: (_source, body) => read(body),
    readEvent: ({ data }) => read(data),
    statement: (): Statement => ({
      completeness: stated ? 'unreadable' : 'none',
      classes: {},
      units: {},
      ...(rawUsage === undefined ? {} : { rawUsage }),
      ...(model === undefined ? {} : { model }),
    }),
    textSeen: () => '',
  };
};
