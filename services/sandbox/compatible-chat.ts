import type { Endpoint } from './dialect.ts';
import type { Counts } from './directive.ts';
import { chatEndpoint, openAiUsage } from './openai-chat.ts';

const FILTERED = '{"hate":{"filtered":false,"severity":"safe"}}';

/** Azure OpenAI: as OpenAI, behind a first chunk that carries only what the prompt's filter said. */
export const AZURE_CHAT: Endpoint = chatEndpoint({
  provider: 'azure',
  usageOf: openAiUsage,
  states: 'asked',
  opening: `data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":${FILTERED}}]}\n\n`,
});

/** Gemini's compatible endpoint: thinking is in no counter but the total. */
export const GEMINI_CHAT: Endpoint = chatEndpoint({
  provider: 'google',
  usageOf: (counts: Counts) => {
    const prompt = counts.input_uncached + counts.cache_read;
    return {
      completion_tokens: counts.output_text,
      prompt_tokens: prompt,
      total_tokens: prompt + counts.output_text + counts.output_reasoning,
      ...(counts.cache_read > 0
        ? { prompt_tokens_details: { cached_tokens: counts.cache_read } }
        : {}),
    };
  },
  states: 'asked',
});

/** xAI: reasoning is added to the completion, and every chunk states all that was used so far. */
export const XAI_CHAT: Endpoint = chatEndpoint({
  provider: 'xai',
  usageOf: (counts: Counts) => {
    const prompt = counts.input_uncached + counts.cache_read;
    return {
      prompt_tokens: prompt,
      completion_tokens: counts.output_text,
      total_tokens: prompt + counts.output_text + counts.output_reasoning,
      prompt_tokens_details: {
        text_tokens: prompt,
        audio_tokens: 0,
        image_tokens: 0,
        cached_tokens: counts.cache_read,
      },
      completion_tokens_details: {
        reasoning_tokens: counts.output_reasoning,
        audio_tokens: 0,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0,
      },
      num_sources_used: 0,
    };
  },
  states: 'every',
});

const groqUsage = (counts: Counts) => {
  const prompt = counts.input_uncached + counts.cache_read;
  const completion = counts.output_text + counts.output_reasoning;
  return {
    queue_time: 0.018,
    prompt_tokens: prompt,
    prompt_time: 0.004,
    completion_tokens: completion,
    completion_time: 0.02,
    total_tokens: prompt + completion,
    total_time: 0.024,
    prompt_tokens_details: { cached_tokens: counts.cache_read },
    completion_tokens_details: { reasoning_tokens: counts.output_reasoning },
  };
};

/** Groq: the last chunk states the usage twice. */
export const GROQ_CHAT: Endpoint = chatEndpoint({
  provider: 'groq',
  usageOf: groqUsage,
  states: 'last',
  last: (usage, { ids }) => `,"x_groq":${JSON.stringify({ id: ids.letters('req_'), usage })}`,
});
