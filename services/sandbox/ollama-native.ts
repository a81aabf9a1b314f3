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

type Body = Readonly<Record<string, unknown>>;

const requestOf = (
  body: Body,
  texts: readonly string[],
  directiveText: string,
): ParsedRequest | Refusal => {
  const { model } = body;
  if (typeof model !== 'string') return { status: 400, message: 'model is required' };
  const options = isRecord(body['options']) ? body['options'] : {};
  return {
    modelName: model,
    // It streams unless it is told not to.
    stream: body['stream'] !== false,
    includeUsage: true,
    directiveText,
    size: {
      input: promptTokens(texts),
      output: DEFAULT_OUTPUT_TOKENS,
      maxOutput: wholeOrUndefined(options['num_predict']),
    },
    body,
  };
};

const parseChat = (body: Body): ParsedRequest | Refusal => {
  const messages = Array.isArray(body['messages']) ? body['messages'] : [];
  const texts = messages.map((message: unknown) =>
    isRecord(message) ? textOfContent(message['content']) : '',
  );
  return requestOf(body, texts, textOfLastUser(messages));
};

const parseGenerate = (body: Body): ParsedRequest | Refusal => {
  const prompt = typeof body['prompt'] === 'string' ? body['prompt'] : '';
  return requestOf(body, [prompt], prompt);
};

/** What the two endpoints call the text. */
type Said = (text: string) => object;
const asMessage: Said = (content) => ({ message: { role: 'assistant', content } });
const asResponse: Said = (response) => ({ response });

/** Counters of the last object. What was cached is inside the prompt. */
const countersOf = ({ generation }: AnswerContext): object => {
  const counts = generation.counts();
  return {
    total_duration: 24_000_000,
    load_duration: 1_000_000,
    prompt_eval_count: counts.input_uncached + counts.cache_read,
    ...(counts.cache_read > 0 ? { prompt_eval_cached_count: counts.cache_read } : {}),
    prompt_eval_duration: 4_000_000,
    eval_count: counts.output_text + counts.output_reasoning,
    eval_duration: 19_000_000,
  };
};

const lineOf = (context: AnswerContext, said: object, rest: object): string =>
  `${JSON.stringify({
    model: context.generation.model.model,
    created_at: new Date(context.atMs).toISOString(),
    ...said,
    ...rest,
  })}\n`;

const lastLine = (context: AnswerContext, said: object): string =>
  lineOf(context, said, {
    done: true,
    done_reason: hitCeiling(context) ? 'length' : 'stop',
    ...countersOf(context),
  });

const endpoint = (parse: Endpoint['parse'], say: Said): Endpoint => ({
  provider: 'ollama',
  kind: 'text',
  parse,
  json: (context) => {
    const { text } = context.generation.upTo(context.generation.total);
    return lastLine(context, say(text));
  },
  stream: (context): StreamForm => ({
    type: 'application/x-ndjson',
    head: () => '',
    piece: ({ text }) => (text === '' ? '' : lineOf(context, say(text), { done: false })),
    tail: () => lastLine(context, say('')),
  }),
});

/** Ollama's own API. */
export const OLLAMA_CHAT = endpoint(parseChat, asMessage);
export const OLLAMA_GENERATE = endpoint(parseGenerate, asResponse);
