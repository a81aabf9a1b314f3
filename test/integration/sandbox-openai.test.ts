import OpenAI from 'openai';
import { expect, it, onTestFinished } from 'vitest';
import { type Sandbox, startSandbox } from '../../services/sandbox/main.ts';

const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const each of source) all.push(each);
  return all;
};

const start = async (maxRetries = 0): Promise<{ sandbox: Sandbox; client: OpenAI }> => {
  const sandbox = await startSandbox();
  onTestFinished(() => sandbox.close());
  const client = new OpenAI({ apiKey: 'any', baseURL: sandbox.openaiUrl, maxRetries });
  return { sandbox, client };
};

const say = (content: string) => [{ role: 'user' as const, content }];

it('answers a chat call and bills its disjoint parts', async () => {
  const { sandbox, client } = await start();
  const { data, response } = await client.chat.completions
    .create({
      model: 'gpt-4o',
      messages: say('[[sandbox input=1200 cached=300 output=211]]'),
    })
    .withResponse();
  expect(data.model).toBe('gpt-4o-2024-08-06');
  expect(data.usage).toMatchObject({
    prompt_tokens: 1200,
    completion_tokens: 211,
    total_tokens: 1411,
    prompt_tokens_details: { cached_tokens: 300 },
  });
  const [item] = sandbox.bill().items;
  expect(item?.provider_request_id).toBe(response.headers.get('x-request-id'));
  // 900 x 2.50/M = 0.00225; 300 x 1.25/M = 0.000375; 211 x 10/M = 0.00211; together 0.004735
  expect(item).toMatchObject({
    ended: 'complete',
    quantities: { input_uncached: 900, cache_read: 300, output_text: 211 },
    total_usd: '0.004735',
  });
});

