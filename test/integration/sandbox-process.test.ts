import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';

const SERVE = fileURLToPath(new URL('../../services/sandbox/serve.ts', import.meta.url));

interface Addresses {
  url: string;
  openaiUrl: string;
  anthropicUrl: string;
  stripeUrl: string;
}

const startProcess = async (): Promise<Addresses> => {
  const child = spawn(process.execPath, [SERVE, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const [code] = await exited;
    expect(code).toBe(0);
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return JSON.parse(line) as Addresses;
};

const textOf = async (url: string): Promise<string> => (await fetch(url)).text();
const post = async (url: string, body = '', headers = {}): Promise<unknown> =>
  (await fetch(url, { method: 'POST', body, headers })).json();

it('runs as a process of its own and shows its books over HTTP', async () => {
  const { url, openaiUrl, anthropicUrl } = await startProcess();
  const call = {
    max_tokens: 10,
    messages: [{ role: 'user', content: '[[sandbox input=10 output=10]]' }],
  };
  const headers = { authorization: 'Bearer any' };
  const chat = JSON.stringify({ model: 'gpt-4o', ...call });
  await post(`${openaiUrl}/chat/completions`, chat, headers);
  const message = JSON.stringify({ model: 'claude-opus-4-5', ...call });
  await post(`${anthropicUrl}/v1/messages`, message, headers);

  // OpenAI: 10 x 2.50/M + 10 x 10/M = 0.000025 + 0.0001; Anthropic: 10 x 5/M + 10 x 25/M = 0.00005 + 0.00025
  const bill = JSON.parse(await textOf(`${url}/sandbox/bill`)) as { items: unknown[] };
  expect(bill).toMatchObject({
    attempts: 2,
    total_usd: '0.000425',
    total_usd_by_provider: { openai: '0.000125', anthropic: '0.0003' },
  });
  expect(bill.items).toHaveLength(2);
  expect(JSON.parse(await textOf(`${url}/sandbox/totals`))).not.toHaveProperty('items');
  const items = (await textOf(`${url}/sandbox/items.csv`)).trim().split('\n');
  expect(items).toHaveLength(5);
  expect(items[4]).toMatch(/^anthropic,req_\w+,claude-opus-4-5-20251101,output_text,10,0\.00025$/);

  const statement = `${url}/sandbox/statements/openai.csv`;
  expect(await textOf(statement)).toContain(',0.000025,usd,"gpt-4o-2024-08-06, input",');
  expect(await post(`${url}/sandbox/tamper`)).toEqual({
    provider: 'openai',
    line: 2,
    added_usd: '0.01',
  });
  expect(await textOf(statement)).toContain(',0.010025,usd,"gpt-4o-2024-08-06, input",');
  await post(`${url}/sandbox/tamper`, '{"provider":"anthropic","usd":"0.5"}');
  expect(await textOf(`${url}/sandbox/statements/anthropic.csv`)).toContain(
    'input_no_cache,0.50005,0.00005,',
  );
  expect(await textOf(`${url}/sandbox/bill`)).toContain('"total_usd":"0.000425"');

  await post(`${url}/sandbox/reset`);
  expect(JSON.parse(await textOf(`${url}/sandbox/bill`))).toMatchObject({
    attempts: 0,
    total_usd: '0',
    items: [],
  });
  expect((await textOf(statement)).trim().split('\n')).toHaveLength(1);
});

it('answers what it does not know with 404', async () => {
  const { url } = await startProcess();
  expect((await fetch(`${url}/sandbox/nonsense`)).status).toBe(404);
  expect((await fetch(`${url}/`)).status).toBe(404);
});
