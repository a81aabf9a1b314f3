import { describe, expect, test } from 'vitest';
import { UpstreamSchema, VirtualKeySchema } from '../../../schemas/control-record.ts';
import { ENVELOPES } from '../../../schemas/envelope.ts';
import type { AttemptRecord } from '../../../schemas/usage-event.ts';
import { UsageEventSchema } from '../../../schemas/usage-event.ts';
import { isNewer } from '../../../services/proxy/core/admission.ts';
import type { Outcome } from '../../../services/proxy/core/close-attempt.ts';
import { closeAttempt, recoverAttempt } from '../../../services/proxy/core/close-attempt.ts';
import { attribute } from '../../../services/proxy/core/dimensions.ts';
import type { Statement } from '../../../services/proxy/core/flavour.ts';
import {
  clientHeaders,
  upstreamHeaders,
  upstreamQuery,
} from '../../../services/proxy/core/headers.ts';
import { promptPieces, requestFacts } from '../../../services/proxy/core/request-facts.ts';
import { retryWaitMs } from '../../../services/proxy/core/retry.ts';
import { routeOf, upstreamForModel, upstreamPath } from '../../../services/proxy/core/route.ts';
import { isPublicAddress } from '../../../services/proxy/safe-connect.ts';
import { attemptOf } from './attempt-fixtures.ts';

const KEY = VirtualKeySchema.parse({
  id: 'k',
  tenant: 'acme',
  public_id: 'a'.repeat(12),
  secret_hash: '0'.repeat(64),
  feature: 'chat',
  bind: { team: 'red', campaign: 'x1' },
});

const ATTEMPT = attemptOf({
  requested_model: 'gpt-4o',
  streamed: true,
  max_output_tokens: '500',
});

const NONE: Statement = { completeness: 'none', classes: {}, units: {} };
const FULL: Statement = {
  completeness: 'full',
  classes: { input_uncached: '1', output_text: '2' },
  units: {},
};
const outcome = (over: Partial<Outcome>): Outcome => ({
  kind: 'complete',
  clientLeft: false,
  httpStatus: 200,
  closedAt: '2026-11-21T12:00:01.000Z',
  durationMs: 1000,
  outputTokensSeen: 0,
  streamSeen: false,
  ...over,
});

