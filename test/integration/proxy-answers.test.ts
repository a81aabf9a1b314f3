import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import type { Appended } from '../../services/platform/event-log.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  KEY,
  putBudget,
  putKey,
  putSignal,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
  until,
} from './proxy-harness.ts';

const CHAT = JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }] });
const MESSAGE = JSON.stringify({
  model: 'claude-sonnet-4-5',
  max_tokens: 10,
  messages: [{ role: 'user', content: 'Hello' }],
});
const REPLY =
  '{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}';

const house = async (options: { key?: object; proxyConfig?: object; upstream?: object } = {}) => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'a=b' });
    res.end(REPLY);
  });
  await putUpstream(office, { base_url: provider.url, ...options.upstream });
  await putUpstream(office, {
    id: 'anthropic',
    provider: 'anthropic',
    dialect: 'anthropic',
    models: ['claude-*'],
    base_url: provider.url,
  });
  await putKey(office, options.key as Record<string, unknown>);
  return {
    office,
    provider,
    ...(await startTestProxy({ office, proxyConfig: options.proxyConfig ?? {} })),
  };
};

test.each([
  ['no key', { authorization: '' }],
  ['a wrong key', { authorization: `Bearer rk_${'a'.repeat(12)}_${'x'.repeat(32)}` }],
  ['a key of another shape', { authorization: 'Bearer sk-123' }],
])('%s is answered 401 in the dialect of the endpoint', async (_name, headers) => {
  const { url, provider } = await house();
  const openai = await call(`${url}/v1/chat/completions`, CHAT, { headers });
  expect(openai.status).toBe(401);
  expect(JSON.parse(openai.body.toString()).error.code).toBe('invalid_api_key');
  const anthropic = await call(`${url}/v1/messages`, MESSAGE, { headers });
  expect(anthropic.status).toBe(401);
  expect(JSON.parse(anthropic.body.toString())).toMatchObject({
    type: 'error',
    error: { type: 'authentication_error', code: 'invalid_api_key' },
  });
  expect(provider.seen).toHaveLength(0);
});

test.each([
  ['revoked', { revoked: true }],
  ['expired', { expires_at: '2020-01-01T00:00:00.000Z' }],
])('a key that is %s is answered 401', async (_name, key) => {
  const { url } = await house({ key });
  expect((await call(`${url}/v1/chat/completions`, CHAT)).status).toBe(401);
});

test.each(['x-reckoner-key', 'x-api-key', 'x-goog-api-key', 'api-key'])(
  'a virtual key is taken from %s and does not travel upstream',
  async (header) => {
    const { url, provider } = await house();
    const key = `rk_${'a'.repeat(12)}_${'s'.repeat(32)}`;
    const headers = {
      authorization: 'x',
      [header]: key,
      cookie: 'c=1',
      forwarded: 'for=1.2.3.4',
      'x-forwarded-for': '1.2.3.4',
      'x-reckoner-user': 'u1',
      connection: 'openai-beta',
      'openai-beta': 'nominated',
      'openai-version': 'v1',
    };
    const reply = await call(`${url}/v1/chat/completions`, CHAT, { headers });
    expect(reply.status).toBe(200);
    expect(reply.headers['set-cookie']).toBeUndefined();
    const seen = provider.seen[0]?.headers ?? {};
    expect(JSON.stringify(seen)).not.toContain('rk_');
    expect(seen).toMatchObject({ authorization: 'Bearer upstream-secret', 'openai-version': 'v1' });
    for (const name of [
      'cookie',
      'forwarded',
      'x-forwarded-for',
      'x-reckoner-user',
      'openai-beta',
    ]) {
      expect(seen[name]).toBeUndefined();
    }
  },
);

test.each([
  ['no JSON', '{"model":'],
  ['an array', '[]'],
  ['no model on a unified route', '{"messages":[]}'],
  ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])],
])('a body that is %s is answered 400', async (_name, body) => {
  const { url, provider } = await house();
  const reply = await call(`${url}/v1/chat/completions`, body);
  expect(reply.status).toBe(400);
  expect(JSON.parse(reply.body.toString()).error.code).toBe('invalid_request');
  expect(provider.seen).toHaveLength(0);
});

