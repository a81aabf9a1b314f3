import { connect } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { type Sandbox, startSandbox } from '../../services/sandbox/main.ts';

const start = async (): Promise<Sandbox> => {
  const sandbox = await startSandbox();
  onTestFinished(() => sandbox.close());
  return sandbox;
};

interface Call {
  directive: string;
  stream: boolean;
  signal?: AbortSignal;
}

const ask = (sandbox: Sandbox, { directive, stream, signal }: Call): Promise<Response> =>
  fetch(`${sandbox.openaiUrl}/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer any' },
    body: JSON.stringify({
      model: 'gpt-4o',
      stream,
      stream_options: { include_usage: stream },
      messages: [{ role: 'user', content: `[[sandbox ${directive}]]` }],
    }),
    ...(signal === undefined ? {} : { signal }),
  });

/** Everything that arrives before the connection breaks. */
const readUntilBroken = async (response: Response): Promise<{ text: string; broken: boolean }> => {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const part of response.body ?? []) text += decoder.decode(part, { stream: true });
    return { text, broken: false };
  } catch {
    return { text, broken: true };
  }
};

const settled = (sandbox: Sandbox, attempts: number) =>
  vi.waitFor(() => expect(sandbox.bill()).toMatchObject({ in_flight: 0, attempts }), 5_000);

it('bills a stream it cuts up to the cut, and lets every word before it through', async () => {
  const sandbox = await start();
  const response = await ask(sandbox, {
    directive: 'input=100 output=200 chunks=8 cut=after:50',
    stream: true,
  });
  const { text, broken } = await readUntilBroken(response);
  expect(broken).toBe(true);
  expect(text).not.toContain('prompt_tokens');
  const words = [...text.matchAll(/"content":"([^"]*)"/g)].map(([, word]) => word).join('');
  expect(words.match(/[a-zA-Z]+|[.,]/g)).toHaveLength(50);
  // 100 x 2.50/M = 0.00025; 50 x 10/M = 0.0005; together 0.00075
  expect(sandbox.bill().items[0]).toMatchObject({
    ended: 'cut',
    status: 200,
    quantities: { input_uncached: 100, output_text: 50 },
    total_usd: '0.00075',
  });
});

it('bills a whole reply it cuts in full: it was generated before its first byte left', async () => {
  const sandbox = await start();
  const response = await ask(sandbox, {
    directive: 'input=100 output=200 cut=after:50',
    stream: false,
  });
  const { text, broken } = await readUntilBroken(response);
  expect(broken).toBe(true);
  expect(text.length).toBeGreaterThan(0);
  // 100 x 2.50/M = 0.00025; 200 x 10/M = 0.002
  expect(sandbox.bill().items[0]).toMatchObject({ ended: 'cut', total_usd: '0.00225' });
});

it('goes on generating when the caller of a stream leaves, and bills the end', async () => {
  const sandbox = await start();
  const leaving = new AbortController();
  const response = await ask(sandbox, {
    directive: 'input=100 output=200 chunks=20 chunk_ms=10',
    stream: true,
    signal: leaving.signal,
  });
  await response.body?.getReader().read();
  expect(sandbox.bill()).toMatchObject({ attempts: 0, in_flight: 1 });
  leaving.abort();
  await settled(sandbox, 1);
  // 100 x 2.50/M = 0.00025; 200 x 10/M = 0.002
  expect(sandbox.bill().items[0]).toMatchObject({
    ended: 'client_left',
    quantities: { output_text: 200 },
    total_usd: '0.00225',
  });
});

it('bills a whole reply nobody waited for', async () => {
  const sandbox = await start();
  const leaving = new AbortController();
  const call = ask(sandbox, {
    directive: 'input=100 output=200 delay_ms=100',
    stream: false,
    signal: leaving.signal,
  });
  await vi.waitFor(() => expect(sandbox.bill().in_flight).toBe(1));
  leaving.abort();
  await expect(call).rejects.toThrow();
  await settled(sandbox, 1);
  expect(sandbox.bill().items[0]).toMatchObject({ ended: 'client_left', total_usd: '0.00225' });
});

it('notes a request that broke off before it was complete, and charges nothing', async () => {
  const sandbox = await start();
  const { port } = new URL(sandbox.url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(
    'POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer any\r\ncontent-length: 1000\r\n\r\n{"model"',
  );
  await vi.waitFor(() => expect(sandbox.bill().in_flight).toBe(1));
  socket.destroy();
  await settled(sandbox, 1);
  expect(sandbox.bill().items[0]).toMatchObject({ ended: 'refused', billed: false });
});

it('bills what exists when the sandbox itself is closed', async () => {
  const sandbox = await startSandbox();
  const response = await ask(sandbox, {
    directive: 'input=100 output=200 chunks=2 chunk_ms=10000',
    stream: true,
  });
  await response.body?.getReader().read();
  await sandbox.close();
  await settled(sandbox, 1);
  // 100 x 2.50/M = 0.00025; 100 of 200 x 10/M = 0.001
  expect(sandbox.bill().items[0]).toMatchObject({ ended: 'cut', total_usd: '0.00125' });
});
