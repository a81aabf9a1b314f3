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
  type Target,
  textOfContent,
  textOfLastUser,
  wholeOrUndefined,
} from './dialect.ts';
import type { Counts } from './directive.ts';
import type { Provider } from './price-list.ts';

const FINGERPRINT = 'fp_5a2d80b0c1';

export const textOfMetadata = (metadata: unknown): string =>
  isRecord(metadata) ? Object.values(metadata).map(String).join(' ') : '';

export const missing = (param: string): Refusal => ({
  status: 400,
  message: `Missing required parameter: '${param}'.`,
  param,
  code: 'missing_required_parameter',
});

const parse = (
  body: Readonly<Record<string, unknown>>,
  target?: Target,
): ParsedRequest | Refusal => {
  const { messages } = body;
  const model = target?.model ?? body['model'];
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
export const openAiUsage = (counts: Counts) => {
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

/** How a host that speaks Chat Completions differs from OpenAI. */
export interface ChatManners {
  readonly provider: Provider;
  usageOf(counts: Counts): object;
  /** In a stream: a chunk of its own where asked for (OpenAI), on the last chunk unasked (Groq), or in every chunk so far (xAI). */
  readonly states: 'asked' | 'last' | 'every';
  /** Members of the last chunk beside its usage. */
  last?(usage: object, context: AnswerContext): string;
  /** A chunk before all others. */
  readonly opening?: string;
}

const jsonOf =
  (manners: ChatManners) =>
  (context: AnswerContext): string => {
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
      usage: manners.usageOf(generation.counts()),
      service_tier: 'default',
      system_fingerprint: FINGERPRINT,
    };
    return `${JSON.stringify(reply, null, 2)}\n`;
  };

/**
 * Chunks as the vendors send them: OpenAI with `include_usage` ends every chunk in `"usage":null` and states the usage in one more
 * chunk without choices; without it the word does not appear.
 */
const streamOf =
  (manners: ChatManners) =>
  (context: AnswerContext): StreamForm => {
    const { generation, request, ids, atMs } = context;
    const asked = manners.states === 'asked' && request.includeUsage;
    const begin = `data: {"id":"${ids.letters('chatcmpl-')}","object":"chat.completion.chunk","created":${Math.floor(atMs / 1000)},"model":"${generation.model.model}","service_tier":"default","system_fingerprint":"${FINGERPRINT}","choices":[`;
    const usage = (): string => JSON.stringify(manners.usageOf(generation.counts()));
    const end = (): string => {
      if (manners.states === 'every') return `],"usage":${usage()}}\n\n`;
      return asked ? '],"usage":null}\n\n' : ']}\n\n';
    };
    const choice = (delta: string, finish: string, close = end()): string =>
      `${begin}{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}${close}`;
    return {
      head: () =>
        `${manners.opening ?? ''}${choice('{"role":"assistant","content":"","refusal":null}', 'null')}`,
      piece: ({ text }) =>
        text === '' ? '' : choice(`{"content":${JSON.stringify(text)}}`, 'null'),
      tail: () => {
        const finish = hitCeiling(context) ? '"length"' : '"stop"';
        const extra = manners.last?.(manners.usageOf(generation.counts()), context);
        const close = manners.states === 'last' ? `],"usage":${usage()}${extra ?? ''}}\n\n` : end();
        const stated = asked ? `${begin}],"usage":${usage()}}\n\n` : '';
        return `${choice('{}', finish, close)}${stated}data: [DONE]\n\n`;
      },
    };
  };

/** Chat Completions as one host speaks it. */
export const chatEndpoint = (manners: ChatManners): Endpoint => ({
  provider: manners.provider,
  kind: 'text',
  parse,
  json: jsonOf(manners),
  stream: streamOf(manners),
});

export const CHAT_COMPLETIONS: Endpoint = chatEndpoint({
  provider: 'openai',
  usageOf: openAiUsage,
  states: 'asked',
});