describe('how an attempt ends', () => {
  const { httpStatus: _status, ...unanswered } = outcome({});
  test.each<[string, Statement, Outcome, string, string | undefined]>([
    ['usage stated', FULL, outcome({}), 'reported', undefined],
    ['usage stated, client gone', FULL, outcome({ clientLeft: true }), 'drained', 'client_left'],
    ['usage stated before a cut', FULL, outcome({ kind: 'cut' }), 'reported', 'cut'],
    ['refused', NONE, outcome({ httpStatus: 429 }), 'not_billed', 'refused'],
    ['failed over there', NONE, outcome({ httpStatus: 529 }), 'not_billed', 'provider'],
    ['refused but billed', FULL, outcome({ httpStatus: 400 }), 'reported', 'refused'],
    ['never reached', NONE, { ...unanswered, kind: 'unreachable' }, 'not_billed', 'unreachable'],
    ['no answer in time', NONE, { ...unanswered, kind: 'timeout' }, 'unknown', 'timeout'],
    ['cut before an answer', NONE, { ...unanswered, kind: 'cut' }, 'unknown', 'cut'],
    [
      'cut in a stream without text',
      NONE,
      outcome({ kind: 'cut', streamSeen: true }),
      'estimated',
      'cut',
    ],
    [
      'given up without answer',
      NONE,
      { ...unanswered, kind: 'client_left' },
      'estimated',
      'client_left',
    ],
    ['no usage, text seen', NONE, outcome({ outputTokensSeen: 3 }), 'estimated', undefined],
    ['no usage, nothing seen', NONE, outcome({}), 'unknown', undefined],
    ['unreadable', { ...NONE, completeness: 'unreadable' }, outcome({}), 'unknown', undefined],
  ])('%s', (_name, statement, how, ...[ending, errorKind]) => {
    const fact = closeAttempt(ATTEMPT, statement, how);
    expect([fact.ending, fact.error_kind]).toEqual([ending, errorKind]);
    expect(UsageEventSchema.safeParse({ ...fact, sequence: 1 }).error).toBeUndefined();
  });

  test('a background response is pending: the provider states it later', () => {
    const queued = { ...NONE, finishReason: 'queued' };
    const attempt: AttemptRecord = { ...ATTEMPT, flavour: 'openai.responses' };
    expect(closeAttempt(attempt, queued, outcome({})).ending).toBe('pending');
  });

  test('output of a part is the greater of what was stated and what was seen', () => {
    const part: Statement = {
      completeness: 'part',
      classes: { input_uncached: '70', output_text: '8' },
      units: {},
    };
    const closed = (seen: number) =>
      closeAttempt(ATTEMPT, part, outcome({ kind: 'cut', outputTokensSeen: seen }));
    expect(closed(806)).toMatchObject({
      ending: 'partial',
      classes: { output_text: '806' },
      estimate: { classes: ['output_text'] },
    });
    expect(closed(3)).toMatchObject({ ending: 'partial', classes: { output_text: '8' } });
    expect(closed(3).estimate).toBeUndefined();
  });

  test('a recovered attempt keeps its event id and is estimated by its declared maximum, or unknown', () => {
    const boot = '019aa000-0000-7000-8000-00000000000f';
    const fact = recoverAttempt(ATTEMPT, boot, '2026-11-21T12:05:00.000Z');
    expect(fact).toMatchObject({
      event_id: ATTEMPT.event_id,
      event_ts: ATTEMPT.event_ts,
      boot_id: boot,
      ending: 'estimated',
      classes: { input_uncached: '11', output_text: '500' },
      estimate: { basis: 'declared_maximum' },
      duration_ms: 300_000,
    });
    expect(ENVELOPES.usageEvent.shape.data.safeParse({ ...fact, sequence: 1 }).success).toBe(true);
    const { max_output_tokens: _max, ...open } = ATTEMPT;
    expect(recoverAttempt(open, boot, '2026-11-21T12:05:00.000Z')).toMatchObject({
      ending: 'unknown',
      classes: {},
    });
  });
});

