import { expect, test } from 'vitest';
import { RouteSchema, UpstreamSchema } from '../../../schemas/control-record.ts';
import { findRouteProblems } from '../../../services/console/core/records-plan.ts';

const upstream = (id: string, dialect = 'openai') =>
  UpstreamSchema.parse({ id, provider: 'p', dialect, base_url: 'https://p.example.com' });
const NOTHING = { routes: new Map(), upstreams: new Map() };
const problemsOf = (route: object, upstreams = [upstream('a'), upstream('b')]): string[] =>
  findRouteProblems({ routes: [RouteSchema.parse({ id: 'r', ...route })], upstreams }, NOTHING);
const to = (...ids: string[]) => [{ targets: ids.map((id) => ({ upstream: id })) }];

test('a route over upstreams of one dialect is in order', () => {
  expect(problemsOf({ steps: to('a', 'b') })).toEqual([]);
});

test('upstreams that were applied before count as well', () => {
  const route = RouteSchema.parse({ id: 'r', steps: to('c') });
  const inForce = { ...NOTHING, upstreams: new Map([['c', upstream('c')]]) };
  expect(findRouteProblems({ routes: [route], upstreams: [] }, inForce)).toEqual([]);
});

test.for([
  [
    'an unknown upstream',
    { steps: to('gone') },
    ['route r names upstream gone, which does not exist'],
  ],
  [
    'the name of an upstream',
    { id: 'a', steps: to('a') },
    ['route a has the name of an upstream; give one of them another'],
  ],
  [
    'one target twice',
    { steps: to('a', 'a') },
    ['route r names upstream a twice in step 1; give it a larger weight instead'],
  ],
  [
    'a hedge without a second attempt',
    { steps: to('a'), attempts_max: 1, hedge_after_ms: 500 },
    [
      'route r is to hedge but makes one attempt at most, and a hedge is a second; raise attempts_max',
    ],
  ],
] as const)('%s is said in words', ([, route, problems]) => {
  expect(problemsOf(route)).toEqual(problems);
});

test('several dialects in one route are said in words: nothing is translated', () => {
  const mixed = [upstream('a'), upstream('b', 'anthropic')];
  expect(problemsOf({ steps: to('a', 'b') }, mixed)).toEqual([
    'route r mixes the dialects openai, anthropic; a call is passed on as it comes, so all targets must speak one',
  ]);
});

test('one upstream under two models is two targets', () => {
  const steps = [{ targets: [{ upstream: 'a' }, { upstream: 'a', model: 'small' }] }];
  expect(problemsOf({ steps })).toEqual([]);
});
