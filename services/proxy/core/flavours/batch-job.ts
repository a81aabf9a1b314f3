import type { ReplyReader, Statement } from '../flavour.ts';
import { asLowerWord, asObject, asWord } from '../flavour.ts';

/**
 * The job object of a batch (OpenAI and hosts like it, Anthropic): which work it is and whether it goes on. The job itself is not
 * sold. What newer jobs state as their `usage` is the sum of the items, which are calls of their own, and is not taken.
 */
export const createBatchJobReader = (): ReplyReader => {
  let workId: string | undefined;
  let finishReason: string | undefined;
  const readBody = (_source: string, body: unknown): void => {
    const job = asObject(body);
    workId = asWord(job?.['id'], 200) ?? workId;
    finishReason = asLowerWord(job?.['processing_status'] ?? job?.['status'], 64) ?? finishReason;
  };
  return {
    readBody,
    readEvent: ({ source, data }) => readBody(source, data),
    statement: (): Statement => ({
      completeness: 'none',
      classes: {},
      units: {},
      ...(workId === undefined ? {} : { workId }),
      ...(finishReason === undefined ? {} : { finishReason }),
    }),
    textSeen: () => '',
  };
};