describe('routes', () => {
  test.each([
    ['POST', '/openai/v1/chat/completions?x=1', 'openai', '/v1/chat/completions', 'openai.chat'],
    [
      'POST',
      '/azure.eu/deployments/d/chat/completions',
      'azure.eu',
      '/deployments/d/chat/completions',
      'openai.chat',
    ],
    ['POST', '/v1/messages', null, '/v1/messages', 'anthropic.messages'],
    ['POST', '/anthropic/v1/messages/count_tokens', 'anthropic', '/v1/messages/count_tokens', null],
    ['POST', '/openai/v1/responses/compact', 'openai', '/v1/responses/compact', 'openai.responses'],
    ['POST', '/openai/v1/chat/completion%73', 'openai', '/v1/chat/completion%73', 'openai.chat'],
    ['POST', '/openai/v1/chat/completions/', 'openai', '/v1/chat/completions/', 'openai.chat'],
    ['POST', '/openai/v1/Responses;a=1', 'openai', '/v1/Responses;a=1', 'openai.responses'],
    ['POST', '/openai/v1/%66iles', 'openai', '/v1/%66iles', 'passthrough'],
    ['GET', '/openai/v1/responses/resp_1', 'openai', '/v1/responses/resp_1', null],
    ['POST', '/openai/v1/images/generations', 'openai', '/v1/images/generations', 'openai.images'],
    ['POST', '/openai/v1/videos', 'openai', '/v1/videos', 'passthrough'],
    ['POST', '/openai/v1/responses/', 'openai', '/v1/responses/', 'openai.responses'],
    ['POST', '/openai/v1/files/a%20b', 'openai', '/v1/files/a%20b', null],
  ])('%s %s', (method, target, ...[upstreamId, path, flavour]) => {
    expect(routeOf(method, target)).toMatchObject({ upstreamId, path, flavour });
  });

  test.each([
    '/',
    '/v1/models',
    '/api/x',
    '/openai',
    '/openai/../secret',
    '/openai/%2e%2e/x',
    '/openai//x',
    '/openai/v1/chat/completions#/files',
    '/openai/v1/chat/completions?x#/files',
    '/openai/v1/chat/completions%00/files',
  ])('%s belongs to nobody', (target) => {
    expect(routeOf('POST', target)).toBeNull();
  });

  test('an exact model goes before the longest prefix, and only to its dialect', () => {
    const upstream = (id: string, models: string[], dialect = 'openai') =>
      UpstreamSchema.parse({ id, provider: id, dialect, base_url: 'https://example.com', models });
    const all = [
      upstream('wide', ['*']),
      upstream('gpt', ['gpt-*']),
      upstream('exact', ['gpt-4o']),
      upstream('claude', ['gpt-4o', 'claude-*'], 'anthropic'),
    ];
    const found = (model: string) => upstreamForModel(all, 'openai', model)?.id;
    expect([found('gpt-4o'), found('gpt-5'), found('llama')]).toEqual(['exact', 'gpt', 'wide']);
    expect(upstreamForModel(all, 'anthropic', 'llama')).toBeNull();
  });

  test('a base address that ends in /v1 does not get a second one', () => {
    expect(upstreamPath('/openai/v1', '/v1/chat/completions')).toBe('/openai/v1/chat/completions');
    expect(upstreamPath('/', '/v1/chat/completions')).toBe('/v1/chat/completions');
    expect(upstreamPath('/v1', '/models')).toBe('/v1/models');
  });
});

describe('attribution', () => {
  test('what the key binds wins over headers, the rest comes from headers', () => {
    const headers = {
      'x-reckoner-team': 'blue',
      'x-reckoner-feature': 'search',
      'x-reckoner-cost-center': '42',
      'x-reckoner-tags': 'Env=prod, campaign=other',
    };
    expect(attribute(KEY, headers)).toEqual({
      ok: true,
      dimensions: { tenant: 'acme', feature: 'chat', team: 'red', cost_center: '42' },
      tags: { env: 'prod', campaign: 'x1' },
    });
  });

  test('tags may be JSON; a tag that is not text is refused', () => {
    expect(attribute(KEY, { 'x-reckoner-tags': '{"a":"b"}' })).toMatchObject({
      ok: true,
      tags: { a: 'b' },
    });
    expect(attribute(KEY, { 'x-reckoner-tags': '{"a":1}' }).ok).toBe(false);
  });
});

test('of an answer neither whose account it is nor what speaks for an origin reaches a tenant', () => {
  const answer = {
    'openai-organization': 'house-inc',
    'openai-project': 'proj_x',
    'anthropic-organization-id': '0000',
    'strict-transport-security': 'max-age=31536000',
    'x-accel-redirect': '/etc/passwd',
    'x-sendfile': '/etc/passwd',
    'x-ratelimit-remaining-requests': '9',
    'x-request-id': 'req_1',
  };
  expect(clientHeaders(answer)).toEqual({
    'x-ratelimit-remaining-requests': '9',
    'x-request-id': 'req_1',
  });
});

