import { describe, expect, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { hashSecret } from '../../services/platform/virtual-key.ts';
import { onlyEvent, startClientsHouse } from './proxy-clients-house.ts';
import {
  call,
  KEY,
  PEPPER,
  putBudget,
  putKey,
  putRecord,
  putSignal,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
  until,
} from './proxy-harness.ts';

const CHAT = '{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}';
const REPLY =
  '{"model":"gpt-4o","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}';
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

const house = async (options: { key?: object; tenant?: object; upstream?: object } = {}) => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, {
      'content-type': 'application/json',
      'set-cookie': ['__cf_bm=secret; Domain=provider.example', 'b=c'],
      'x-request-id': 'req_provider_1',
      'anthropic-ratelimit-requests-remaining': '9',
      'keep-alive': 'timeout=5',
    });
    res.end(REPLY);
  });
  for (const id of ['openai', 'anthropic']) {
    await putUpstream(office, {
      id,
      dialect: id,
      base_url: provider.url,
      models: [],
      ...options.upstream,
    });
  }
  if (options.tenant) {
    await putRecord(office, { kind: 'tenant', body: { id: 'acme', ...options.tenant } });
  }
  await putKey(office, { feature: undefined, ...options.key });
  return { office, provider, ...(await startTestProxy({ office })) };
};

/** Everything a caller's tools, proxies and browsers add. None of it is a provider's business. */
const STAYS_HERE: Record<string, string> = {
  'x-reckoner-user': 'canary',
  'x-reckoner-tags': 'a=canary',
  'x-reckoner-key': KEY,
  'x-portkey-metadata': '{"_user":"canary"}',
  'x-portkey-trace-id': 'canary',
  'x-portkey-api-key': 'canary',
  'x-portkey-virtual-key': 'canary',
  'x-portkey-config': 'canary',
  'x-portkey-custom-host': 'canary',
  'helicone-auth': 'Bearer canary',
  'helicone-user-id': 'canary',
  'helicone-session-id': 'canary',
  'helicone-property-plan': 'canary',
  'cf-aig-metadata': '{"a":"canary"}',
  'cf-aig-custom-cost': 'canary',
  'cf-aig-authorization': 'Bearer canary',
  'cf-access-client-secret': 'canary',
  'x-litellm-api-key': 'canary',
  'x-litellm-tags': 'canary',
  'x-litellm-end-user-id': 'canary',
  'x-litellm-spend-logs-metadata': '{"a":"canary"}',
  'x-tfy-metadata': '{"a":"canary"}',
  'x-fagi-tenant': 'canary',
  'x-bf-vk': 'canary',
  'http-referer': 'https://canary.example',
  referer: 'https://canary.example',
  origin: 'https://canary.example',
  'x-title': 'canary',
  'x-claude-code-session-id': 'canary',
  'x-claude-code-agent-id': 'canary',
  session_id: 'canary',
  conversation_id: 'canary',
  originator: 'canary',
  'x-opencode-session': 'canary',
  baggage: 'user=canary',
  cookie: 'session=canary',
  forwarded: 'for=canary',
  'x-forwarded-for': '203.0.113.7, canary',
  'x-forwarded-host': 'canary',
  'x-forwarded-proto': 'canary',
  'x-real-ip': 'canary',
  via: '1.1 canary',
  'x-api-key': 'canary',
  'api-key': 'canary',
  'x-goog-api-key': 'canary',
  'openai-organization': 'canary',
  'openai-project': 'canary',
  'x-amz-security-token': 'canary',
  'proxy-authorization': 'Basic canary',
  te: 'canary',
  'keep-alive': 'timeout=canary',
  'proxy-connection': 'canary',
  'x-anything': 'canary',
  'accept-encoding': 'canary',
};

