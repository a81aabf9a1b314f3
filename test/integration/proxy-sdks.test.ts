import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { startSandbox } from '../../services/sandbox/main.ts';
import { KEY, putKey, putUpstream, readEvents, startTestProxy } from './proxy-harness.ts';

const PROMPT = 'Say something. [[sandbox input=1200 cached=200 output=40 reasoning=0 chunks=8]]';
const NOW = Date.parse('2026-11-21T12:00:00.000Z');

/** Two sandboxes that would say the same, byte for byte: one is called directly, one through the proxy. */
const house = async () => {
  const open = async () => {
    const sandbox = await startSandbox({ seed: 7, now: () => NOW });
    onTestFinished(() => sandbox.close());
    return sandbox;
  };
  const [direct, behind] = [await open(), await open()];
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: `${behind.url}/openai` });
  await putUpstream(office, {
    id: 'anthropic',
    provider: 'anthropic',
    dialect: 'anthropic',
    models: ['claude-*'],
    base_url: behind.anthropicUrl,
  });
  await putKey(office);
  return { direct, behind, ...(await startTestProxy({ office })) };
};

/** An SDK's `fetch` that also keeps the bytes of every body it was given. */
const recordingFetch = () => {
  const bodies: Promise<string>[] = [];
  const fetchAndKeep: typeof fetch = async (input, init) => {
    const reply = await fetch(input, init);
    bodies.push(reply.clone().text());
    return reply;
  };
  return { fetch: fetchAndKeep, bodies: () => Promise.all(bodies) };
};

const collect = async <T>(stream: AsyncIterable<T>): Promise<T[]> => {
  const events: T[] = [];
  for await (const event of stream) events.push(event);
  return events;
};

const MODEL = 'gpt-4o';
const CLAUDE = 'claude-sonnet-4-5';
const messages = [{ role: 'user' as const, content: PROMPT }];

const OPENAI_CALLS: Record<string, (client: OpenAI) => Promise<unknown>> = {
  'chat completion': (c) => c.chat.completions.create({ model: MODEL, messages }),
  'chat stream': async (c) =>
    collect(await c.chat.completions.create({ model: MODEL, messages, stream: true })),
  'chat stream that asks for usage': async (c) =>
    collect(
      await c.chat.completions.create({
        model: MODEL,
        messages,
        stream: true,
        stream_options: { include_usage: true },
      }),
    ),
  response: (c) => c.responses.create({ model: MODEL, input: PROMPT }),
  'response stream': async (c) =>
    collect(await c.responses.create({ model: MODEL, input: PROMPT, stream: true })),
};

const ANTHROPIC_CALLS: Record<string, (client: Anthropic) => Promise<unknown>> = {
  message: (c) => c.messages.create({ model: CLAUDE, max_tokens: 100, messages }),
  'message stream': async (c) =>
    collect(await c.messages.create({ model: CLAUDE, max_tokens: 100, messages, stream: true })),
};

const FIGURES = { input_uncached: '1000', cache_read: '200', output_text: '40' };

describe('an unmodified OpenAI SDK', () => {
  test.each(Object.entries(OPENAI_CALLS))(
    'gets from a %s what a direct call gives',
    async (_name, run) => {
      const { direct, url, localLog } = await house();
      const kept = [recordingFetch(), recordingFetch()] as const;
      const plain = new OpenAI({
        apiKey: 'sk-direct',
        baseURL: direct.openaiUrl,
        fetch: kept[0].fetch,
      });
      const metered = new OpenAI({
        apiKey: KEY,
        baseURL: `${url}/openai/v1`,
        fetch: kept[1].fetch,
      });
      const expected = await run(plain);
      expect(JSON.stringify(await run(metered))).toBe(JSON.stringify(expected));
      expect(await kept[1].bodies()).toEqual(await kept[0].bodies());
      const events = await readEvents(localLog);
      expect(events).toHaveLength(1);
      expect(events[0]).toMatchObject({ ending: 'reported', provider: 'openai', classes: FIGURES });
    },
  );

  test('gets embeddings, metered by input alone', async () => {
    const { url, localLog } = await house();
    const client = new OpenAI({ apiKey: KEY, baseURL: `${url}/openai/v1` });
    const reply = await client.embeddings.create({
      model: 'text-embedding-3-small',
      input: 'one two',
    });
    expect(reply.data).toHaveLength(1);
    const [event] = await readEvents(localLog);
    expect(event).toMatchObject({ ending: 'reported', flavour: 'openai.embeddings' });
    expect(event?.classes).toEqual({ input_uncached: String(reply.usage.prompt_tokens) });
  });

  test('reads a refusal as its own error class', async () => {
    const { url } = await house();
    const client = new OpenAI({ apiKey: `${KEY.slice(0, -1)}x`, baseURL: `${url}/openai/v1` });
    await expect(client.models.list()).rejects.toMatchObject({
      status: 401,
      code: 'invalid_api_key',
    });
  });
});

describe('an unmodified Anthropic SDK', () => {
  test.each(Object.entries(ANTHROPIC_CALLS))(
    'gets from a %s what a direct call gives',
    async (_name, run) => {
      const { direct, url, localLog } = await house();
      const kept = [recordingFetch(), recordingFetch()] as const;
      const plain = new Anthropic({
        apiKey: 'sk-d',
        baseURL: direct.anthropicUrl,
        fetch: kept[0].fetch,
      });
      const metered = new Anthropic({
        apiKey: KEY,
        baseURL: `${url}/anthropic`,
        fetch: kept[1].fetch,
      });
      const expected = await run(plain);
      expect(JSON.stringify(await run(metered))).toBe(JSON.stringify(expected));
      expect(await kept[1].bodies()).toEqual(await kept[0].bodies());
      const events = await readEvents(localLog);
      expect(events).toHaveLength(1);
      expect(events[0]).toMatchObject({
        ending: 'reported',
        provider: 'anthropic',
        classes: FIGURES,
      });
    },
  );
});

test('every attempt the sandbox counted is an event, whatever happened to it', async () => {
  const { behind, url, localLog } = await house();
  const client = new OpenAI({ apiKey: KEY, baseURL: `${url}/openai/v1`, maxRetries: 0 });
  const say = (words: string): Promise<unknown> =>
    client.chat.completions
      .create({
        model: MODEL,
        stream: true,
        messages: [{ role: 'user', content: `[[sandbox ${words}]]` }],
      })
      .then(collect)
      .catch((error: Error) => error);
  const told = [
    'input=10 output=5 id=a',
    'status=429x1 id=b',
    'status=500x2 id=c',
    'cut=after:3 output=9 id=d',
  ];
  for (const words of told) await say(words);
  const events = await readEvents(localLog);
  // 1 + (429, 200) + (500, 500, 200) + 1 cut.
  expect(events.map((e) => e.ending)).toEqual([
    'reported',
    'not_billed',
    'reported',
    'not_billed',
    'not_billed',
    'reported',
    'estimated',
  ]);
  expect(behind.bill()).toMatchObject({ attempts: events.length });
});
