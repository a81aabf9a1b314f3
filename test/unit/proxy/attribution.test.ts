import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualKeySchema } from '../../../schemas/control-record.ts';
import { DimensionsSchema, TagsSchema } from '../../../schemas/usage-event.ts';
import {
  attribute,
  requiredMessage,
  unattributed,
} from '../../../services/proxy/core/dimensions.ts';
import { presentedKey } from '../../../services/proxy/core/headers.ts';

const key = (over: object = {}) =>
  VirtualKeySchema.parse({
    id: 'k',
    tenant: 'acme',
    public_id: 'a'.repeat(12),
    secret_hash: '0'.repeat(64),
    ...over,
  });
const KEY = key();
const said = (headers: Record<string, string>, body: Record<string, unknown> | null = null) => {
  const attribution = attribute(KEY, headers, body);
  if (!attribution.ok) throw new Error(attribution.problem);
  const { dimensions, tags, dropped } = attribution;
  const { tenant, ...rest } = dimensions;
  expect(tenant).toBe('acme');
  return { ...rest, tags, ...(dropped ? { dropped } : {}) };
};

const SESSION = '0d2c1f3e-0000-4000-8000-000000000001';

describe("other gateways' headers", () => {
  test.each([
    [
      'Portkey',
      {
        'x-portkey-metadata':
          '{"_user":"u1","environment":"prod","team":"red","plan":"gold","seats":4}',
        'x-portkey-trace-id': 't-1',
      },
      { user: 'u1', env: 'prod', team: 'red', tags: { plan: 'gold', seats: '4', trace_id: 't-1' } },
    ],
    [
      'Helicone',
      {
        'helicone-user-id': 'u1',
        'helicone-session-id': 's1',
        'helicone-session-path': '/abstract/outline',
        'helicone-property-team': 'red',
        'helicone-property-plan': 'gold',
      },
      {
        user: 'u1',
        session: 's1',
        team: 'red',
        tags: { session_path: '/abstract/outline', plan: 'gold' },
      },
    ],
    [
      'Cloudflare AI Gateway',
      { 'cf-aig-metadata': '{"user_id":7,"beta":true}', 'cf-aig-custom-cost': '{"total_cost":0}' },
      { user: '7', tags: { beta: 'true' } },
    ],
    [
      'LiteLLM',
      {
        'x-litellm-customer-id': 'c1',
        'x-litellm-tags': 'harness,job:42,team:red',
        'x-litellm-spend-logs-metadata': '{"project_id":"p1"}',
      },
      { user: 'c1', team: 'red', tags: { harness: 'true', job: '42', project_id: 'p1' } },
    ],
    [
      'TrueFoundry',
      { 'x-tfy-metadata': '{"application":"shop","Cost-Center":"42"}' },
      { application: 'shop', cost_center: '42', tags: {} },
    ],
    ['Future AGI', { 'x-fagi-feature': 'chat' }, { feature: 'chat', tags: {} }],
    [
      'OpenRouter',
      { 'http-referer': 'https://cline.bot/x?y=1' },
      { application: 'cline.bot', tags: {} },
    ],
    [
      'OpenRouter with a title',
      { 'http-referer': 'https://cline.bot', 'x-title': 'Cline' },
      { application: 'Cline', tags: {} },
    ],
    [
      'W3C baggage',
      { baggage: 'session.id=s%201;ttl=3, userId=u1 ,sentry-release=9,team=red' },
      { session: 's 1', user: 'u1', team: 'red', tags: {} },
    ],
  ])('%s', (_name, headers, expected) => {
    expect(said(headers)).toEqual(expected);
  });
});

describe('coding agents', () => {
  test.each([
    [
      'Claude Code',
      {
        'x-claude-code-session-id': SESSION,
        'x-claude-code-agent-id': 'reviewer-1',
        'x-claude-code-parent-agent-id': 'lead-1',
      },
      { session: SESSION, agent: 'reviewer-1', tags: { parent_agent: 'lead-1' } },
    ],
    [
      'Codex',
      { originator: 'codex_cli_rs', session_id: SESSION, 'x-openai-subagent': 'review' },
      { application: 'codex_cli_rs', session: SESSION, agent: 'review', tags: {} },
    ],
    ['opencode', { 'x-opencode-session': 'ses_1' }, { session: 'ses_1', tags: {} }],
  ])('%s says its session by itself', (_name, headers, expected) => {
    expect(said(headers)).toEqual(expected);
  });

  test('Claude Code packs account, device and session into one field of the body, in an old way and a new', () => {
    const account = '9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d';
    const old = `user_${'ab'.repeat(32)}_account_${account}_session_${SESSION}`;
    const now = JSON.stringify({ device_id: 'ab', account_uuid: account, session_id: SESSION });
    for (const user_id of [old, now]) {
      expect(said({}, { metadata: { user_id } })).toEqual({
        user: account,
        session: SESSION,
        tags: {},
      });
    }
  });
});

