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
  wholeOrUndefined,
} from './dialect.ts';

const parse = (
  body: Readonly<Record<string, unknown>>,
  target?: Target,
): ParsedRequest | Refusal => {
  const { contents } = body;
  if (target?.model === undefined) return { status: 404, message: 'No model was named.' };
  if (!Array.isArray(contents) || contents.length === 0) {
    return { status: 400, message: '* GenerateContentRequest.contents: contents is not specified' };
  }
  const texts = contents.map((content: unknown) =>
    isRecord(content) ? textOfContent(content['parts']) : '',
  );
  const config = isRecord(body['generationConfig']) ? body['generationConfig'] : {};
  return {
    modelName: target.model,
    stream: target.stream === true,
    includeUsage: true,
    directiveText: texts.at(-1) ?? '',
    size: {
      input: promptTokens(texts),
      output: DEFAULT_OUTPUT_TOKENS,
      maxOutput: wholeOrUndefined(config['maxOutputTokens']),
    },
    // Without `alt=sse` a stream is one JSON array that grows.
    body: { ...body, array: target.query.get('alt') !== 'sse' },
  };
};

/** What was used so far. Thoughts are additional to the candidates; counts of zero are left out. */
const usageOf = ({ generation }: AnswerContext): object => {
  const counts = generation.counts();
  const prompt = counts.input_uncached + counts.cache_read;
  const total = prompt + counts.output_text + counts.output_reasoning;
  return {
    promptTokenCount: prompt,
    ...(counts.output_text > 0 ? { candidatesTokenCount: counts.output_text } : {}),
    totalTokenCount: total,
    ...(counts.cache_read > 0 ? { cachedContentTokenCount: counts.cache_read } : {}),
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: prompt }],
    ...(counts.output_reasoning > 0 ? { thoughtsTokenCount: counts.output_reasoning } : {}),
  };
};

const replyOf = (context: AnswerContext, responseId: string, text: string, finish?: string) => ({
  candidates: [
    {
      content: { parts: [{ text }], role: 'model' },
      ...(finish === undefined ? {} : { finishReason: finish }),
      index: 0,
    },
  ],
  usageMetadata: usageOf(context),
  modelVersion: context.generation.model.model,
  responseId,
});

const finishOf = (context: AnswerContext): string => (hitCeiling(context) ? 'MAX_TOKENS' : 'STOP');

const json = (context: AnswerContext): string => {
  const { text } = context.generation.upTo(context.generation.total);
  const reply = replyOf(context, context.ids.letters(''), text, finishOf(context));
  return `${JSON.stringify(reply, null, 2)}\n`;
};

/** Every chunk states the usage so far; thinking shows in it alone. */
const stream = (context: AnswerContext): StreamForm => {
  const responseId = context.ids.letters('');
  const { array } = context.request.body;
  let chunks = 0;
  const chunk = (text: string, finish?: string): string => {
    const body = replyOf(context, responseId, text, finish);
    chunks += 1;
    if (array !== true) return `data: ${JSON.stringify(body)}\r\n\r\n`;
    return `${chunks === 1 ? '[' : ',\r\n'}${JSON.stringify(body, null, 2)}`;
  };
  return {
    ...(array === true ? { type: 'application/json; charset=UTF-8' } : {}),
    head: () => '',
    piece: ({ text }) => (text === '' ? '' : chunk(text)),
    tail: () => chunk('', finishOf(context)) + (array === true ? '\r\n]' : ''),
  };
};

/** Gemini's generateContent and streamGenerateContent. */
export const GENERATE_CONTENT: Endpoint = { provider: 'google', kind: 'text', parse, json, stream };
