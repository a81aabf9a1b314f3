import type { UnitQuantities } from '../../../schemas/usage-event.ts';
import type { Flavour } from '../../../schemas/words.ts';
import type { ReplyReader } from './flavour.ts';
import { createAnthropicMessagesReader } from './flavours/anthropic-messages.ts';
import { createBatchJobReader } from './flavours/batch-job.ts';
import { createBedrockConverseReader } from './flavours/bedrock-converse.ts';
import { createBedrockInvokeReader } from './flavours/bedrock-invoke.ts';
import { createCohereReader } from './flavours/cohere.ts';
import { createGeminiCacheReader, createGeminiEmbedReader } from './flavours/gemini-embed.ts';
import { createGeminiGenerateReader } from './flavours/gemini-generate.ts';
import { createMistralOcrReader } from './flavours/mistral-ocr.ts';
import { createOllamaReader } from './flavours/ollama-native.ts';
import { createOpenAiChatReader } from './flavours/openai-chat.ts';
import { createOpenAiEmbeddingsReader } from './flavours/openai-embeddings.ts';
import { createOpenAiImagesReader } from './flavours/openai-images.ts';
import { createOpenAiResponsesReader } from './flavours/openai-responses.ts';
import { createOpenAiRunsReader } from './flavours/openai-runs.ts';
import { createOpenAiSpeechReader } from './flavours/openai-speech.ts';
import { createOpenAiTranscriptionReader } from './flavours/openai-transcription.ts';
import { createPassthroughReader } from './flavours/passthrough.ts';

const READERS: Record<Flavour, (asked: UnitQuantities) => ReplyReader> = {
  'openai.chat': () => createOpenAiChatReader(),
  'openai.responses': createOpenAiResponsesReader,
  'openai.embeddings': createOpenAiEmbeddingsReader,
  'openai.completions': () => createOpenAiChatReader(),
  'openai.images': createOpenAiImagesReader,
  'openai.speech': createOpenAiSpeechReader,
  'openai.transcription': createOpenAiTranscriptionReader,
  'openai.runs': createOpenAiRunsReader,
  'openai.batch': createBatchJobReader,
  'anthropic.messages': createAnthropicMessagesReader,
  'anthropic.batch': createBatchJobReader,
  'gemini.generate': createGeminiGenerateReader,
  'gemini.embed': createGeminiEmbedReader,
  'gemini.cache': createGeminiCacheReader,
  'gemini.openai': () => createOpenAiChatReader({ thinkingInTotal: true }),
  'bedrock.converse': createBedrockConverseReader,
  'bedrock.invoke': createBedrockInvokeReader,
  'cohere.chat': createCohereReader,
  'cohere.embed': createCohereReader,
  'cohere.rerank': createCohereReader,
  'mistral.ocr': createMistralOcrReader,
  'ollama.native': createOllamaReader,
  passthrough: createPassthroughReader,
};

/**
 * A fresh reader for one reply of the flavour.
 * @param asked units the request itself states, for endpoints whose replies state none.
 */
export const createReplyReader = (flavour: Flavour, asked: UnitQuantities = {}): ReplyReader =>
  READERS[flavour](asked);
