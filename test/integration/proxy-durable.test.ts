import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { ProxyHouse, ProxyProcess } from '../helpers/proxy-house.ts';
import { createProxyHouse, eventsOf, runProxy } from '../helpers/proxy-house.ts';
import type { SystemCall } from '../helpers/system-calls.ts';
import { attachTracer, readSystemCalls, traced, whyNoTrace } from '../helpers/system-calls.ts';
import type { RawReply } from './proxy-harness.ts';
import { call, startUpstream } from './proxy-harness.ts';

/**
 * What "durable" means is a matter of system calls and their order, so this looks at them, on the process that a user runs. LMDB
 * writes pages with pwrite64 or writev, flushes them with fdatasync and then marks them in a page of its own with an O_DSYNC descriptor.
 * Every flush is made to take a quarter of a second, so that an order is never right by luck.
 */
const SLOW_FLUSH = 'fdatasync:delay_enter=250000';
const CHAT = '/openai/v1/chat/completions';
const MESSAGES = [{ role: 'user', content: 'hi' }];
const USAGE = { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 };
const CHOICE = { index: 0, finish_reason: 'stop' };

const answer = (res: ServerResponse, body: string): void => {
  const reply = { id: 'chatcmpl-1', object: 'chat.completion', model: 'gpt-5-mini' };
  if (!body.includes('"stream":true')) {
    res.writeHead(200, { 'content-type': 'application/json' });
    const message = { role: 'assistant', content: 'hello' };
    res.end(JSON.stringify({ ...reply, choices: [{ ...CHOICE, message }], usage: USAGE }));
    return;
  }
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  const chunks = [
    { ...reply, choices: [{ index: 0, delta: { content: 'hello' }, finish_reason: null }] },
    { ...reply, choices: [{ ...CHOICE, delta: {} }] },
    { ...reply, choices: [], usage: USAGE },
  ];
  for (const chunk of chunks) res.write(`data: ${JSON.stringify(chunk)}\n\n`);
  res.end('data: [DONE]\n\n');
};

const startProvider = (beforeAnswer: () => Promise<void> = async () => undefined) =>
  startUpstream((_req, res, body) => {
    void beforeAnswer().then(() => answer(res, body));
  });

const bodyOf = (stream: boolean): string =>
  JSON.stringify({
    model: 'gpt-5-mini',
    messages: MESSAGES,
    max_tokens: 50,
    ...(stream ? { stream } : {}),
  });

const end = async (proxy: ProxyProcess): Promise<number | null> => {
  proxy.child.kill('SIGTERM');
  return proxy.ended;
};

/** One call through a traced proxy, and the system calls of the proxy's whole life. */
const trace = async (options: { stream: boolean; durability: 'disk' | 'process' }) => {
  const provider = await startProvider();
  const house = await createProxyHouse(provider.url, { proxy: { durability: options.durability } });
  const output = join(house.directory, 'trace');
  const proxy = await runProxy(house, traced(output, [SLOW_FLUSH]));
  const reply = await call(proxy.url + CHAT, bodyOf(options.stream));
  expect(reply.status).toBe(200);
  expect(await end(proxy)).toBe(0);
  const requestId = String(reply.headers['x-reckoner-request-id']);
  return readTrace(output, { port: proxy.port, requestId });
};

/** The system calls that matter for one client call. */
const readTrace = (output: string, about: { port: number; requestId: string }) => {
  const calls = readSystemCalls(output);
  const toClient = calls.filter(({ file }) => file.startsWith(`TCP:[127.0.0.1:${about.port}->`));
  const writes = calls.filter(
    ({ name, file, text }) =>
      name.includes('write') &&
      file.endsWith('/proxy-1/data.mdb') &&
      text.includes(about.requestId),
  );
  const opened = writes.find(({ text }) => text.includes('reckoner.attempt.opened.v1'));
  const closed = writes.find(({ text }) => text.includes('reckoner.usage.recorded.v1'));
  const flushes = calls.filter(
    ({ name, file }) => name === 'fdatasync' && file.endsWith('/proxy-1/data.mdb'),
  );
  /** The first flush that began after the write had returned, and so covers it. */
  const flushOf = (write: SystemCall | undefined): SystemCall | undefined =>
    flushes.find(({ begun }) => write !== undefined && begun > write.end);
  const toUpstream = calls.find(
    ({ file, text }) =>
      file.startsWith('TCP:[') &&
      !toClient.some((one) => one.text === text) &&
      text.includes('POST '),
  );
  return { calls, flushes, toClient, opened, closed, flushOf, toUpstream };
};

