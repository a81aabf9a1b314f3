import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asObject, asWord } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { readCompatibleUsage } from './compatible-usage.ts';

/**
 * Runs of OpenAI Assistants. The run states its usage when it is done; its steps state theirs too, which is inside it and does not
 * count. A run that was only queued states nothing yet.
 */
export const createOpenAiRunsReader = (): ReplyReader => {
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let model: string | undefined;
  let finishReason: string | undefined;

  const read = (source: string, data: unknown): void => {
    const run = asObject(data);
    if (run?.['object'] !== 'thread.run') return;
    model = asWord(run['model'], 200) ?? model;
    finishReason = asWord(run['status'], 64) ?? finishReason;
    const stated = asObject(run['usage']);
    if (!stated) return;
    usage = stated;
    rawUsage = keepRawUsage(sourceAt(source, ['usage']), stated);
  };
  return {
    readBody: read,
    readEvent: ({ source, data }) => read(source, data),
    statement: () => {
      const stated = usage;
      const figures = stated && (() => ({ classes: readCompatibleUsage(stated) }));
      return makeStatement({ rawUsage, model, finishReason }, figures);
    },
    textSeen: () => '',
  };
};
