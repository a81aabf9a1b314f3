import Anthropic from '@anthropic-ai/sdk';
import { expect, it, onTestFinished } from 'vitest';
import { type Sandbox, startSandbox } from '../../services/sandbox/main.ts';

const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const each of source) all.push(each);
  return all;
};

const start = async (maxRetries = 0): Promise<{ sandbox: Sandbox; client: Anthropic }> => {
  const sandbox = await startSandbox();
  onTestFinished(() => sandbox.close());
  const client = new Anthropic({ apiKey: 'any', baseURL: sandbox.anthropicUrl, maxRetries });
  return { sandbox, client };
};

const request = (content: string, model = 'claude-haiku-4-5') => ({
  model,
  max_tokens: 1_000,
  messages: [{ role: 'user' as const, content }],
});

const DIRECTIVE =
  '[[sandbox input=1200 cached=300 write5m=10 write1h=20 output=30 reasoning=8 chunks=5]]';
// 870 x 1/M = 0.00087; 300 x 0.10/M = 0.00003; 10 x 1.25/M = 0.0000125; 20 x 2/M = 0.00004; 30 x 5/M = 0.00015; together 0.0011025
const COST_USD = '0.0011025';

it('answers a message with uncached input apart from cache reads and writes', async () => {
  const { sandbox, client } = await start();
  const { data, response } = await client.messages.create(request(DIRECTIVE)).withResponse();
  expect(data.model).toBe('claude-haiku-4-5-20251001');
  expect(data.content.map(({ type }) => type)).toEqual(['thinking', 'text']);
  expect(data.usage).toEqual({
    input_tokens: 870,
    cache_creation_input_tokens: 30,
    cache_read_input_tokens: 300,
    cache_creation: { ephemeral_5m_input_tokens: 10, ephemeral_1h_input_tokens: 20 },
    output_tokens: 30,
    output_tokens_details: { thinking_tokens: 8 },
    service_tier: 'standard',
    inference_geo: 'not_available',
  });
  const [item] = sandbox.bill().items;
  expect(item?.provider_request_id).toBe(response.headers.get('request-id'));
  expect(item).toMatchObject({ ended: 'complete', total_usd: COST_USD });
});

it('streams the same message: preliminary usage first, the final one in message_delta', async () => {
  const { sandbox, client } = await start();
  const events = await collect(
    await client.messages.create({ ...request(DIRECTIVE), stream: true }),
  );
  const starts = events.filter((event) => event.type === 'message_start');
  expect(starts.map(({ message }) => message.usage.output_tokens)).toEqual([1]);
  const deltas = events.filter((event) => event.type === 'message_delta');
  expect(deltas.map(({ usage }) => usage)).toEqual([
    {
      input_tokens: 870,
      cache_creation_input_tokens: 30,
      cache_read_input_tokens: 300,
      output_tokens: 30,
      output_tokens_details: { thinking_tokens: 8 },
    },
  ]);
  const whole = await client.messages.create(request(DIRECTIVE));
  const streamed = await client.messages.stream(request(DIRECTIVE)).finalMessage();
  expect(streamed.content).toEqual(whole.content);
  const bills = sandbox.bill().items.map((item) => item.total_usd);
  expect(bills).toEqual([COST_USD, COST_USD, COST_USD]);
});

it('counts tokens for nothing', async () => {
  const { sandbox, client } = await start();
  const { input_tokens } = await client.messages.countTokens({
    model: 'claude-opus-4-5',
    messages: [{ role: 'user', content: 'four' }],
  });
  // 3 tokens a message + 4 characters / 4
  expect(input_tokens).toBe(4);
  expect(sandbox.bill()).toMatchObject({ attempts: 0, not_metered_calls: 1, total_usd: '0' });
});

it('is overloaded twice and then answers: three attempts, one charge', async () => {
  const { sandbox, client } = await start(2);
  await client.messages.create(request('[[sandbox id=a status=529x2 input=4 output=1]]'));
  expect(sandbox.bill().items.map(({ status, billed }) => [status, billed])).toEqual([
    [529, false],
    [529, false],
    [200, true],
  ]);
});

it('reads a directive from metadata.user_id', async () => {
  const { sandbox, client } = await start();
  await client.messages.create({
    ...request('hello', 'claude-opus-4-5'),
    metadata: { user_id: '[[sandbox input=8 output=2]]' },
  });
  // 8 x 5/M = 0.00004; 2 x 25/M = 0.00005
  expect(sandbox.bill().items[0]?.total_usd).toBe('0.00009');
});

it('refuses in the vendor’s shape and charges nothing', async () => {
  const { sandbox, client } = await start();
  await expect(client.messages.create(request('x', 'claude-none'))).rejects.toMatchObject({
    status: 404,
    type: 'not_found_error',
  });
  const response = await fetch(`${sandbox.anthropicUrl}/v1/messages`, {
    method: 'POST',
    body: '{}',
  });
  expect(response.status).toBe(401);
  expect(await response.json()).toMatchObject({
    type: 'error',
    error: { type: 'authentication_error' },
    request_id: response.headers.get('request-id'),
  });
  expect(sandbox.bill()).toMatchObject({ attempts: 2, billed_attempts: 0, total_usd: '0' });
});