const reason = whyNoTrace();
const skipped = reason === null ? '' : ` (skipped: ${reason})`;

describe.skipIf(reason !== null)(`the order of system calls${skipped}`, () => {
  for (const stream of [false, true]) {
    const what = stream ? 'a stream' : 'a JSON reply';
    test(`disk: of ${what} the opened record is flushed before the client's first byte, the closed one before its last`, async () => {
      const { toClient, opened, closed, flushOf, toUpstream } = await trace({
        stream,
        durability: 'disk',
      });
      const first = toClient.at(0);
      const last = toClient.at(-1);
      const openedFlush = flushOf(opened);
      const closedFlush = flushOf(closed);
      expect(opened?.end).toBeLessThan(toUpstream?.begun ?? -1);
      expect(openedFlush?.result.startsWith('0')).toBe(true);
      expect(openedFlush?.end).toBeLessThan(first?.begun ?? -1);
      expect(closedFlush?.result.startsWith('0')).toBe(true);
      expect(closedFlush?.end).toBeLessThan(last?.begun ?? -1);
      // The flush hides behind the provider's own latency: the call is on its way before it returns.
      expect(toUpstream?.begun).toBeLessThan(openedFlush?.end ?? -1);
    });

    test(`process: of ${what} the records are written in the same order, and no flush is waited for`, async () => {
      const { toClient, opened, closed, flushOf, toUpstream } = await trace({
        stream,
        durability: 'process',
      });
      expect(opened?.end).toBeLessThan(toUpstream?.begun ?? -1);
      expect(closed?.end).toBeLessThan(toClient.at(-1)?.begun ?? -1);
      expect(toClient.at(-1)?.begun).toBeLessThan(flushOf(opened)?.end ?? -1);
    });
  }
});

describe.skipIf(reason !== null)(`a flush that fails${skipped}`, () => {
  /** Runs a call through a proxy whose flushes fail from the one of this record on. */
  const failFlush = async (stream: boolean, which: 'opened' | 'closed') => {
    const asked = Promise.withResolvers<void>();
    const mayAnswer = Promise.withResolvers<void>();
    const provider = await startProvider(async () => {
      asked.resolve();
      await mayAnswer.promise;
    });
    const house = await createProxyHouse(provider.url);
    const output = join(house.directory, 'trace');
    const proxy = await runProxy(house);
    const fail = () => attachTracer(proxy.pid, output, 'fdatasync:error=EIO');
    if (which === 'opened') await fail();
    const answering = call(proxy.url + CHAT, bodyOf(stream)).catch(() => 'cut' as const);
    await asked.promise;
    if (which === 'closed') {
      await fail();
    }
    mayAnswer.resolve();
    const answer: RawReply | 'cut' = await answering;
    const code = await proxy.ended;
    const flushes = readSystemCalls(output).filter(({ name }) => name === 'fdatasync');
    // Asked once by the log; whatever lmdb itself asks when the process ends, nobody is answered on the strength of it.
    expect(flushes.every(({ result }) => result.includes('EIO'))).toBe(true);
    expect(flushes.length).toBeLessThanOrEqual(2);
    return { house, proxy, answer, code };
  };

  const recovered = async (house: ProxyHouse): Promise<UsageEvent[]> => {
    const again = await runProxy(house);
    await end(again);
    return eventsOf(house);
  };

  for (const stream of [false, true]) {
    const what = stream ? 'a stream' : 'a JSON reply';
    test(`of the opened record of ${what}: 503, the process ends loudly, and the next start has the event`, async () => {
      const { house, proxy, answer, code } = await failFlush(stream, 'opened');
      expect(answer).toMatchObject({ status: 503 });
      expect((answer as RawReply).body.toString()).toContain('cannot_meter');
      expect(code).toBe(1);
      expect(proxy.said.some((line) => line.includes('"level":60'))).toBe(true);
      const events = await recovered(house);
      // Declared: 50 tokens of output at most.
      expect(
        events.map(({ ending, error_kind, classes }) => [ending, error_kind, classes.output_text]),
      ).toEqual([['estimated', 'crash', '50']]);
    });

    test(`of the closed record of ${what}: the client does not get its end, and there is one event`, async () => {
      const { house, answer, code } = await failFlush(stream, 'closed');
      if (stream) expect(answer === 'cut' || answer.cut).toBe(true);
      else expect(answer).toMatchObject({ status: 503 });
      expect(code).toBe(1);
      const events = await recovered(house);
      expect(events.length).toBe(1);
    });
  }
});