test('a caller does not choose which organisation or project of the house is billed', () => {
  const headers = {
    'openai-organization': 'org-x',
    'openai-project': 'proj_x',
    'x-goog-user-project': 'project-x',
    'openai-beta': 'y',
  };
  expect(upstreamHeaders(headers, 'openai', 'secret')).toEqual({
    'openai-beta': 'y',
    'accept-encoding': 'identity',
    authorization: 'Bearer secret',
  });
  expect(upstreamHeaders(headers, 'gemini', 'ya29.x')).not.toHaveProperty('x-goog-user-project');
  const query = '?oauth_token=a&$key=b&%24access_token=c&subscription-key=d&alt=sse';
  expect(upstreamQuery(query, true)).toBe('?alt=sse');
});

test('a prompt is its texts and its token ids, not its images or names of roles', () => {
  const pieces = promptPieces({
    model: 'm',
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'hello' },
          { type: 'image_url', image_url: { url: 'data:x' } },
        ],
      },
    ],
    input: [[1, 2, 3], [4]],
  });
  expect(pieces).toEqual({ texts: ['hello'], tokenIds: 4 });
});

test('declared limits are read under any of their names', () => {
  for (const name of ['max_tokens', 'max_completion_tokens', 'max_output_tokens']) {
    expect(requestFacts({ model: 'm', [name]: 7 }).maxOutputTokens).toBe(7);
  }
  expect(requestFacts({ max_tokens: -1 }).maxOutputTokens).toBeUndefined();
});

test('waits grow to a bound; Retry-After is obeyed up to it and beyond it ends the retries', () => {
  expect(retryWaitMs(1, undefined, 1)).toBe(250);
  expect(retryWaitMs(3, undefined, 0)).toBe(500);
  expect(retryWaitMs(99, undefined, 1)).toBe(8000);
  expect(retryWaitMs(1, '2', 0)).toBe(2000);
  expect(retryWaitMs(1, '3600', 0)).toBeNull();
});

test('a signal counts only when its version is greater', () => {
  const signal = {
    scope: 'budget/b',
    budget_id: 'b',
    tenant: 'acme',
    version: 5,
    state: 'block',
    limit_usd: '1',
    spent_usd: '1',
    issued_at: ATTEMPT.event_ts,
  } as const;
  expect(isNewer(undefined, signal)).toBe(true);
  expect(isNewer(signal, signal)).toBe(false);
  expect(isNewer(signal, { ...signal, version: 4 })).toBe(false);
  expect(isNewer(signal, { ...signal, version: 6 })).toBe(true);
});

test.each([
  ['8.8.8.8', true],
  ['2606:4700::1111', true],
  ['127.0.0.1', false],
  ['10.1.2.3', false],
  ['169.254.169.254', false],
  ['100.64.0.1', false],
  ['0.0.0.0', false],
  ['::1', false],
  ['::ffff:127.0.0.1', false],
  ['fd00::1', false],
  ['fe80::1', false],
  ['64:ff9b::7f00:1', false],
  ['2002:7f00:1::', false],
  ['not an address', false],
])('address %s is public: %s', (address, expected) => {
  expect(isPublicAddress(address)).toBe(expected);
});

describe('the model a request names', () => {
  test.each([
    'gpt-4o-mini-2024-07-18',
    'ft:gpt-4o-mini:acme::8d1',
    'anthropic.claude-haiku-4-5-20251001-v1:0',
    'arn:aws:bedrock:us-east-1:123:inference-profile/us.x',
    'meta-llama/Llama-3.3-70B',
  ])('%s is kept', (model) => {
    expect(requestFacts({ model }).model).toBe(model);
  });

  test.each(['tell me about my invoice', 'a\nb', ' gpt-4o', '<system>'])(
    '%j is no name and is kept nowhere',
    (model) => {
      expect(requestFacts({ model }).model).toBeUndefined();
    },
  );

  test('is the path’s where the provider chooses by path: a body cannot smuggle it past a key’s list', () => {
    const about = {
      path: '/v1beta/models/gemini-2.5-pro:generateContent',
      flavour: 'gemini.generate' as const,
    };
    expect(requestFacts({ model: 'cheap' }, about).model).toBe('gemini-2.5-pro');
  });
});