describe('precedence', () => {
  const foreign = { 'x-portkey-metadata': '{"_user":"portkey","team":"portkey","plan":"p"}' };
  const body = { user: 'body' };

  test('the body speaks where no header does', () => {
    expect(said({}, body)).toEqual({ user: 'body', tags: {} });
    expect(said(foreign, body)).toMatchObject({ user: 'portkey' });
  });

  test('of the body, `user` goes before `metadata.user_id` and that before `safety_identifier`', () => {
    const all = { safety_identifier: 'c', metadata: { user_id: 'b' }, user: 'a' };
    expect(said({}, all)).toMatchObject({ user: 'a' });
    expect(said({}, { ...all, user: undefined })).toMatchObject({ user: 'b' });
    expect(said({}, { safety_identifier: 'c' })).toMatchObject({ user: 'c' });
  });

  test('our own headers go before other gateways’, and what the key binds goes before all', () => {
    const own = { 'x-reckoner-user': 'own', 'x-reckoner-tags': 'plan=own' };
    expect(said({ ...foreign, ...own }, body)).toMatchObject({
      user: 'own',
      tags: { plan: 'own' },
    });
    const bound = attribute(key({ bind: { user: 'bound', plan: 'bound' } }), {
      ...foreign,
      ...own,
    });
    expect(bound).toMatchObject({
      ok: true,
      dimensions: { user: 'bound', team: 'portkey' },
      tags: { plan: 'bound' },
    });
  });

  test('a gateway’s header goes before what an agent sends by itself', () => {
    const headers = { 'helicone-session-id': 'set', 'x-claude-code-session-id': 'own' };
    expect(said(headers)).toMatchObject({ session: 'set' });
  });

  test('no header sets the tenant; one that names another is ignored and counted', () => {
    expect(said({ 'x-fagi-tenant': 'globex' })).toEqual({ tags: {}, dropped: ['future_agi'] });
    expect(said({ 'x-fagi-tenant': 'acme' })).toEqual({ tags: {} });
    expect(said({ baggage: 'tenant=globex' })).toEqual({ tags: {}, dropped: ['baggage'] });
    expect(said({ 'x-tfy-metadata': '{"tenant_id":"globex"}' })).toEqual({
      tags: {},
      dropped: ['truefoundry'],
    });
  });
});

describe('what cannot be kept', () => {
  test.each([
    ['metadata that is no JSON', { 'x-portkey-metadata': 'a=b' }, ['portkey']],
    ['metadata that is a list', { 'cf-aig-metadata': '[1]' }, ['cloudflare']],
    ['a value that is an object', { 'x-tfy-metadata': '{"a":{"b":1}}' }, ['truefoundry']],
    ['a value of 129 characters', { 'helicone-user-id': 'u'.repeat(129) }, ['helicone']],
    ['a name of 65 characters', { [`helicone-property-${'n'.repeat(65)}`]: 'x' }, ['helicone']],
    ['a broken escape', { baggage: 'user=%zz' }, ['baggage']],
    ['a referer that is no address', { 'http-referer': 'nonsense' }, ['openrouter']],
  ])('%s is left out and counted, and refuses nothing', (_name, headers, dropped) => {
    expect(said(headers as Record<string, string>)).toEqual({ tags: {}, dropped });
  });

  test('tags beyond the sixteenth are left out; our own have their places first', () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`t${n}`, 'x']));
    const { tags, dropped } = said({
      'x-tfy-metadata': JSON.stringify(many),
      'x-reckoner-tags': 'mine=1,yours=2',
    });
    expect(Object.keys(tags)).toHaveLength(16);
    expect(tags).toMatchObject({ mine: '1', yours: '2' });
    expect(dropped).toEqual(['tags', 'tags', 'tags', 'tags', 'tags', 'tags']);
  });

  test('whatever foreign headers and a body hold, the call goes on with valid dimensions and tags', () => {
    const header = fc.constantFrom(
      'x-portkey-metadata',
      'cf-aig-metadata',
      'x-litellm-tags',
      'x-tfy-metadata',
      'baggage',
      'helicone-user-id',
      'helicone-property-__proto__',
      'http-referer',
      'x-claude-code-session-id',
    );
    const value = fc.oneof(fc.string({ unit: 'binary' }), fc.json(), fc.string({ maxLength: 300 }));
    fc.assert(
      fc.property(
        fc.dictionary(header, value),
        fc.object({ maxDepth: 1, maxKeys: 4 }),
        (headers, body) => {
          const { tags, dropped: _dropped, ...dimensions } = said(headers, body);
          DimensionsSchema.parse({ ...dimensions, tenant: 'acme' });
          TagsSchema.parse(tags);
        },
      ),
    );
  });
});

describe('required dimensions', () => {
  const refuse = {
    dimensions: ['team', 'user'] as ('team' | 'user')[],
    otherwise: 'refuse' as const,
  };
  const pass = {
    dimensions: ['feature', 'team'] as ('feature' | 'team')[],
    otherwise: 'pass' as const,
  };

  test('what tenant and key require adds up, and refusing is the stricter', () => {
    expect(unattributed([pass, refuse], { tenant: 'acme' })).toEqual({
      refused: ['team', 'user'],
      passed: ['feature'],
    });
    expect(unattributed([pass, refuse], { tenant: 'acme', team: 'red', user: 'u' })).toEqual({
      refused: [],
      passed: ['feature'],
    });
    expect(unattributed([undefined, undefined], { tenant: 'acme' })).toEqual({
      refused: [],
      passed: [],
    });
  });

  test('the message names what is missing and the headers that set it', () => {
    expect(requiredMessage(['cost_center', 'user'])).toBe(
      "This key's calls must say for whom they are made; missing: cost_center, user. Send x-reckoner-cost-center, x-reckoner-user, or have the key bound to them.",
    );
  });
});

test.each(['x-bf-vk', 'x-portkey-virtual-key', 'x-portkey-api-key', 'helicone-auth', 'x-api-key'])(
  'a virtual key may come in %s; another gateway’s own key is none',
  (name) => {
    expect(presentedKey({ [name]: 'Bearer rk_abc' })).toBe('rk_abc');
    expect(presentedKey({ [name]: 'pk-123' })).toBeNull();
  },
);