describe('headers', () => {
  test.each(['openai', 'anthropic'])(
    'nothing of the caller’s but what a provider reads travels to %s',
    async (id) => {
      const { provider, url } = await house();
      const reads = {
        'anthropic-beta': 'prompt-caching-2024-07-31,context-1m-2025-08-07',
        'anthropic-version': '2023-06-01',
        'openai-beta': 'assistants=v2',
        'idempotency-key': 'i-1',
        'x-stainless-lang': 'js',
        'user-agent': 'claude-cli/2.1.139 (external, cli)',
        traceparent: TRACE,
        tracestate: 'a=b',
      };
      const path = id === 'openai' ? '/v1/chat/completions' : '/v1/messages';
      const headers = { ...STAYS_HERE, ...reads };
      const reply = await call(`${url}/${id}${path}`, CHAT, { headers });
      expect(reply.status).toBe(200);
      const [seen] = provider.seen;
      const {
        host: _host,
        connection: _connection,
        'content-length': _length,
        ...sent
      } = seen?.headers ?? {};
      expect(sent).toEqual({
        ...reads,
        'accept-encoding': 'identity',
        'content-type': 'application/json',
        ...(id === 'openai'
          ? { authorization: 'Bearer upstream-secret' }
          : { 'x-api-key': 'upstream-secret' }),
      });
    },
  );

  test('of the answer the provider’s cookies stay here, its limits reach the caller', async () => {
    const { url } = await house();
    const { headers } = await call(`${url}/openai/v1/chat/completions`, CHAT);
    expect(headers['set-cookie']).toBeUndefined();
    expect(headers).toMatchObject({
      'x-request-id': 'req_provider_1',
      'anthropic-ratelimit-requests-remaining': '9',
    });
  });

  test('trace and the provider’s request id are in the event; the trace goes upstream as it came', async () => {
    const { provider, url, localLog } = await house();
    await call(`${url}/openai/v1/chat/completions`, CHAT, { headers: { traceparent: TRACE } });
    const [event] = await readEvents(localLog);
    expect(event).toMatchObject({ traceparent: TRACE, provider_request_id: 'req_provider_1' });
    expect(provider.seen[0]?.headers['traceparent']).toBe(TRACE);
  });

  test('a caller’s own OAuth token stays here: the key comes beside it, the house’s credential goes', async () => {
    const { provider, url, localLog } = await house();
    const headers = { authorization: 'Bearer sk-ant-oat01-canary', 'x-reckoner-key': KEY };
    const reply = await call(`${url}/anthropic/v1/messages`, CHAT, { headers });
    expect(reply.status).toBe(200);
    expect(JSON.stringify(provider.seen[0]?.headers)).not.toContain('canary');
    expect(provider.seen[0]?.headers['x-api-key']).toBe('upstream-secret');
    expect((await readEvents(localLog))[0]).toMatchObject({ byo_key: false, key_id: 'acme-key' });
  });

  test('a credential in the address stays here, the rest of the query goes', async () => {
    const { provider, url } = await house();
    const query =
      '?key=canary&api-version=1&access_token=canary&api%2Dkey=canary&X-Amz-Signature=canary&alt=sse';
    await call(`${url}/openai/v1/chat/completions${query}`, CHAT);
    expect(provider.seen[0]?.url).toBe('/v1/chat/completions?api-version=1&alt=sse');
  });
});

test('case 27 · a client that re-uses its own request ids overwrites nobody’s event, not its own and not another tenant’s', async () => {
  const { office, url, localLog } = await house();
  await putKey(office, {
    id: 'globex-key',
    tenant: 'globex',
    public_id: 'b'.repeat(12),
    secret_hash: hashSecret('t'.repeat(32), PEPPER),
  });
  const headers = {
    'x-request-id': 'mine',
    'x-client-request-id': 'mine',
    'x-reckoner-request-id': '01900000-0000-7000-8000-000000000000',
    'idempotency-key': 'mine',
    'x-portkey-trace-id': 'mine',
    'helicone-request-id': '01900000-0000-7000-8000-000000000000',
    'cf-aig-event-id': 'mine',
    'x-litellm-call-id': 'mine',
    traceparent: TRACE,
  };
  const globex = `rk_${'b'.repeat(12)}_${'t'.repeat(32)}`;
  const ids: unknown[] = [];
  for (const key of [KEY, globex, KEY, globex]) {
    for (let tries = 0; ; tries += 1) {
      const reply = await call(`${url}/openai/v1/chat/completions`, CHAT, {
        headers: { ...headers, authorization: `Bearer ${key}` },
      });
      // The second key's record may still be on its way to the proxy.
      if (reply.status === 401 && tries < 100) continue;
      expect(reply.status).toBe(200);
      ids.push(reply.headers['x-reckoner-request-id']);
      break;
    }
  }
  const events = await readEvents(localLog);
  expect(events.map((event) => event.dimensions.tenant)).toEqual([
    'acme',
    'globex',
    'acme',
    'globex',
  ]);
  for (const id of ['event_id', 'request_id', 'attempt_id'] as const) {
    expect(new Set(events.map((event) => event[id])).size).toBe(4);
  }
  expect(events.map((event) => event.request_id)).toEqual(ids);
  expect(JSON.stringify(ids)).not.toContain('01900000-0000-7000');
});