test.each([
  [{ 'x-reckoner-user': 'x'.repeat(129) }],
  [{ 'x-reckoner-tags': 'no-equals' }],
  [{ 'x-reckoner-tenant': 'somebody-else' }],
])('attribution that cannot be kept (%o) is answered 400', async (headers) => {
  const { url } = await house();
  const reply = await call(`${url}/v1/chat/completions`, CHAT, { headers });
  expect(reply.status).toBe(400);
});

test('an oversized body is answered 413, whether it says its length or not', async () => {
  const { url, provider } = await house({ proxyConfig: { body_bytes_max: 1024 } });
  const big = JSON.stringify({ model: 'gpt-4o', messages: [], pad: 'x'.repeat(2000) });
  expect((await call(`${url}/v1/chat/completions`, big)).status).toBe(413);
  const chunked = await call(`${url}/v1/chat/completions`, big, {
    headers: { 'transfer-encoding': 'chunked' },
  });
  expect(chunked.status).toBe(413);
  expect(provider.seen).toHaveLength(0);
});

test('a body of more values than can be read in passing is answered 413', async () => {
  const { url, provider } = await house();
  const brackets = `{"model":"gpt-4o","messages":[],"pad":[${'[],'.repeat(600_000)}0]}`;
  expect((await call(`${url}/v1/chat/completions`, brackets)).status).toBe(413);
  const long = JSON.stringify({ model: 'gpt-4o', messages: [], pad: 'x'.repeat(2_000_000) });
  expect((await call(`${url}/v1/chat/completions`, long)).status).toBe(200);
  expect(provider.seen).toHaveLength(1);
});

test('bodies of calls under way take up bounded room: beyond its share a key is answered 429 until one of them has ended', async () => {
  const bounds = { body_bytes_max: 2048, bodies_bytes_max: 8192 };
  const { url } = await house({ proxyConfig: bounds });
  const padded = JSON.stringify({ model: 'gpt-4o', messages: [], pad: 'x'.repeat(1400) });
  const half = request(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-length': padded.length },
  });
  const answered = once(half, 'response');
  half.write(padded.slice(0, 1400));
  const refused = await until(async () => {
    const reply = await call(`${url}/v1/chat/completions`, padded);
    return reply.status === 429 ? reply : undefined;
  });
  expect(JSON.parse(refused.body.toString()).error.code).toBe('too_many_bytes');
  expect(refused.headers['retry-after']).toBe('1');
  half.end(padded.slice(1400));
  const [answer] = (await answered) as [IncomingMessage];
  expect(answer.statusCode).toBe(200);
  answer.resume();
  await once(answer, 'end');
  await until(async () => {
    const reply = await call(`${url}/v1/chat/completions`, padded);
    return reply.status === 200 ? reply : undefined;
  });
});

test('an unknown model, upstream or path is answered 404, a model the key does not allow 403', async () => {
  const { url } = await house({ key: { models: ['gpt-4o-mini', 'claude-*'] } });
  const unknown = await call(`${url}/v1/chat/completions`, '{"model":"mistral-large"}');
  expect([unknown.status, JSON.parse(unknown.body.toString()).error.code]).toEqual([
    404,
    'model_not_found',
  ]);
  expect((await call(`${url}/nowhere/v1/chat/completions`, CHAT)).status).toBe(404);
  expect((await call(`${url}/openai/../x/v1/chat/completions`, CHAT)).status).toBe(404);
  const forbidden = await call(`${url}/v1/chat/completions`, CHAT);
  expect([forbidden.status, JSON.parse(forbidden.body.toString()).error.code]).toEqual([
    403,
    'model_not_allowed',
  ]);
});

test('an upstream that is down is answered 502 and leaves one not_billed event per attempt', async () => {
  const closed = createServer();
  await new Promise<void>((done) => closed.listen(0, '127.0.0.1', done));
  const { port } = closed.address() as { port: number };
  await new Promise((done) => closed.close(done));
  const { url, localLog } = await house({
    upstream: { base_url: `http://127.0.0.1:${port}`, attempts_max: 2 },
  });
  const reply = await call(`${url}/v1/chat/completions`, CHAT);
  expect([reply.status, JSON.parse(reply.body.toString()).error.code]).toEqual([
    502,
    'upstream_unreachable',
  ]);
  const events = await readEvents(localLog);
  expect(events.map((e) => [e.ending, e.error_kind, e.attempt_number, e.attempt_role])).toEqual([
    ['not_billed', 'unreachable', 1, 'primary'],
    ['not_billed', 'unreachable', 2, 'retry'],
  ]);
  expect(new Set(events.map((e) => e.request_id)).size).toBe(1);
});

