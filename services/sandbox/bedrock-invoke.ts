import { messageJson, messageStream, outputOf, parseMessages } from './anthropic-messages.ts';
import { AWS_STREAM, awsFrame, awsPad } from './aws-frames.ts';
import type { AnswerContext, Endpoint, StreamForm } from './dialect.ts';

/** AWS's own counts: in headers of a whole answer, in the last chunk of a stream. No time to live in either. */
const countsOf = ({ generation }: AnswerContext) => {
  const counts = generation.counts();
  return {
    inputTokenCount: counts.input_uncached,
    outputTokenCount: outputOf(counts),
    cacheReadInputTokenCount: counts.cache_read,
    cacheWriteInputTokenCount: counts.cache_write_5m + counts.cache_write_1h,
  };
};

const jsonHeaders = (context: AnswerContext): Record<string, string> => {
  const counts = countsOf(context);
  return {
    'x-amzn-bedrock-input-token-count': `${counts.inputTokenCount}`,
    'x-amzn-bedrock-output-token-count': `${counts.outputTokenCount}`,
    'x-amzn-bedrock-cache-read-input-token-count': `${counts.cacheReadInputTokenCount}`,
    'x-amzn-bedrock-cache-write-input-token-count': `${counts.cacheWriteInputTokenCount}`,
    'x-amzn-bedrock-invocation-latency': '9',
  };
};

/** The vendor's events, each in base64 in a chunk; the last one carries AWS's counts too. */
const stream = (context: AnswerContext): StreamForm => {
  let turn = 0;
  // Messages come as lines of JSON and are framed one by one.
  const lines = messageStream(context, (type, data) => (type === 'ping' ? '' : `${data}\n`));
  const framed = (text: string): Buffer =>
    Buffer.concat(
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          turn += 1;
          const bytes = Buffer.from(line, 'utf8').toString('base64');
          return awsFrame('chunk', JSON.stringify({ bytes, p: awsPad(turn) }));
        }),
    );
  const tail = (): string => {
    const metrics = { ...countsOf(context), invocationLatency: 9, firstByteLatency: 3 };
    const stop = `{"type":"message_stop","amazon-bedrock-invocationMetrics":${JSON.stringify(metrics)}}`;
    return lines.tail().replace('{"type":"message_stop"}', stop);
  };
  return {
    type: AWS_STREAM,
    head: () => framed(lines.head()),
    piece: (piece) => framed(lines.piece(piece)),
    tail: () => framed(tail()),
  };
};

/** Bedrock's InvokeModel and its stream, with a Claude: the body is Anthropic's. */
export const INVOKE_MODEL: Endpoint = {
  provider: 'bedrock',
  kind: 'text',
  parse: parseMessages,
  json: messageJson,
  jsonHeaders,
  stream,
};