describe('required dimensions', () => {
  const require = (otherwise: string, ...dimensions: string[]) => ({
    require: { dimensions, otherwise },
  });

  test('what tenant or key insist on is answered 400 in the caller’s dialect, and nothing is sent', async () => {
    const { provider, url, localLog } = await house({
      tenant: require('refuse', 'team'),
      key: require('refuse', 'user'),
    });
    const openai = await call(`${url}/openai/v1/chat/completions`, CHAT);
    expect(openai.status).toBe(400);
    expect(JSON.parse(openai.body.toString()).error).toMatchObject({
      code: 'dimension_required',
      type: 'invalid_request_error',
      message: expect.stringContaining(
        'missing: team, user. Send x-reckoner-team, x-reckoner-user',
      ),
    });
    const anthropic = await call(`${url}/anthropic/v1/messages`, CHAT, {
      headers: { 'x-reckoner-team': 'red' },
    });
    expect(anthropic.status).toBe(400);
    expect(JSON.parse(anthropic.body.toString())).toMatchObject({
      type: 'error',
      error: { type: 'invalid_request_error', message: expect.stringContaining('missing: user.') },
    });
    expect(provider.seen).toEqual([]);
    expect(await readEvents(localLog)).toEqual([]);
  });

  test('another gateway’s header or the body is as good as our own', async () => {
    const { url } = await house({ key: require('refuse', 'team', 'user') });
    const headers = { 'x-portkey-metadata': '{"team":"red"}' };
    const body = JSON.stringify({ ...JSON.parse(CHAT), user: 'u-1' });
    const reply = await call(`${url}/openai/v1/chat/completions`, body, { headers });
    expect(reply.status).toBe(200);
  });

  test('a call that is let through is counted, and its event has no such dimension', async () => {
    const { url, localLog, metrics } = await house({ tenant: require('pass', 'team') });
    expect((await call(`${url}/openai/v1/chat/completions`, CHAT)).status).toBe(200);
    const [event] = await readEvents(localLog);
    expect(event?.dimensions).toEqual({ tenant: 'acme' });
    expect(await metrics.render()).toMatch(
      /proxy_unattributed_calls_total\{[^}]*dimension="team"[^}]*\} 1/,
    );
  });

  test('what no provider bills needs none', async () => {
    const { url } = await house({ key: require('refuse', 'team') });
    expect((await call(`${url}/openai/v1/models`, null, { method: 'GET' })).status).toBe(200);
  });
});

test('metadata of another gateway that cannot be read refuses nothing and is counted', async () => {
  const { url, metrics } = await house();
  const headers = { 'x-portkey-metadata': 'no json', 'helicone-user-id': 'u'.repeat(200) };
  expect((await call(`${url}/openai/v1/chat/completions`, CHAT, { headers })).status).toBe(200);
  const said = await metrics.render();
  expect(said).toMatch(/proxy_attribution_dropped_total\{[^}]*source="portkey"[^}]*\} 1/);
  expect(said).toMatch(/proxy_attribution_dropped_total\{[^}]*source="helicone"[^}]*\} 1/);
});

test('case 65 · a coding agent’s call on the native route is an event with its session and agent', async () => {
  const sandboxed = await startClientsHouse();
  const session = '0d2c1f3e-0000-4000-8000-000000000001';
  const account = '9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d';
  const cached = { cache_control: { type: 'ephemeral', ttl: '1h' } };
  const body = JSON.stringify({
    model: 'claude-sonnet-4-5',
    max_tokens: 64_000,
    stream: true,
    system: [
      { type: 'text', text: 'You are a coding agent.' },
      { type: 'text', text: 'The house rules, at length.', ...cached },
    ],
    tools: [
      {
        name: 'Bash',
        description: 'Runs a command.',
        input_schema: { type: 'object', properties: { command: { type: 'string' } } },
        ...cached,
      },
    ],
    metadata: {
      user_id: JSON.stringify({ device_id: 'ab', account_uuid: account, session_id: session }),
    },
    messages: [
      {
        role: 'user',
        // 9,000 tokens of prompt: 5,000 read from the cache, 3,000 written for an hour, 1,000 plain.
        content: [
          {
            type: 'text',
            text: '[[sandbox input=9000 cached=5000 write1h=3000 output=70 chunks=6]]',
            ...cached,
          },
        ],
      },
    ],
  });
  const reply = await call(`${sandboxed.url}/anthropic/v1/messages?beta=true`, body, {
    headers: {
      authorization: `Bearer ${KEY}`,
      'anthropic-beta': 'claude-code-20250219,extended-cache-ttl-2025-04-11',
      'anthropic-version': '2023-06-01',
      'user-agent': 'claude-cli/2.1.139 (external, cli)',
      'x-app': 'cli',
      'x-claude-code-session-id': session,
      'x-claude-code-agent-id': 'reviewer-1',
    },
  });
  expect(reply.status).toBe(200);
  expect(reply.body.toString()).toContain('"ephemeral_1h_input_tokens":3000');
  expect(await onlyEvent(sandboxed)).toMatchObject({
    flavour: 'anthropic.messages',
    streamed: true,
    classes: {
      input_uncached: '1000',
      cache_read: '5000',
      cache_write_1h: '3000',
      output_text: '70',
    },
    dimensions: { tenant: 'acme', feature: 'chat', session, agent: 'reviewer-1', user: account },
  });
});

test('case 65 · and is blocked at its budget like any other route, in words its client reads', async () => {
  const { office, provider, url } = await house({ key: { budgets: ['acme-month'] } });
  await putBudget(office);
  await putSignal(office, { state: 'block', spent_usd: '10' });
  const ask = () => call(`${url}/anthropic/v1/messages`, CHAT);
  await until(async () => {
    const own = await call(`${url}/api/v1/me/budget`, null, { method: 'GET' });
    return own.body.includes('"state":"block"');
  });
  const reply = await ask();
  expect(reply.status).toBe(402);
  expect(JSON.parse(reply.body.toString())).toMatchObject({
    type: 'error',
    error: { type: 'billing_error', code: 'budget_exceeded', scope: 'budget/acme-month' },
  });
  expect(reply.headers['x-should-retry']).toBe('false');
  expect(provider.seen).toEqual([]);
});