test('a private address is refused unless the upstream allows it', async () => {
  const { url, provider, localLog } = await house({
    upstream: { allow_private: false, attempts_max: 1 },
  });
  expect((await call(`${url}/v1/chat/completions`, CHAT)).status).toBe(502);
  expect(provider.seen).toHaveLength(0);
  expect((await readEvents(localLog))[0]?.ending).toBe('not_billed');
});

test('an upstream that does not answer in time is answered 504 and its usage is unknown', async () => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream(() => undefined);
  await putUpstream(office, { base_url: provider.url, timeout_ms: 1000 });
  await putKey(office);
  const { url, localLog } = await startTestProxy({ office });
  const reply = await call(`${url}/v1/chat/completions`, CHAT);
  expect(reply.status).toBe(504);
  expect(await readEvents(localLog)).toMatchObject([{ ending: 'unknown', error_kind: 'timeout' }]);
});

test('a log that cannot take the opened record is answered 503 before anything goes upstream', async () => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => res.end(REPLY));
  await putUpstream(office, { base_url: provider.url });
  await putKey(office);
  const localLog = createMemoryEventLog('proxy-1');
  const { url } = await startTestProxy({ office, localLog });
  const failed = Promise.reject(new Error('disk full'));
  failed.catch(() => undefined);
  localLog.append = (): Appended => ({ stored: failed as Promise<never>, durable: failed });
  const reply = await call(`${url}/v1/chat/completions`, CHAT);
  expect([reply.status, JSON.parse(reply.body.toString()).error.code]).toEqual([
    503,
    'cannot_meter',
  ]);
  expect(provider.seen).toHaveLength(0);
});

test('a flush that fails is answered 503, and what was asked of the provider is still on record', async () => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => res.end(REPLY));
  await putUpstream(office, { base_url: provider.url });
  await putKey(office);
  const localLog = createMemoryEventLog('proxy-1');
  const { url } = await startTestProxy({ office, localLog });
  const append = localLog.append.bind(localLog);
  localLog.append = (entries): Appended => {
    const { stored, durable } = append(entries);
    if (entries.length > 1) return { stored, durable };
    const failed = Promise.reject(new Error('flush failed'));
    failed.catch(() => undefined);
    return { stored, durable: failed };
  };
  const reply = await call(`${url}/v1/chat/completions`, CHAT);
  expect([reply.status, JSON.parse(reply.body.toString()).error.code]).toEqual([
    503,
    'cannot_meter',
  ]);
  expect(provider.seen).toHaveLength(1);
  expect(await readEvents(localLog)).toMatchObject([{ ending: 'reported', http_status: 200 }]);
});

test('a budget blocks by signal, obeys only the greatest version, and unblocks', async () => {
  const { url, office } = await house();
  await putBudget(office);
  const post = () => call(`${url}/v1/chat/completions`, CHAT);
  const resets_at = '2999-01-01T00:00:00.000Z';
  await putSignal(office, {
    version: 5,
    state: 'block',
    spent_usd: '10.000000000000000001',
    resets_at,
  });
  const blocked = await until(async () => {
    const reply = await post();
    return reply.status === 402 ? reply : undefined;
  });
  expect(JSON.parse(blocked.body.toString()).error).toMatchObject({
    type: 'insufficient_quota',
    code: 'budget_exceeded',
    scope: 'budget/acme-month',
    limit: '10',
    spent: '10.000000000000000001',
    resets_at,
  });
  expect(blocked.headers['x-should-retry']).toBe('false');
  const anthropic = await call(`${url}/v1/messages`, MESSAGE);
  expect(anthropic.status).toBe(402);
  expect(JSON.parse(anthropic.body.toString()).error).toMatchObject({
    type: 'billing_error',
    code: 'budget_exceeded',
    spent: '10.000000000000000001',
  });
  // An older word that comes late changes nothing; the newer one opens again.
  await putSignal(office, { version: 4, state: 'clear' });
  await putSignal(office, {
    version: 6,
    state: 'warn',
    spent_usd: '8.000000000000000001',
    resets_at,
  });
  const open = await until(async () => {
    const reply = await post();
    return reply.status === 200 ? reply : undefined;
  });
  // 10 - 8.000000000000000001 = 1.999999999999999999
  expect(open.headers['x-reckoner-budget-remaining-usd']).toBe('1.999999999999999999');
  await putSignal(office, { version: 5, state: 'block' });
  const me = JSON.parse(
    (await call(`${url}/api/v1/me/budget`, null, { method: 'GET' })).body.toString(),
  );
  expect(me).toMatchObject({
    tenant: 'acme',
    budgets: [{ budget_id: 'acme-month', state: 'warn', version: 6, limit_usd: '10', resets_at }],
  });
  expect((await post()).status).toBe(200);
});

