import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { GoogleGenAI } from '@google/genai';
import { ChatOpenAI } from '@langchain/openai';
import type { LanguageModel } from 'ai';
import { generateText, streamText } from 'ai';
import { describe, expect, test } from 'vitest';
import type { ClientsHouse } from './proxy-clients-house.ts';
import { FIGURES, onlyEvent, PROMPT, startClientsHouse } from './proxy-clients-house.ts';
import { KEY } from './proxy-harness.ts';

const MODELS: Record<string, (house: ClientsHouse) => LanguageModel> = {
  'OpenAI chat': ({ url }) =>
    createOpenAI({ apiKey: KEY, baseURL: `${url}/openai/v1` }).chat('gpt-4o'),
  'OpenAI responses': ({ url }) =>
    createOpenAI({ apiKey: KEY, baseURL: `${url}/openai/v1` }).responses('gpt-4o'),
  // This one wants /v1 in its address, unlike Anthropic's own SDK.
  Anthropic: ({ url }) =>
    createAnthropic({ apiKey: KEY, baseURL: `${url}/anthropic/v1` })('claude-sonnet-4-5'),
};

describe('an unmodified Vercel AI SDK', () => {
  const usage = { inputTokens: 1200, cachedInputTokens: 200, outputTokens: 40 };

  test.each(Object.entries(MODELS))(
    'generates text with %s, and is metered',
    async (_name, model) => {
      const house = await startClientsHouse();
      const reply = await generateText({ model: model(house), prompt: PROMPT });
      expect(reply.text.length).toBeGreaterThan(20);
      expect(reply.usage).toMatchObject(usage);
      expect(await onlyEvent(house)).toMatchObject({ streamed: false, classes: FIGURES });
    },
  );

  test.each(Object.entries(MODELS))(
    'streams text with %s, and is metered',
    async (_name, model) => {
      const house = await startClientsHouse();
      const reply = streamText({ model: model(house), prompt: PROMPT });
      let text = '';
      for await (const part of reply.textStream) text += part;
      expect(text.length).toBeGreaterThan(20);
      expect(await reply.usage).toMatchObject(usage);
      expect(await onlyEvent(house)).toMatchObject({ streamed: true, classes: FIGURES });
    },
  );
});

describe('an unmodified LangChain', () => {
  const metadata = {
    input_tokens: 1200,
    output_tokens: 40,
    total_tokens: 1240,
    input_token_details: { cache_read: 200 },
  };
  const chat = ({ url }: ClientsHouse, streamUsage = true) =>
    new ChatOpenAI({
      model: 'gpt-4o',
      apiKey: KEY,
      streamUsage,
      configuration: { baseURL: `${url}/openai/v1` },
    });

  test('invokes, and is metered', async () => {
    const house = await startClientsHouse();
    const reply = await chat(house).invoke(PROMPT);
    expect(reply.usage_metadata).toMatchObject(metadata);
    expect(await onlyEvent(house)).toMatchObject({ streamed: false, classes: FIGURES });
  });

  test('streams, and is metered whether it asks for usage or not', async () => {
    for (const asks of [true, false]) {
      const house = await startClientsHouse();
      const stated: unknown[] = [];
      for await (const chunk of await chat(house, asks).stream(PROMPT)) {
        if (chunk.usage_metadata) stated.push(chunk.usage_metadata);
      }
      // What was not asked for does not show.
      expect(stated).toHaveLength(asks ? 1 : 0);
      if (asks) expect(stated[0]).toMatchObject(metadata);
      expect(await onlyEvent(house)).toMatchObject({ streamed: true, classes: FIGURES });
    }
  });
});

describe('an unmodified Google GenAI SDK', () => {
  const usage = { promptTokenCount: 1200, cachedContentTokenCount: 200, candidatesTokenCount: 40 };
  const ask = { model: 'gemini-2.5-flash', contents: PROMPT };
  const client = ({ url }: ClientsHouse) =>
    new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: `${url}/gemini` } });

  test('generates content, and is metered', async () => {
    const house = await startClientsHouse();
    const reply = await client(house).models.generateContent(ask);
    expect(reply.text?.length).toBeGreaterThan(20);
    expect(reply.usageMetadata).toMatchObject(usage);
    expect(await onlyEvent(house)).toMatchObject({
      flavour: 'gemini.generate',
      streamed: false,
      classes: FIGURES,
    });
  });

  test('streams content, and is metered', async () => {
    const house = await startClientsHouse();
    let last: unknown;
    for await (const chunk of await client(house).models.generateContentStream(ask)) {
      last = chunk.usageMetadata;
    }
    expect(last).toMatchObject(usage);
    expect(await onlyEvent(house)).toMatchObject({ streamed: true, classes: FIGURES });
  });
});

describe('curl, as people type it', () => {
  const curl = async (args: string[]): Promise<string> =>
    (await promisify(execFile)('curl', ['-sS', ...args], { timeout: 10_000 })).stdout;

  test('a JSON call with a bearer key', async () => {
    const house = await startClientsHouse();
    const said = await curl([
      `${house.url}/v1/chat/completions`,
      '-H',
      'Content-Type: application/json',
      '-H',
      `Authorization: Bearer ${KEY}`,
      '-d',
      JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: PROMPT }] }),
    ]);
    expect(JSON.parse(said).usage).toMatchObject({ prompt_tokens: 1200, completion_tokens: 40 });
    expect(await onlyEvent(house)).toMatchObject({ classes: FIGURES });
  });

  test('a stream with -N and x-api-key', async () => {
    const house = await startClientsHouse();
    const said = await curl([
      '-N',
      `${house.url}/anthropic/v1/messages`,
      '-H',
      `x-api-key: ${KEY}`,
      '-H',
      'anthropic-version: 2023-06-01',
      '-H',
      'content-type: application/json',
      '--data-binary',
      JSON.stringify({
        model: 'claude-sonnet-4-5',
        max_tokens: 100,
        stream: true,
        messages: [{ role: 'user', content: PROMPT }],
      }),
    ]);
    expect(said).toMatch(/^event: message_start\n/);
    expect(said.trimEnd()).toMatch(/\{"type":"message_stop"\s*\}$/);
    expect(await onlyEvent(house)).toMatchObject({ streamed: true, classes: FIGURES });
  });
});
