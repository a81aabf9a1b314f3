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
import { missing, textOfMetadata } from './openai-chat.ts';

const parse = (body: Readonly<Record<string, unknown>>): ParsedRequest | Refusal => {
  const { model, input, instructions } = body;
  if (typeof model !== 'string' || model === '') return missing('model');
  if (typeof input !== 'string' && !Array.isArray(input)) return missing('input');
  const texts =
    typeof input === 'string'
      ? [input]
      : input.map((item: unknown) => (isRecord(item) ? textOfContent(item['content']) : ''));
  const lastUser = typeof input === 'string' ? input : textOfLastUser(input);
  return {
    modelName: model,
    stream: body['stream'] === true,
    includeUsage: true,
    directiveText: `${textOfMetadata(body['metadata'])} ${lastUser}`,
    size: {
      input: promptTokens(typeof instructions === 'string' ? [instructions, ...texts] : texts),
      output: DEFAULT_OUTPUT_TOKENS,
      maxOutput: wholeOrUndefined(body['max_output_tokens']),
    },
    body,
  };
};

const usageOf = (counts: Counts) => {
  const input = counts.input_uncached + counts.cache_read;
  const output = counts.output_text + counts.output_reasoning;
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: counts.cache_read },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: counts.output_reasoning },
    total_tokens: input + output,
  };
};

interface Names {
  readonly response: string;
  readonly message: string;
  readonly reasoning: string;
}

const namesFrom = ({ ids }: AnswerContext): Names => ({
  response: ids.hex('resp_'),
  message: ids.hex('msg_'),
  reasoning: ids.hex('rs_'),
});

const reasoningItem = (names: Names) => ({ id: names.reasoning, type: 'reasoning', summary: [] });

const messageItem = (names: Names, text: string | null, status: string) => ({
  id: names.message,
  type: 'message',
  status,
  content: text === null ? [] : [{ type: 'output_text', annotations: [], logprobs: [], text }],
  role: 'assistant',
});

/** The response object; `text` null while nothing is said yet. */
const responseObject = (context: AnswerContext, names: Names, text: string | null) => {
  const { generation, request, atMs } = context;
  const done = text !== null;
  const short = done && hitCeiling(context);
  const ended = short ? 'incomplete' : 'completed';
  const created = Math.floor(atMs / 1000);
  return {
    id: names.response,
    object: 'response',
    created_at: created,
    status: done ? ended : 'in_progress',
    background: false,
    completed_at: done && !short ? created : null,
    error: null,
    frequency_penalty: 0,
    incomplete_details: short ? { reason: 'max_output_tokens' } : null,
    instructions: request.body['instructions'] ?? null,
    max_output_tokens: request.size.maxOutput ?? null,
    max_tool_calls: null,
    model: generation.model.model,
    output: done
      ? [
          ...(generation.planned.output_reasoning > 0 ? [reasoningItem(names)] : []),
          messageItem(names, text, ended),
        ]
      : [],
    parallel_tool_calls: true,
    presence_penalty: 0,
    previous_response_id: null,
    prompt_cache_key: null,
    reasoning: { effort: null, summary: null },
    safety_identifier: null,
    service_tier: done ? 'default' : 'auto',
    store: true,
    temperature: 1,
    text: { format: { type: 'text' }, verbosity: 'medium' },
    tool_choice: 'auto',
    tools: [],
    top_logprobs: 0,
    top_p: 1,
    truncation: 'disabled',
    usage: done ? usageOf(generation.counts()) : null,
    user: null,
    metadata: request.body['metadata'] ?? {},
  };
};

const json = (context: AnswerContext): string => {
  const { text } = context.generation.upTo(context.generation.total);
  return `${JSON.stringify(responseObject(context, namesFrom(context), text), null, 2)}\n`;
};

const stream = (context: AnswerContext): StreamForm => {
  const names = namesFrom(context);
  const hasReasoning = context.generation.planned.output_reasoning > 0;
  const output_index = hasReasoning ? 1 : 0;
  const place = { content_index: 0, item_id: names.message, output_index };
  let sequence = 0;
  let said = '';
  const event = (type: string, rest: Readonly<Record<string, unknown>>): string => {
    const data = JSON.stringify({ type, ...rest, sequence_number: sequence });
    sequence += 1;
    return `event: ${type}\ndata: ${data}\n\n`;
  };
  const part = (text: string) => ({ type: 'output_text', annotations: [], logprobs: [], text });
  const reasoning = (): string => {
    if (!hasReasoning) return '';
    const item = { item: reasoningItem(names), output_index: 0 };
    return event('response.output_item.added', item) + event('response.output_item.done', item);
  };
  return {
    head: () => {
      const response = responseObject(context, names, null);
      const item = messageItem(names, null, 'in_progress');
      return (
        event('response.created', { response }) +
        event('response.in_progress', { response }) +
        reasoning() +
        event('response.output_item.added', { item, output_index }) +
        event('response.content_part.added', { ...place, part: part('') })
      );
    },
    piece: ({ text }) => {
      said += text;
      return text === ''
        ? ''
        : event('response.output_text.delta', { ...place, delta: text, logprobs: [] });
    },
    tail: () => {
      const response = responseObject(context, names, said);
      const item = messageItem(names, said, response.status);
      return (
        event('response.output_text.done', { ...place, logprobs: [], text: said }) +
        event('response.content_part.done', { ...place, part: part(said) }) +
        event('response.output_item.done', { item, output_index }) +
        event(`response.${response.status}`, { response })
      );
    },
  };
};

export const RESPONSES: Endpoint = { provider: 'openai', kind: 'text', parse, json, stream };
