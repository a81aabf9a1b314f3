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
  wholeOrUndefined,
} from './dialect.ts';
import { missing, openAiUsage } from './openai-chat.ts';

const promptOf = (prompt: unknown): string[] =>
  (Array.isArray(prompt) ? prompt : [prompt]).filter((text) => typeof text === 'string');

const parse = (body: Readonly<Record<string, unknown>>): ParsedRequest | Refusal => {
  const { model, stream_options: options } = body;
  const prompts = promptOf(body['prompt']);
  if (typeof model !== 'string' || model === '') {
    return { status: 400, message: 'you must provide a model parameter' };
  }
  if (prompts.length === 0) return missing('prompt');
  return {
    modelName: model,
    stream: body['stream'] === true,
    includeUsage: isRecord(options) && options['include_usage'] === true,
    directiveText: prompts.join(' '),
    size: {
      input: promptTokens(prompts),
      output: DEFAULT_OUTPUT_TOKENS,
      maxOutput: wholeOrUndefined(body['max_tokens']),
    },
    body,
  };
};

/** The three counters alone: this endpoint is older than their details. */
const usageOf = ({ generation }: AnswerContext): object => {
  const { prompt_tokens, completion_tokens, total_tokens } = openAiUsage(generation.counts());
  return { prompt_tokens, completion_tokens, total_tokens };
};

const finishOf = (context: AnswerContext): string => (hitCeiling(context) ? 'length' : 'stop');

const json = (context: AnswerContext): string => {
  const { generation, ids, atMs } = context;
  const { text } = generation.upTo(generation.total);
  const reply = {
    id: ids.letters('cmpl-'),
    object: 'text_completion',
    created: Math.floor(atMs / 1000),
    model: generation.model.model,
    choices: [{ text, index: 0, logprobs: null, finish_reason: finishOf(context) }],
    usage: usageOf(context),
  };
  return `${JSON.stringify(reply, null, 2)}\n`;
};

const stream = (context: AnswerContext): StreamForm => {
  const { generation, request, ids, atMs } = context;
  const begin = `data: {"id":"${ids.letters('cmpl-')}","object":"text_completion","created":${Math.floor(atMs / 1000)},"model":"${generation.model.model}","choices":[`;
  const end = request.includeUsage ? '],"usage":null}\n\n' : ']}\n\n';
  const choice = (text: string, finish: string): string =>
    `${begin}{"text":${JSON.stringify(text)},"index":0,"logprobs":null,"finish_reason":${finish}}${end}`;
  return {
    head: () => '',
    piece: ({ text }) => (text === '' ? '' : choice(text, 'null')),
    tail: () => {
      const usage = request.includeUsage
        ? `${begin}],"usage":${JSON.stringify(usageOf(context))}}\n\n`
        : '';
      return `${choice('', `"${finishOf(context)}"`)}${usage}data: [DONE]\n\n`;
    },
  };
};

/** OpenAI's legacy Completions. */
export const COMPLETIONS: Endpoint = { provider: 'openai', kind: 'text', parse, json, stream };
