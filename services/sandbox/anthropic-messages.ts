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
import type { Piece } from './generation.ts';

const PRELIMINARY_OUTPUT_TOKENS = 1;
/** The vendor pads the data of its frames with a varying number of blanks before the last brace. */
const PADS = Array.from({ length: 15 }, (_, blanks) => ' '.repeat(blanks));

const required = (field: string): Refusal => ({
  status: 400,
  message: `${field}: Field required`,
});

/** Prompt text of a request, for the provider's own count. */
export const promptTexts = (body: Readonly<Record<string, unknown>>): string[] => {
  const messages = Array.isArray(body['messages']) ? body['messages'] : [];
  const system = textOfContent(body['system']);
  const said = messages.map((message: unknown) =>
    isRecord(message) ? textOfContent(message['content']) : '',
  );
  return system === '' ? said : [system, ...said];
};

export const parseMessages = (
  body: Readonly<Record<string, unknown>>,
  target?: Target,
): ParsedRequest | Refusal => {
  const { messages, metadata } = body;
  const model = target?.model ?? body['model'];
  const maxOutput = wholeOrUndefined(body['max_tokens']);
  if (typeof model !== 'string' || model === '') return required('model');
  if (maxOutput === undefined) return required('max_tokens');
  if (!Array.isArray(messages) || messages.length === 0) return required('messages');
  const user = isRecord(metadata) ? String(metadata['user_id'] ?? '') : '';
  return {
    modelName: model,
    stream: target?.stream ?? body['stream'] === true,
    includeUsage: true,
    directiveText: `${user} ${textOfLastUser(messages)}`,
    size: { input: promptTokens(promptTexts(body)), output: DEFAULT_OUTPUT_TOKENS, maxOutput },
    body,
  };
};

/** What `message_start` and a whole reply state of the prompt: the uncached part alone, and the writes by lifetime. */
const promptUsage = (counts: Counts) => ({
  input_tokens: counts.input_uncached,
  cache_creation_input_tokens: counts.cache_write_5m + counts.cache_write_1h,
  cache_read_input_tokens: counts.cache_read,
});

const writesByLifetime = (counts: Counts) => ({
  cache_creation: {
    ephemeral_5m_input_tokens: counts.cache_write_5m,
    ephemeral_1h_input_tokens: counts.cache_write_1h,
  },
});

/** Thinking is part of the output; it is told apart only where there was any. */
const thinkingUsage = (counts: Counts) =>
  counts.output_reasoning === 0
    ? {}
    : { output_tokens_details: { thinking_tokens: counts.output_reasoning } };

const fullUsage = (counts: Counts, outputTokens: number) => ({
  ...promptUsage(counts),
  ...writesByLifetime(counts),
  output_tokens: outputTokens,
  service_tier: 'standard',
  inference_geo: 'not_available',
});

export const outputOf = (counts: Counts): number => counts.output_text + counts.output_reasoning;

const stopReason = (context: AnswerContext): string =>
  hitCeiling(context) ? 'max_tokens' : 'end_turn';

/** On Bedrock the body still names the model as its vendor does. */
const bodyName = ({ model }: AnswerContext['generation']): string => model.bodyName ?? model.model;

const SIGNATURE = 'c2FuZGJveC1zaWduYXR1cmU=';

export const messageJson = (context: AnswerContext): string => {
  const { generation, ids } = context;
  const { thinking, text } = generation.upTo(generation.total);
  const counts = generation.counts();
  return JSON.stringify({
    model: bodyName(generation),
    id: ids.letters('msg_01'),
    type: 'message',
    role: 'assistant',
    content: [
      ...(thinking === '' ? [] : [{ type: 'thinking', thinking, signature: SIGNATURE }]),
      { type: 'text', text },
    ],
    stop_reason: stopReason(context),
    stop_sequence: null,
    usage: { ...fullUsage(counts, outputOf(counts)), ...thinkingUsage(counts) },
  });
};

const messageStart = ({ generation, ids }: AnswerContext): string =>
  JSON.stringify({
    type: 'message_start',
    message: {
      model: bodyName(generation),
      id: ids.letters('msg_01'),
      type: 'message',
      role: 'assistant',
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: fullUsage(generation.counts(), PRELIMINARY_OUTPUT_TOKENS),
    },
  });

/** Turns one event into what goes over the wire. */
type Framing = (type: string, data: string) => string;

const sseFraming = (): Framing => {
  let frames = 0;
  return (type, data) => {
    frames += 1;
    return `event: ${type}\ndata: ${data.slice(0, -1)}${PADS[(frames * 7) % PADS.length]}}\n\n`;
  };
};

/** One stream; thinking, where there is any, is a content block of its own before the text. */
export const messageStream = (
  context: AnswerContext,
  event: Framing,
): { head(): string; piece(piece: Piece): string; tail(): string } => {
  const { generation } = context;
  const thinks = generation.planned.output_reasoning > 0;
  let index = 0;
  const start = (block: string): string =>
    event(
      'content_block_start',
      `{"type":"content_block_start","index":${index},"content_block":${block}}`,
    );
  const delta = (inner: string): string =>
    event(
      'content_block_delta',
      `{"type":"content_block_delta","index":${index},"delta":${inner}}`,
    );
  const stop = (): string =>
    event('content_block_stop', `{"type":"content_block_stop","index":${index}}`);
  const textStart = '{"type":"text","text":""}';
  const switchToText = (): string => {
    const end = delta(`{"type":"signature_delta","signature":"${SIGNATURE}"}`) + stop();
    index = 1;
    return end + start(textStart);
  };
  return {
    head: () =>
      event('message_start', messageStart(context)) +
      start(thinks ? '{"type":"thinking","thinking":"","signature":""}' : textStart) +
      event('ping', '{"type": "ping"}'),
    piece: ({ thinking, text }) => {
      let sent = '';
      if (thinking !== '') {
        sent += delta(`{"type":"thinking_delta","thinking":${JSON.stringify(thinking)}}`);
      }
      if (text === '') return sent;
      if (thinks && index === 0) sent += switchToText();
      return sent + delta(`{"type":"text_delta","text":${JSON.stringify(text)}}`);
    },
    tail: () => {
      const counts = generation.counts();
      const usage = {
        ...promptUsage(counts),
        output_tokens: outputOf(counts),
        ...thinkingUsage(counts),
      };
      const last = JSON.stringify({
        type: 'message_delta',
        delta: { stop_reason: stopReason(context), stop_sequence: null },
        usage,
      });
      return (
        stop() + event('message_delta', last) + event('message_stop', '{"type":"message_stop"}')
      );
    },
  };
};

const stream = (context: AnswerContext): StreamForm => messageStream(context, sseFraming());

export const MESSAGES: Endpoint = {
  provider: 'anthropic',
  kind: 'text',
  parse: parseMessages,
  json: messageJson,
  stream,
};
