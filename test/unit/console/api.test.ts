import { expect, test } from 'vitest';
import { TOPICS } from '../../../schemas/topics.ts';
import { findVirtualKey } from '../../../services/platform/virtual-key.ts';
import { openConsole, TOKEN } from './console-fakes.ts';

const ROUTES = [
  ['GET', '/api/v1/spend'],
  ['GET', '/api/v1/totals'],
  ['GET', '/api/v1/periods'],
  ['GET', '/api/v1/budgets'],
  ['POST', '/api/v1/records'],
  ['GET', '/api/v1/keys'],
  ['POST', '/api/v1/keys'],
  ['DELETE', '/api/v1/keys/some-key'],
  ['POST', '/api/v1/sql'],
  ['POST', '/api/v1/statements?provider=openai'],
  ['POST', '/api/v1/reconcile'],
  ['POST', '/api/v1/billing/plan'],
  ['POST', '/api/v1/billing/push'],
  ['POST', '/api/v1/billing/verify'],
  ['POST', '/api/v1/rerate'],
  ['GET', '/api/v1/periods/states'],
  ['POST', '/api/v1/periods/close'],
  ['POST', '/api/v1/periods/reopen'],
] as const;

const login = async (url: string, token: string) =>
  fetch(`${url}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token }),
  });

test('every route of the API answers 401 without a token, with a wrong one, and with a made-up session', async () => {
  const { call, asked } = await openConsole();
  for (const [method, path] of ROUTES) {
    for (const headers of [
      { authorization: '' },
      { authorization: 'Bearer wrong' },
      { authorization: `Bearer ${TOKEN}x` },
      { authorization: '', cookie: 'reckoner_session=guess' },
    ]) {
      const answer = await call(method, path, { headers });
      expect([method, path, answer.status]).toEqual([method, path, 401]);
      expect(answer.headers.get('content-type')).toContain('application/problem+json');
      expect(answer.headers.get('www-authenticate')).toContain('Bearer');
      expect(await answer.json()).toMatchObject({
        type: 'urn:reckoner:problem:not-authorised',
        title: 'Not authorised',
        status: 401,
        errors: [],
      });
    }
  }
  expect(asked).toEqual([]);
});

test('a session of the page may read and may not change anything', async () => {
  const { call, url } = await openConsole();
  const answer = await login(url, TOKEN);
  expect(answer.status).toBe(204);
  const setCookie = answer.headers.get('set-cookie') ?? '';
  expect(setCookie).toContain('HttpOnly');
  expect(setCookie).toContain('SameSite=Strict');
  const headers = { authorization: '', cookie: setCookie.split(';')[0] ?? '' };
  expect((await call('GET', '/api/v1/spend', { headers })).status).toBe(200);
  for (const [method, path] of ROUTES.filter(([verb]) => verb !== 'GET')) {
    expect([path, (await call(method, path, { headers })).status]).toEqual([path, 401]);
  }
  await fetch(`${url}/logout`, { method: 'POST', headers: { cookie: headers.cookie } });
  expect((await call('GET', '/api/v1/spend', { headers })).status).toBe(401);
});

test('ten refused logins within a minute close the door for the rest of it, even to the right token', async () => {
  const { url } = await openConsole();
  for (let at = 0; at < 10; at += 1) expect((await login(url, 'guess')).status).toBe(401);
  const closed = await login(url, TOKEN);
  expect(closed.status).toBe(429);
  expect(closed.headers.get('retry-after')).toMatch(/^\d+$/);
});

test.each([
  ['GET /api/v1/spend?by=colour', undefined, '/by/0'],
  ['GET /api/v1/spend?period=november', undefined, '/period'],
  ["GET /api/v1/spend?tenant=a'b", undefined, '/tenant'],
  ['POST /api/v1/billing/push', { period: '2026-11', yes: 'yes' }, '/yes'],
  ['POST /api/v1/records', { tenants: [{ id: '-' }] }, '/tenants/0/id'],
  ['POST /api/v1/sql', {}, '/sql'],
])('%s with what is wrong answers 400 with the place', async (route, body, pointer) => {
  const { call } = await openConsole();
  const [method = '', path = ''] = route.split(' ');
  const answer = await call(method, path, body === undefined ? {} : { body });
  expect(answer.status).toBe(400);
  const problem = (await answer.json()) as { type: string; errors: { pointer: string }[] };
  expect(problem.type).toBe('urn:reckoner:problem:request-invalid');
  expect(problem.errors.map((error) => error.pointer)).toContain(pointer);
});

test('malformed JSON, a body too large, an unknown address and a refused statement are problems of their own', async () => {
  const { call } = await openConsole();
  const json = { 'content-type': 'application/json' };
  const broken = await call('POST', '/api/v1/sql', { body: '{"sql":', headers: json });
  expect(broken.status).toBe(400);
  const large = await call('POST', '/api/v1/sql', { body: { sql: 'x'.repeat(2_000_000) } });
  expect(await large.json()).toMatchObject({
    status: 413,
    type: 'urn:reckoner:problem:body-too-large',
  });
  expect(await (await call('GET', '/nothing')).json()).toMatchObject({ status: 404 });
  const refused = await call('POST', '/api/v1/sql', { body: { sql: 'DROP TABLE usage' } });
  expect(await refused.json()).toMatchObject({
    status: 400,
    type: 'urn:reckoner:problem:sql-refused',
  });
});

test('a failure inside says nothing of its cause', async () => {
  const { call } = await openConsole({
    budgets: () => {
      throw new Error('secret canary');
    },
  });
  const answer = await call('GET', '/api/v1/budgets');
  const text = await answer.text();
  expect(answer.status).toBe(500);
  expect(text).not.toContain('canary');
  expect(text).not.toContain('.ts');
});

test('a push is a dry run unless the body says yes', async () => {
  const { call, asked } = await openConsole();
  await call('POST', '/api/v1/billing/push', { body: { period: '2026-11' } });
  await call('POST', '/api/v1/billing/push', { body: { period: '2026-11', yes: true } });
  await call('POST', '/api/v1/billing/plan', {
    body: { period: '2026-11', destination: 'chargebee' },
  });
  expect(asked).toEqual([
    { what: 'push', request: { period: '2026-11', yes: false } },
    { what: 'push', request: { period: '2026-11', yes: true } },
    { what: 'planChargebee', request: { period: '2026-11' } },
  ]);
});

test('a statement reaches the reconciler as it was sent', async () => {
  const { call, asked } = await openConsole();
  const csv = 'start_time,amount\r\n2026-11-01,"1,5"\r\n';
  const headers = { 'content-type': 'text/csv' };
  await call('POST', '/api/v1/statements?provider=openai&file=october.csv', { body: csv, headers });
  expect(asked).toEqual([
    { what: 'importStatement', request: { provider: 'openai', csv, fileName: 'october.csv' } },
  ]);
});

test('applying records twice changes something once, and all wrong references come in one answer', async () => {
  const { call, log } = await openConsole();
  const body = {
    tenants: [{ id: 'acme' }],
    keys: [
      { id: 'acme-key', tenant: 'acme', secret: { env: 'ACME_KEY' }, budgets: ['acme-month'] },
    ],
    budgets: [{ id: 'acme-month', tenant: 'acme', limit_usd: '20' }],
    mappings: [
      { id: 'm', destination: 'stripe', tenant: 'acme', customer: 'cus_1', event_name: 'llm' },
    ],
  };
  const first = await (await call('POST', '/api/v1/records', { body })).json();
  expect(first).toEqual({
    changed: ['tenant/acme', 'budget/acme-month', 'key/acme-key', 'mapping/m'],
  });
  const written = await log.ranges(TOPICS.controlRecords.name);
  expect(await (await call('POST', '/api/v1/records', { body })).json()).toEqual({ changed: [] });
  expect(await log.ranges(TOPICS.controlRecords.name)).toEqual(written);
  const wrong = {
    keys: [{ id: 'k', tenant: 'nobody', secret: { env: 'K' }, budgets: ['nothing'] }],
    budgets: [{ id: 'b', tenant: 'nobody', limit_usd: '1' }],
  };
  const refused = (await (await call('POST', '/api/v1/records', { body: wrong })).json()) as {
    detail: string;
  };
  expect(refused.detail).toContain('key k names tenant nobody');
  expect(refused.detail).toContain('key k names budget nothing');
  expect(refused.detail).toContain('budget b names tenant nobody');
  expect(refused.detail).toContain('keys acme-key and k are the same secret');
});

test('a new key is shown once, opens the door, and is shut by revoking; applying its declaration again does not reopen it', async () => {
  const { call, control } = await openConsole();
  await call('POST', '/api/v1/records', { body: { tenants: [{ id: 'acme' }] } });
  const made = await call('POST', '/api/v1/keys', {
    body: { id: 'k1', tenant: 'acme', feature: 'chat' },
  });
  expect(made.status).toBe(201);
  const { key } = (await made.json()) as { key: string };
  const find = () => findVirtualKey(key, control.state.keysByPublicId, 'pepper');
  expect(find()).toMatchObject({ id: 'k1', tenant: 'acme', feature: 'chat', revoked: false });
  const listed = await (await call('GET', '/api/v1/keys')).text();
  expect(listed).toContain('"k1"');
  expect(listed).not.toContain('secret_hash');
  expect(listed).not.toContain(key);
  expect((await call('POST', '/api/v1/keys', { body: { id: 'k1', tenant: 'acme' } })).status).toBe(
    409,
  );
  expect(
    (await call('POST', '/api/v1/keys', { body: { id: 'k2', tenant: 'nobody' } })).status,
  ).toBe(400);

  expect((await call('DELETE', '/api/v1/keys/k1')).status).toBe(200);
  expect(find()?.revoked).toBe(true);
  expect((await call('DELETE', '/api/v1/keys/k9')).status).toBe(404);

  const declared = { keys: [{ id: 'declared', tenant: 'acme', secret: { env: 'K' } }] };
  await call('POST', '/api/v1/records', { body: declared });
  await call('DELETE', '/api/v1/keys/declared');
  expect(await (await call('POST', '/api/v1/records', { body: declared })).json()).toEqual({
    changed: [],
  });
  expect(control.state.keys.get('declared')?.revoked).toBe(true);
});

test('health needs no token, and readiness says what is missing', async () => {
  const { url } = await openConsole();
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  const ready = await fetch(`${url}/readyz`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toEqual({
    status: 'not_ready',
    checks: [{ name: 'warehouse', ok: false }],
  });
  expect(await (await fetch(`${url}/metrics`)).text()).toContain(
    'reckoner_console_http_requests_total',
  );
});

test('the page is served under a policy that allows no inline script or style and no other host', async () => {
  const { url } = await openConsole();
  const page = await fetch(url);
  const html = await page.text();
  const policy = page.headers.get('content-security-policy') ?? '';
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toContain('unsafe');
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/);
  expect(html).not.toMatch(/<style|\sstyle=/);
  const [, asset = ''] = /src="(\/assets\/[^"]+)"/.exec(html) ?? [];
  const script = await fetch(`${url}${asset}`);
  expect(await script.text()).not.toMatch(/lineNumber|\.tsx/);
  expect(script.headers.get('cache-control')).toContain('immutable');
  expect(page.headers.get('cache-control')).toBe('no-cache');
});
