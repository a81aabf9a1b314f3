import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { RouteSchema } from '../../schemas/control-record.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  putKey,
  putRecord,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
  until,
} from './proxy-harness.ts';
import { always, ask, chat, inShort, REPLY, step } from './routing-house.ts';

const json = (res: ServerResponse, body: unknown, status = 200): ServerResponse =>
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

test('a hedge that fails inside the proxy leaves the first attempt, its answer and the process alone', async () => {
  let fails = false;
  const a = await startUpstream((_req, res) => {
    fails = true;
    setTimeout(() => res.writeHead(200, { 'content-type': 'application/json' }).end(REPLY), 200);
  });
  const b = await startUpstream(always(200));
  const office = createMemoryEventLog('office');
  await putUpstream(office, { id: 'a', models: [], base_url: `${a.url}/v1` });
  await putUpstream(office, { id: 'b', models: [], base_url: `${b.url}/v1` });
  const route = { id: 'r', models: ['gpt-*'], steps: [step('a'), step('b')], hedge_after_ms: 50 };
  await putRecord(office, { kind: 'route', body: RouteSchema.parse(route) });
  await putKey(office);
  const clock = {
    ...systemClock,
    nowMs: () => {
      if (!fails) return systemClock.nowMs();
      fails = false;
      throw new Error('of the test');
    },
  };
  const { url, localLog } = await startTestProxy({ office, clock });
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', note);
  onTestFinished(() => void process.off('unhandledRejection', note));
  const reply = await ask(url, chat());
  expect([reply.status, reply.cut]).toEqual([200, false]);
  expect(unhandled).toEqual([]);
  expect([b.seen.length, (await readEvents(localLog)).map(inShort)]).toEqual([
    0,
    ['primary a 200 reported'],
  ]);
});

const house = async (url: string) => {
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: `${url}/v1` });
  await putKey(office);
  return startTestProxy({ office, followPace: { baseMs: 400, maxMs: 500 }, stopTimeoutMs: 50 });
};

const responses = () => {
  let isThere = true;
  return (req: IncomingMessage, res: ServerResponse): ServerResponse => {
    const response = { id: 'resp_abc1234', object: 'response', model: 'gpt-4o-mini' };
    if (req.method === 'POST') return json(res, { ...response, status: 'queued', usage: null });
    if (req.method === 'DELETE') {
      isThere = false;
      return json(res, { id: 'resp_abc1234', deleted: true });
    }
    if (!isThere) return json(res, { error: { message: 'x' } }, 404);
    return json(res, {
      ...response,
      status: 'completed',
      usage: { input_tokens: 7, output_tokens: 5, total_tokens: 12 },
    });
  };
};

test('case 23 · a background response that its caller deletes as soon as it is done is charged', async () => {
  const upstream = await startUpstream(responses());
  const { url, localLog } = await house(upstream.url);
  await call(`${url}/openai/v1/responses`, '{"model":"gpt-4o-mini","input":"x","background":true}');
  await call(`${url}/openai/v1/responses/resp_abc1234`, null, { method: 'GET' });
  await call(`${url}/openai/v1/responses/resp_abc1234`, null, { method: 'DELETE' });
  const events = await until(async () => {
    const found = await readEvents(localLog);
    return found.length > 1 ? found : undefined;
  });
  expect(events.at(-1)).toMatchObject({ ending: 'reported', classes: { output_text: '5' } });
});

test('case 23 · work that is under way is pending, whatever its first answer says of usage', async () => {
  const response = { id: 'resp_abc1234', object: 'response', model: 'gpt-4o-mini' };
  const upstream = await startUpstream((req, res) => {
    const usage = { input_tokens: 0, output_tokens: 0, total_tokens: 0 };
    if (req.method === 'POST') return json(res, { ...response, status: 'in_progress', usage });
    return json(res, {
      ...response,
      status: 'completed',
      usage: { input_tokens: 7, output_tokens: 5, total_tokens: 12 },
    });
  });
  const { url, localLog } = await house(upstream.url);
  await call(`${url}/openai/v1/responses`, '{"model":"gpt-4o-mini","input":"x","background":true}');
  const [first] = await readEvents(localLog);
  expect(first).toMatchObject({ ending: 'pending' });
});

test('a caller cannot have a dear model priced as a cheap one by quoting its name in another field of a form', async () => {
  const upstream = await startUpstream((_req, res) =>
    json(res, { text: 'x', usage: { type: 'duration', seconds: 60 } }),
  );
  const { url, localLog } = await house(upstream.url);
  const field = (name: string, value: string): string =>
    `--B\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const form = `${field('prompt', 'name="model"\r\n\r\ncheap\r\n')}${field('model', 'dear')}--B--\r\n`;
  await call(`${url}/openai/v1/audio/transcriptions`, form, {
    headers: { 'content-type': 'multipart/form-data; boundary=B' },
  });
  // The reply names no model, so what the request names decides the price.
  const [event] = await readEvents(localLog);
  expect(event).toMatchObject({ requested_model: 'dear', units: { audio_seconds: '60' } });
});

test('what an upstream says before its answer (102, 103) is not its answer', async () => {
  const upstream = await startUpstream((_req, res) => {
    res.writeProcessing();
    res.writeEarlyHints({ link: '</a>; rel=preload' });
    res.writeHead(200, { 'content-type': 'application/json' }).end(REPLY);
  });
  const { url, localLog } = await house(upstream.url);
  expect((await ask(url, chat(), '/openai/v1/chat/completions')).status).toBe(200);
  expect((await readEvents(localLog)).map(inShort)).toEqual(['primary openai 200 reported']);
});
