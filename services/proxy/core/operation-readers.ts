import type { PendingOperation } from '../../../schemas/pending-operation.ts';
import type { ReplyReader } from './flavour.ts';
import { createBatchJobReader } from './flavours/batch-job.ts';
import { createOpenAiResponsesReader } from './flavours/openai-responses.ts';
import { createOpenRouterGenerationReader } from './flavours/openrouter-generation.ts';

const READERS: Record<PendingOperation['operation'], () => ReplyReader> = {
  response: createOpenAiResponsesReader,
  generation: createOpenRouterGenerationReader,
  openai_batch: createBatchJobReader,
  anthropic_batch: createBatchJobReader,
};

/** A reader for what the provider answers when it is asked about work it took on. */
export const createOperationReader = (operation: PendingOperation['operation']): ReplyReader =>
  READERS[operation]();
