import { outputOf } from './anthropic-messages.ts';
import { AWS_STREAM, awsFrame, awsPad } from './aws-frames.ts';
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

const parse = (
  body: Readonly<Record<string, unknown>>,
  target?: Target,
): ParsedRequest | Refusal => {
  const { messages } = body;
  if (target?.model === undefined) return { status: 400, message: 'No model was named.' };
  if (!Array.isArray(messages) || messages.length === 0) {
    return { status: 400, message: 'A conversation must start with a user message.' };
  }
  const texts = messages.map((message: unknown) =>
    isRecord(message) ? textOfContent(message['content']) : '',
  );
  const config = isRecord(body['inferenceConfig']) ? body['inferenceConfig'] : {};
  return {
    modelName: target.model,
    stream: target.stream === true,
    includeUsage: true,
    directiveText: textOfLastUser(messages),
    size: {
      input: promptTokens(texts),
      output: DEFAULT_OUTPUT_TOKENS,
      maxOutput: wholeOrUndefined(config['maxTokens']),
    },
    body,
  };
};

/** Cached and written tokens are additional to the input; the total is the sum of all four. Reasoning is not told apart. */
const usageOf = ({ generation }: AnswerContext): object => {
  const counts = generation.counts();
  const written = counts.cache_write_5m + counts.cache_write_1h;
  const output = outputOf(counts);
  const details = [
    ['5m', counts.cache_write_5m],
    ['1h', counts.cache_write_1h],
  ] as const;
  return {
    inputTokens: counts.input_uncached,
    outputTokens: output,
    totalTokens: counts.input_uncached + counts.cache_read + written + output,
    cacheReadInputTokens: counts.cache_read,
    cacheWriteInputTokens: written,
    cacheDetails: details
      .filter(([, inputTokens]) => inputTokens > 0)
      .map(([ttl, inputTokens]) => ({ ttl, inputTokens })),
    serverToolUsage: {},
  };
};

const stopReason = (context: AnswerContext): string =>
  hitCeiling(context) ? 'max_tokens' : 'end_turn';

const json = (context: AnswerContext): string => {
  const { text } = context.generation.upTo(context.generation.total);
  return JSON.stringify({
    metrics: { latencyMs: 9 },
    output: { message: { content: [{ text }], role: 'assistant' } },
    stopReason: stopReason(context),
    usage: usageOf(context),
  });
};

const stream = (context: AnswerContext): StreamForm => {
  let turn = 0;
  const frame = (type: string, event: object): Buffer => {
    turn += 1;
    return awsFrame(type, JSON.stringify({ ...event, p: awsPad(turn) }));
  };
  return {
    type: AWS_STREAM,
    head: () => frame('messageStart', { role: 'assistant' }),
    piece: ({ text }) =>
      text === '' ? '' : frame('contentBlockDelta', { contentBlockIndex: 0, delta: { text } }),
    tail: () =>
      Buffer.concat([
        frame('contentBlockStop', { contentBlockIndex: 0 }),
        frame('messageStop', { stopReason: stopReason(context) }),
        frame('metadata', { metrics: { latencyMs: 9 }, usage: usageOf(context) }),
      ]),
  };
};

/** Bedrock's Converse and ConverseStream. */
export const CONVERSE: Endpoint = { provider: 'bedrock', kind: 'text', parse, json, stream };
