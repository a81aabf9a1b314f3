import {
  type AnswerContext,
  type Endpoint,
  type ParsedRequest,
  promptTokens,
  type Refusal,
  wholeOrUndefined,
} from './dialect.ts';
import { missing } from './openai-chat.ts';

const DEFAULT_DIMENSIONS = 1536;
const MAX_INPUTS = 2048;

const listOf = (input: unknown): string[] | undefined => {
  if (typeof input === 'string') return input === '' ? undefined : [input];
  if (!Array.isArray(input) || input.length === 0 || input.length > MAX_INPUTS) return undefined;
  return input.every((text) => typeof text === 'string') ? input : undefined;
};

const parse = (body: Readonly<Record<string, unknown>>): ParsedRequest | Refusal => {
  const { model, input } = body;
  if (typeof model !== 'string' || model === '') {
    return { status: 400, message: 'you must provide a model parameter' };
  }
  if (input === undefined) return missing('input');
  const inputs = listOf(input);
  if (inputs === undefined)
    return { status: 400, message: "'$.input' is invalid.", param: 'input' };
  return {
    modelName: model,
    stream: false,
    includeUsage: false,
    directiveText: inputs.at(-1) ?? '',
    size: { input: promptTokens(inputs), output: 0, maxOutput: undefined },
    body,
  };
};

const vectors = new Map<number, Float32Array>();

/** The same made-up unit-range vector for everybody: nobody meters by it. */
const vectorOf = (dimensions: number): Float32Array => {
  const known = vectors.get(dimensions);
  if (known !== undefined) return known;
  const made = Float32Array.from(
    { length: dimensions },
    (_, at) => ((at * 37) % 200) / 4000 - 0.02,
  );
  if (vectors.size < 16) vectors.set(dimensions, made);
  return made;
};

const json = ({ generation, request }: AnswerContext): string => {
  const asked = wholeOrUndefined(request.body['dimensions']) ?? DEFAULT_DIMENSIONS;
  const vector = vectorOf(Math.min(asked, DEFAULT_DIMENSIONS));
  const embedding =
    request.body['encoding_format'] === 'base64'
      ? Buffer.from(vector.buffer).toString('base64')
      : [...vector];
  generation.upTo(0);
  const prompt = generation.counts().input_uncached;
  return `${JSON.stringify(
    {
      object: 'list',
      data: (listOf(request.body['input']) ?? []).map((_, index) => ({
        object: 'embedding',
        index,
        embedding,
      })),
      model: generation.model.model,
      usage: { prompt_tokens: prompt, total_tokens: prompt },
    },
    null,
    2,
  )}\n`;
};

export const EMBEDDINGS: Endpoint = { provider: 'openai', kind: 'embedding', parse, json };
