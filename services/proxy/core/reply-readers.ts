import type { Flavour } from '../../../schemas/words.ts';
import type { ReplyReader } from './flavour.ts';
import { createAnthropicMessagesReader } from './flavours/anthropic-messages.ts';
import { createOpenAiChatReader } from './flavours/openai-chat.ts';
import { createOpenAiEmbeddingsReader } from './flavours/openai-embeddings.ts';
import { createOpenAiResponsesReader } from './flavours/openai-responses.ts';
import { createPassthroughReader } from './flavours/passthrough.ts';

const READERS: Record<Flavour, () => ReplyReader> = {
  'openai.chat': createOpenAiChatReader,
  'openai.responses': createOpenAiResponsesReader,
  'openai.embeddings': createOpenAiEmbeddingsReader,
  'anthropic.messages': createAnthropicMessagesReader,
  passthrough: createPassthroughReader,
};

/** A fresh reader for one reply of the flavour. */
export const createReplyReader = (flavour: Flavour): ReplyReader => READERS[flavour]();
