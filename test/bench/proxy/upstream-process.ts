import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { machineMs } from './load-job.ts';

/**
 * The provider of the benchmark: a JSON reply of 600 bytes, or, for `?chunks=N&chunk_ms=M`, a stream of so many chunks with so long
 * a pause between them. Every chunk says when it was written. Started with an IPC channel, on which it tells its address.
 */
const BODY_BYTES = 600;

const reply = (padding: string): string =>
  JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion',
    created: 1795305600,
    model: 'gpt-4o-mini-2024-07-18',
    service_tier: 'default',
    choices: [
      { index: 0, message: { role: 'assistant', content: padding }, finish_reason: 'stop' },
    ],
    usage: {
      prompt_tokens: 24,
      completion_tokens: 60,
      total_tokens: 84,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
    },
  });
const BODY = Buffer.from(reply('x'.repeat(BODY_BYTES - reply('').length)));

const HEAD =
  '"object":"chat.completion.chunk","created":1795305600,"model":"gpt-4o-mini-2024-07-18"';
/** The time has a fixed width, so that every stream has the same number of bytes. */
const chunk = (asked: boolean): string =>
  `data: {"id":"chatcmpl-bench",${HEAD},"choices":[{"index":0,"delta":{"content":" t=${machineMs().toFixed(3).padStart(16, '0')}"},"finish_reason":null}]${asked ? ',"usage":null' : ''}}\n\n`;
const LAST = `data: {"id":"chatcmpl-bench",${HEAD},"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`;
const USAGE = `data: {"id":"chatcmpl-bench",${HEAD},"choices":[],"usage":{"prompt_tokens":24,"completion_tokens":200,"total_tokens":224}}\n\n`;
const DONE = 'data: [DONE]\n\n';

const stream = (
  res: ServerResponse,
  { chunks, chunkMs }: { chunks: number; chunkMs: number },
  asked: boolean,
): void => {
  res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  let sent = 0;
  const next = (): void => {
    if (res.destroyed) return;
    res.write(chunk(asked));
    sent += 1;
    if (sent < chunks) pause(next);
    else res.end(asked ? `${LAST},"usage":null}\n\n${USAGE}${DONE}` : `${LAST}}\n\n${DONE}`);
  };
  const pause = (then: () => void): void => {
    if (chunkMs > 0) setTimeout(then, chunkMs);
    else setImmediate(then);
  };
  next();
};

const server = createServer((req, res) => {
  const pace = /\?chunks=(\d+)&chunk_ms=(\d+)$/.exec(req.url ?? '');
  let body = '';
  req.on('data', (bytes: Buffer) => {
    body += bytes.toString('latin1');
  });
  req.on('end', () => {
    if (pace) {
      const shape = { chunks: Number(pace[1]), chunkMs: Number(pace[2]) };
      stream(res, shape, body.includes('"include_usage":true'));
      return;
    }
    res.writeHead(200, {
      'content-type': 'application/json',
      'content-length': BODY.length,
      'x-request-id': 'req_bench',
      'openai-processing-ms': '12',
    });
    res.end(BODY);
  });
});
server.keepAliveTimeout = 120_000;
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
});
process.once('disconnect', () => process.exit(0));