it('states the usage of a stream in one last chunk, when asked', async () => {
  const { sandbox, client } = await start();
  const stream = await client.chat.completions.create({
    model: 'o4-mini',
    messages: say('[[sandbox input=10 output=60 reasoning=40 chunks=6]]'),
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await collect(stream);
  const last = chunks.at(-1);
  expect(last?.choices).toEqual([]);
  expect(last?.usage).toMatchObject({
    prompt_tokens: 10,
    completion_tokens: 60,
    completion_tokens_details: { reasoning_tokens: 40 },
  });
  expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
  // 10 x 1.10/M = 0.000011; 60 x 4.40/M = 0.000264; together 0.000275
  expect(sandbox.bill().total_usd).toBe('0.000275');
});

it('writes no word of usage into a stream that did not ask for it', async () => {
  const { sandbox } = await start();
  const bodies = await Promise.all(
    [{}, { stream_options: { include_usage: true } }].map(async (options) => {
      const response = await fetch(`${sandbox.openaiUrl}/chat/completions`, {
        method: 'POST',
        headers: { authorization: 'Bearer any' },
        body: JSON.stringify({
          model: 'gpt-4o-mini',
          stream: true,
          messages: say('[[sandbox output=5 chunks=2]]'),
          ...options,
        }),
      });
      return (await response.text()).trimEnd().split('\n\n');
    }),
  );
  const [plain = [], asked = []] = bodies;
  expect(plain.join()).not.toContain('usage');
  expect(plain).toHaveLength(5);
  expect(asked).toHaveLength(6);
  expect(asked.slice(0, 4).every((frame) => frame.endsWith('}],"usage":null}'))).toBe(true);
  expect(asked.at(-1)).toBe('data: [DONE]');
});

it('answers the Responses API, whole and streamed', async () => {
  const { sandbox, client } = await start();
  const input = '[[sandbox input=255 cached=100 output=16 reasoning=6]]';
  const whole = await client.responses.create({ model: 'gpt-4.1-mini', input });
  expect(whole.output_text.split(' ').length).toBeGreaterThan(5);
  const stream = await client.responses.create({ model: 'gpt-4.1-mini', input, stream: true });
  const events = await collect(stream);
  const completed = events.find((event) => event.type === 'response.completed');
  const usage = {
    input_tokens: 255,
    input_tokens_details: { cached_tokens: 100 },
    output_tokens: 16,
    output_tokens_details: { reasoning_tokens: 6 },
    total_tokens: 271,
  };
  expect(whole.usage).toEqual(usage);
  expect(completed?.response.usage).toEqual(usage);
  expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
  const text = events.map((event) =>
    event.type === 'response.output_text.delta' ? event.delta : '',
  );
  expect(text.join('')).toBe(whole.output_text);
  // each: 155 x 0.40/M = 0.000062; 100 x 0.10/M = 0.00001; 16 x 1.60/M = 0.0000256; together 0.0000976
  expect(sandbox.bill().items.map((item) => item.total_usd)).toEqual(['0.0000976', '0.0000976']);
});

it('ends an answer at the ceiling of the caller', async () => {
  const { sandbox, client } = await start();
  const chat = await client.chat.completions.create({
    model: 'gpt-4o-mini',
    max_completion_tokens: 20,
    messages: say('[[sandbox input=1 output=500]]'),
  });
  const response = await client.responses.create({
    model: 'gpt-4o-mini',
    max_output_tokens: 20,
    input: '[[sandbox input=1 output=500]]',
  });
  expect(chat.choices[0]?.finish_reason).toBe('length');
  expect(response.incomplete_details?.reason).toBe('max_output_tokens');
  expect(sandbox.bill().items.map((item) => item.quantities.output_text)).toEqual([20, 20]);
});

it('sells embeddings by input alone', async () => {
  const { sandbox, client } = await start();
  const reply = await client.embeddings.create({
    model: 'text-embedding-3-small',
    input: ['one', 'two [[sandbox input=500]]'],
  });
  expect(reply.data.map(({ embedding }) => embedding.length)).toEqual([1536, 1536]);
  expect(reply.usage).toEqual({ prompt_tokens: 500, total_tokens: 500 });
  // 500 x 0.02/M = 0.00001
  expect(sandbox.bill().total_usd).toBe('0.00001');
});

it('lists models for nothing', async () => {
  const { sandbox, client } = await start();
  const models = await collect(client.models.list());
  expect(models.map(({ id }) => id)).toContain('gpt-4o-mini-2024-07-18');
  expect(sandbox.bill()).toMatchObject({ attempts: 0, not_metered_calls: 1 });
});

it('answers 429 once and then succeeds: two attempts, one charge', async () => {
  const { sandbox, client } = await start(2);
  await client.chat.completions.create({
    model: 'gpt-4o',
    messages: say('[[sandbox id=a status=429x1 input=4 output=1]]'),
  });
  // 4 x 2.50/M = 0.00001; 1 x 10/M = 0.00001
  expect(sandbox.bill()).toMatchObject({ attempts: 2, billed_attempts: 1, total_usd: '0.00002' });
  expect(sandbox.bill().items.map(({ status, ended }) => [status, ended])).toEqual([
    [429, 'refused'],
    [200, 'complete'],
  ]);
});

it('reads a directive from the metadata and from a header too', async () => {
  const { sandbox, client } = await start();
  const request = { model: 'gpt-4o', messages: say('hello') };
  const directive = '[[sandbox input=8 output=2]]';
  await client.chat.completions.create({ ...request, metadata: { note: directive } });
  await client.chat.completions.create(request, { headers: { 'x-sandbox': 'input=9 output=3' } });
  expect(sandbox.bill().items.map((item) => item.quantities)).toEqual([
    { input_uncached: 8, output_text: 2 },
    { input_uncached: 9, output_text: 3 },
  ]);
});

it('refuses in the vendor’s shape and charges nothing', async () => {
  const { sandbox, client } = await start();
  const unknown = client.chat.completions.create({ model: 'gpt-none', messages: say('x') });
  await expect(unknown).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
  const wrongKind = client.embeddings.create({ model: 'gpt-4o', input: 'x' });
  await expect(wrongKind).rejects.toMatchObject({ status: 404 });
  const senseless = client.chat.completions.create({
    model: 'gpt-4o',
    messages: say('[[sandbox input=1 cached=2]]'),
  });
  await expect(senseless).rejects.toMatchObject({ status: 400, type: 'invalid_request_error' });
  const post = (init: RequestInit) =>
    fetch(`${sandbox.openaiUrl}/chat/completions`, { method: 'POST', ...init });
  expect((await post({ body: '{}' })).status).toBe(401);
  const broken = await post({ headers: { authorization: 'Bearer any' }, body: '{"model":' });
  expect(broken.status).toBe(400);
  expect(await broken.json()).toMatchObject({ error: { type: 'invalid_request_error' } });
  expect(sandbox.bill()).toMatchObject({ attempts: 5, billed_attempts: 0, total_usd: '0' });
});