test('a key may answer a block with 429, which names when to come back', async () => {
  const { url, office } = await house({ key: { block_status: 429 } });
  await putBudget(office);
  const resets_at = new Date(Date.now() + 3_600_000).toISOString();
  await putSignal(office, { state: 'block', resets_at });
  const reply = await until(async () => {
    const answer = await call(`${url}/v1/chat/completions`, CHAT);
    return answer.status === 429 ? answer : undefined;
  });
  expect(Number(reply.headers['retry-after'])).toBeGreaterThan(3500);
  expect(reply.headers['x-should-retry']).toBe('false');
});

test('a budget the key names is closed until it is known; a window that has ended blocks nobody', async () => {
  const { url, office } = await house({ key: { budgets: ['acme-month'] } });
  const closed = await call(`${url}/v1/chat/completions`, CHAT);
  expect([closed.status, JSON.parse(closed.body.toString()).error.code]).toEqual([
    402,
    'budget_unknown',
  ]);
  await putSignal(office, { state: 'block', resets_at: '2020-01-01T00:00:00.000Z' });
  await putBudget(office);
  await until(async () => (await call(`${url}/v1/chat/completions`, CHAT)).status === 200);
});

test('model lists and token counts pass, are counted, and leave no event', async () => {
  const { url, localLog, provider, metrics } = await house();
  expect((await call(`${url}/openai/v1/models`, null, { method: 'GET' })).body.toString()).toBe(
    REPLY,
  );
  expect((await call(`${url}/anthropic/v1/messages/count_tokens`, MESSAGE)).status).toBe(200);
  expect(provider.seen.map((s) => [s.method, s.url])).toEqual([
    ['GET', '/v1/models'],
    ['POST', '/v1/messages/count_tokens'],
  ]);
  expect(provider.seen[1]?.headers['x-api-key']).toBe('upstream-secret');
  expect(await readEvents(localLog)).toEqual([]);
  expect(await metrics.render()).toContain('reckoner_proxy_not_metered_total{service="proxy"} 2');
});

test.each([
  ['GET', '/openai/v1/files?limit=100'],
  ['GET', '/openai/v1/chat/completions'],
  ['GET', '/openai/v1/batches'],
  ['GET', '/openai/v1/vector_stores/'],
  ['GET', '/openai/v1/fine_tuning/jobs'],
  ['GET', '/openai/v1/organization/projects/proj_1a2b3c4d'],
  ['POST', '/openai/v1/organization/admin_api_keys'],
])(
  '%s %s shows what other tenants put into the shared account, and is answered 403',
  async (method, path) => {
    const { url, provider } = await house();
    const answer = await call(url + path, method === 'POST' ? '{}' : null, { method });
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body.toString()).error.code).toBe('account_wide');
    expect(provider.seen).toEqual([]);
  },
);

test('a file is read by its id', async () => {
  const { url } = await house();
  const path = '/openai/v1/files/file-8Hk2mN4pQrStUvWx/content';
  expect((await call(url + path, null, { method: 'GET' })).body.toString()).toBe(REPLY);
});

test('livez, readyz and metrics answer without a key', async () => {
  const { url } = await house();
  for (const path of ['/livez', '/readyz', '/metrics']) {
    expect((await call(url + path, null, { method: 'GET' })).status).toBe(200);
  }
});
