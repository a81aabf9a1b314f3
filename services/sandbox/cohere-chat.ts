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

/** Tokens of the vendor's own frame around a prompt: counted beside what is billed, and not billed. */
const FRAME_TOKENS = 62;

const sizeOf = (body: Readonly<Record<string, unknown>>, texts: readonly string[]) => ({
  input: promptTokens(texts),
  output: DEFAULT_OUTPUT_TOKENS,
  maxOutput: wholeOrUndefined(body['max_tokens']),
});

const parseV2 = (body: Readonly<Record<string, unknown>>): ParsedRequest | Refusal => {
  const { model, messages } = body;
  if (typeof model !== 'string')
    return { status: 400, message: 'invalid request: model is required' };
  if (!Array.isArray(messages) || messages.length === 0) {
    return { status: 400, message: 'invalid request: messages must not be empty' };
  }
  const texts = messages.map((message: unknown) =>
    isRecord(message) ? textOfContent(message['content']) : '',
  );
  return {
    modelName: model,
    stream: body['stream'] === true,
    includeUsage: true,
    directiveText: textOfLastUser(messages),
    size: sizeOf(body, texts),
    body,
  };
};

const parseV1 = (body: Readonly<Record<string, unknown>>): ParsedRequest | Refusal => {
  const { model, message } = body;
  if (typeof model !== 'string')
    return { status: 400, message: 'invalid request: model is required' };
  if (typeof message !== 'string' || message === '') {
    return { status: 400, message: 'invalid request: message must be at least 1 token long' };
  }
  return {
    modelName: model,
    stream: body['stream'] === true,
    includeUsage: true,
    directiveText: message,
    size: sizeOf(body, [message]),
    body,
  };
};

/** What is sold stands in `billed_units`; the other counters are for the curious. */
const unitsOf = ({ generation }: AnswerContext) => {
  const counts = generation.counts();
  const input = counts.input_uncached;
  const output = counts.output_text + counts.output_reasoning;
  return {
    billed_units: { input_tokens: input, output_tokens: output },
    tokens: { input_tokens: input + FRAME_TOKENS, output_tokens: output + 2 },
  };
};

const finishOf = (context: AnswerContext): string =>
  hitCeiling(context) ? 'MAX_TOKENS' : 'COMPLETE';

const jsonV2 = (context: AnswerContext): string => {
  const { text } = context.generation.upTo(context.generation.total);
  return JSON.stringify({
    id: context.ids.letters(''),
    message: { role: 'assistant', content: [{ type: 'text', text }] },
    finish_reason: finishOf(context),
    usage: unitsOf(context),
  });
};

const streamV2 = (context: AnswerContext): StreamForm => {
  const event = (type: string, rest: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`;
  const content = (inner: object) => ({ index: 0, delta: { message: { content: inner } } });
  return {
    head: () =>
      event('message-start', {
        id: context.ids.letters(''),
        delta: {
          message: { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] },
        },
      }) + event('content-start', content({ type: 'text', text: '' })),
    piece: ({ text }) => (text === '' ? '' : event('content-delta', content({ text }))),
    tail: () =>
      `${event('content-end', { index: 0 })}${event('message-end', {
        delta: { finish_reason: finishOf(context), usage: unitsOf(context) },
      })}data: [DONE]\n\n`,
  };
};

const replyV1 = (context: AnswerContext, text: string) => ({
  response_id: context.ids.letters(''),
  text,
  generation_id: context.ids.letters(''),
  finish_reason: finishOf(context),
  meta: { api_version: { version: '1' }, ...unitsOf(context) },
});

const jsonV1 = (context: AnswerContext): string =>
  JSON.stringify(replyV1(context, context.generation.upTo(context.generation.total).text));

/** Lines of JSON; the last one repeats the whole answer. */
const streamV1 = (context: AnswerContext): StreamForm => {
  let said = '';
  const line = (type: string, rest: object): string =>
    `${JSON.stringify({ is_finished: type === 'stream-end', event_type: type, ...rest })}\n`;
  return {
    type: 'application/stream+json',
    head: () => line('stream-start', { generation_id: context.ids.letters('') }),
    piece: ({ text }) => {
      said += text;
      return text === '' ? '' : line('text-generation', { text });
    },
    tail: () =>
      line('stream-end', {
        response: replyV1(context, said),
        finish_reason: finishOf(context),
      }),
  };
};

/** Cohere's chat, version 2 in server-sent events and version 1 in lines. */
export const COHERE_CHAT_V2: Endpoint = {
  provider: 'cohere',
  kind: 'text',
  parse: parseV2,
  json: jsonV2,
  stream: streamV2,
};
export const COHERE_CHAT_V1: Endpoint = {
  provider: 'cohere',
  kind: 'text',
  parse: parseV1,
  json: jsonV1,
  stream: streamV1,
};
