import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MESSAGES } from '../../../services/sandbox/anthropic-messages.ts';
import { type Endpoint, isRecord, isRefusal } from '../../../services/sandbox/dialect.ts';
import { NO_COUNTS } from '../../../services/sandbox/directive.ts';
import { Generation } from '../../../services/sandbox/generation.ts';
import { CHAT_COMPLETIONS } from '../../../services/sandbox/openai-chat.ts';
import { RESPONSES } from '../../../services/sandbox/openai-responses.ts';
import { findModel } from '../../../services/sandbox/price-list.ts';
import { ProviderIds } from '../../../services/sandbox/provider-ids.ts';

const RECORDINGS = resolve('../shared/recordings/provider-responses.jsonl');

interface Recording {
  uri: string;
  status: number;
  stream: string;
  response: unknown;
}

const recordings = (): Recording[] =>
  readFileSync(RECORDINGS, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recording);

const real = (url: string, stream: string): string[] =>
  recordings()
    .filter((each) => each.uri.split('?')[0] === url && each.stream === stream)
    .filter(({ status }) => status === 200)
    .map(({ response }) => (typeof response === 'string' ? response : JSON.stringify(response)));

/** Every path to a value, as `usage.prompt_tokens_details.cached_tokens`; list positions do not matter. */
const pathsOf = (value: unknown, prefix = ''): string[] => {
  if (Array.isArray(value)) return value.flatMap((each) => pathsOf(each, `${prefix}[]`));
  if (!isRecord(value)) return [prefix];
  return Object.entries(value).flatMap(([key, each]) =>
    pathsOf(each, prefix === '' ? key : `${prefix}.${key}`),
  );
};

const framesOf = (sse: string): unknown[] =>
  sse
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line): unknown => JSON.parse(line.slice('data: '.length)));

const answers = (endpoint: Endpoint, modelName: string): { json: string; sse: string } => {
  const model = findModel(endpoint.provider, modelName);
  const request = endpoint.parse({
    model: modelName,
    max_tokens: 100,
    stream_options: { include_usage: true },
    messages: [{ role: 'user', content: 'x' }],
    input: 'x',
  });
  if (model === undefined || isRefusal(request)) throw new Error(`${modelName} was refused`);
  const contextOf = () => ({
    generation: new Generation(model, { ...NO_COUNTS, input_uncached: 9, output_text: 4 }),
    request,
    ids: new ProviderIds(1),
    atMs: Date.UTC(2026, 10, 21),
  });
  const streamed = contextOf();
  const form = endpoint.stream?.(streamed);
  const parts = form && [form.head(), form.piece(streamed.generation.upTo(4)), form.tail()];
  return { json: endpoint.json(contextOf()), sse: parts?.join('') ?? '' };
};

const CASES = [
  ['https://api.openai.com/v1/chat/completions', CHAT_COMPLETIONS, 'gpt-4o-mini'],
  ['https://api.openai.com/v1/responses', RESPONSES, 'gpt-4.1-mini'],
  ['https://api.anthropic.com/v1/messages', MESSAGES, 'claude-sonnet-4-5'],
] as const;

// The recordings lie beside the project where they are at all; without them there is nothing to compare with.
describe.skipIf(!existsSync(RECORDINGS))(
  'the wire shape of the sandbox, against recorded replies in ../shared/recordings',
  () => {
    it.each(CASES)(
      'has no field in a whole reply of %s that real ones lack',
      (url, endpoint, model) => {
        const known = new Set(real(url, 'json').flatMap((body) => pathsOf(JSON.parse(body))));
        const ours = pathsOf(JSON.parse(answers(endpoint, model).json));
        // Newer than the recorded whole replies; the recorded streams carry them.
        const newer = ['completed_at', 'frequency_penalty', 'presence_penalty'];
        expect(ours.filter((path) => !known.has(path) && !newer.includes(path))).toEqual([]);
      },
    );

    it.each(CASES)('has no field in a stream of %s that real ones lack', (url, endpoint, model) => {
      const known = new Set(
        real(url, 'sse').flatMap((body) => framesOf(body).flatMap((f) => pathsOf(f))),
      );
      const ours = framesOf(answers(endpoint, model).sse).flatMap((frame) => pathsOf(frame));
      // Stated in recorded whole replies of this vendor, and in its client's types for streams.
      const newer = ['message.usage.inference_geo'];
      expect(ours.filter((path) => !known.has(path) && !newer.includes(path))).toEqual([]);
    });

    it('names the events of a stream as the real ones are named', () => {
      const names = (sse: string) => [...sse.matchAll(/^event: (\S+)$/gm)].map(([, name]) => name);
      for (const [url, endpoint, model] of CASES.slice(1)) {
        const known = new Set(real(url, 'sse').flatMap(names));
        expect(names(answers(endpoint, model).sse).filter((name) => !known.has(name))).toEqual([]);
      }
    });
  },
);
