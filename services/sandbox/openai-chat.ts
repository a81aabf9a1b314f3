import {
  type AnswerContext,
  DEFAULT_OUTPUT_TOKENS,
  type Endpoint,
  hitCeiling,
  isRecord,
  type ParsedRequest,
  promptTokens,
  type Refusal,
  type StreamForm,
  textOfContent,
  textOfLastUser,
  wholeOrUndefined,
} from './dialect.ts';
import type { Counts } from './directive.ts';

const FINGERPRINT = 'fp_5a2d80b0c1';

export const textOfMetadata = (metadata: unknown): string =>
  isRecord(metadata) ? Object.values(metadata).map(String).join(' ') : '';

export const missing = (param: string): Refusal => ({
  status: 400,
  message: `Missing required parameter: '${param}'.`,
  param,
  code: 'missing_required_parameter',
});

const parse = (body: Readonly<Record<string, unknown>>): ParsedRequest | Refusal => {
  const { model, messages } = body;
  if (typeof model !== 'string' || model === '') {
    return { status: 400, message: 'you must provide a model parameter' };
  }
  if (!Array.isArray(messages) || messages.length === 0) return missing('messages');
  const options = body['stream_options'];
  return {
    modelName: model,
    stream: body['stream'] === true,
    includeUsage: isRecord(options) && options['include_usage'] === true,
    directiveText: `${textOfMetadata(body['metadata'])} ${textOfLastUser(messages)}`,
    size: {
      input: promptTokens(
        messages.map((message: unknown) =>
          isRecord(message) ? textOfContent(message['content']) : '',
        ),
      ),
      output: DEFAULT_OUTPUT_TOKENS,
      maxOutput: wholeOrUndefined(body['max_completion_tokens'] ?? body['max_tokens']),
    },
    body,
  };
};

/** Cached tokens are part of the prompt, reasoning is part of the completion. */
const usageOf = (counts: Counts) => {
  const prompt = counts.input_uncached + counts.cache_read;
  const completion = counts.output_text + counts.output_reasoning;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: counts.cache_read, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: counts.output_reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
};

const json = (context: AnswerContext): string => {
  const { generation, ids, atMs } = context;
  const { text } = generation.upTo(generation.total);
  const reply = {
    id: ids.letters('chatcmpl-'),
    object: 'chat.completion',
    created: Math.floor(atMs / 1000),
    model: generation.model.model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: text, refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: hitCeiling(context) ? 'length' : 'stop',
      },
    ],
    usage: usageOf(generation.counts()),
    service_tier: 'default',
    system_fingerprint: FINGERPRINT,
  };
  return `${JSON.stringify(reply, null, 2)}\n`;
};

/**
 * Chunks as the vendor sends them: with `include_usage` every chunk ends in `"usage":null` and one more chunk without choices
 * states the usage; without it the word does not appear.
 */
const stream = (context: AnswerContext): StreamForm => {
  const { generation, request, ids, atMs } = context;
  const begin = `data: {"id":"${ids.letters('chatcmpl-')}","object":"chat.completion.chunk","created":${Math.floor(atMs / 1000)},"model":"${generation.model.model}","service_tier":"default","system_fingerprint":"${FINGERPRINT}","choices":[`;
  const end = request.includeUsage ? '],"usage":null}\n\n' : ']}\n\n';
  const choice = (delta: string, finish: string): string =>
    `${begin}{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}${end}`;
  return {
    head: () => choice('{"role":"assistant","content":"","refusal":null}', 'null'),
    piece: ({ text }) => (text === '' ? '' : choice(`{"content":${JSON.stringify(text)}}`, 'null')),
    tail: () => {
      const last = choice('{}', hitCeiling(context) ? '"length"' : '"stop"');
      const usage = request.includeUsage
        ? `${begin}],"usage":${JSON.stringify(usageOf(generation.counts()))}}\n\n`
        : '';
      return `${last}${usage}data: [DONE]\n\n`;
    },
  };
};

export const CHAT_COMPLETIONS: Endpoint = { provider: 'openai', kind: 'text', parse, json, stream };
