import { describe, expect, test } from 'vitest';
import type { Route, Upstream } from '../../../schemas/control-record.ts';
import { RouteSchema, UpstreamSchema } from '../../../schemas/control-record.ts';
import type { Chain } from '../../../services/proxy/core/chain.ts';
import {
  chainForModel,
  chainOfRoute,
  chainOfUpstream,
  withoutTargets,
} from '../../../services/proxy/core/chain.ts';
import { modelInBody, modelInForm } from '../../../services/proxy/core/model-edit.ts';
import { earn, fullBudget, mayRetry, spend } from '../../../services/proxy/core/retry-budget.ts';
import { flavourAt, modelInPath, upstreamPath } from '../../../services/proxy/core/route.ts';
import {
  expectedLatencyMs,
  isAside,
  NO_HEALTH,
  whenAnswered,
  whenFailed,
  whenSent,
} from '../../../services/proxy/core/target-health.ts';
import type { Circumstances, TargetFacts, Tried } from '../../../services/proxy/core/targets.ts';
import { nextTarget } from '../../../services/proxy/core/targets.ts';

const upstream = (id: string, over: object = {}): Upstream =>
  UpstreamSchema.parse({
    id,
    provider: 'openai',
    dialect: 'openai',
    base_url: `https://${id}.example.com/v1`,
    ...over,
  });
const UPSTREAMS = new Map(
  ['a', 'b', 'c', 'd'].map((id): [string, Upstream] => [id, upstream(id, { attempts_max: 10 })]),
);
const route = (over: object): Route => RouteSchema.parse({ id: 'r', ...over });
const chain = (over: object): Chain => {
  const made = chainOfRoute(route(over), UPSTREAMS);
  if (!made) throw new Error('no chain');
  return made;
};
const targets = (...ids: string[]) => ids.map((id) => ({ upstream: id }));

const GOOD: TargetFacts = { asideUntilMs: 0, latencyMs: null, mayRetry: true };
const about = (
  facts: Record<string, Partial<TargetFacts>> = {},
  over: Partial<Circumstances> = {},
): Circumstances => ({
  factsOf: ({ upstream: { id } }) => ({ ...GOOD, ...facts[id] }),
  draw: 0.5,
  jitter: 1,
  ...over,
});

/** Lets a call fail everywhere and says where it went: `a!` after no wait, `a+500` after half a second. */
const walk = (over: object, facts: Record<string, Partial<TargetFacts>> = {}): string[] => {
  const way = chain(over);
  const history: Tried[] = [];
  const seen: string[] = [];
  for (;;) {
    const { choice } = nextTarget(way, history, about(facts, { draw: 0 }));
    if (!choice) return seen;
    seen.push(`${choice.role} ${choice.target.upstream.id}+${choice.waitMs}`);
    history.push({ target: choice.target, step: choice.step });
  }
};

describe('where a call that fails everywhere goes', () => {
  test('each target of a step once, then the next step, and the last step as often as is left', () => {
    expect(
      walk({
        steps: [{ targets: targets('a', 'b') }, { targets: targets('c') }],
        attempts_max: 5,
      }),
    ).toEqual(['primary a+0', 'retry b+0', 'fallback c+0', 'retry c+250', 'retry c+500']);
  });

  test('a step that says how often is tried that often, with a wait before the same target', () => {
    expect(
      walk({
        steps: [{ targets: targets('a'), attempts_max: 2 }, { targets: targets('b') }],
        attempts_max: 3,
      }),
    ).toEqual(['primary a+0', 'retry a+250', 'fallback b+0']);
  });

  test('one upstream alone is tried as often as it says', () => {
    const alone = chainOfUpstream(upstream('a', { attempts_max: 2 }));
    const first = nextTarget(alone, [], about()).choice;
    expect(first).toMatchObject({ role: 'primary', waitMs: 0 });
    const tried = [{ target: first!.target, step: 0 }];
    expect(nextTarget(alone, tried, about()).choice).toMatchObject({ role: 'retry', waitMs: 250 });
    expect(nextTarget(alone, [...tried, ...tried], about()).choice).toBeNull();
  });

  test('what was set aside comes last, and is tried after all when nothing else is left', () => {
    expect(
      walk(
        { steps: [{ targets: targets('a', 'b') }, { targets: targets('c') }], attempts_max: 3 },
        { a: { asideUntilMs: 9000 } },
      ),
    ).toEqual(['primary b+0', 'fallback c+0', 'retry c+250']);
    expect(
      walk(
        { steps: [{ targets: targets('a') }, { targets: targets('b') }], attempts_max: 2 },
        { a: { asideUntilMs: 9000 }, b: { asideUntilMs: 5000 } },
      ),
    ).toEqual(['primary a+0', 'fallback b+0']);
    // The first step was passed over, its target is the only one left that was not tried.
    expect(
      walk(
        {
          steps: [{ targets: targets('a') }, { targets: targets('b'), attempts_max: 1 }],
          attempts_max: 4,
        },
        { a: { asideUntilMs: 9000 } },
      ),
    ).toEqual(['primary b+0', 'fallback a+0']);
  });

  test('a long Retry-After forbids the same target, not the others', () => {
    const way = chain({ steps: [{ targets: targets('a', 'b') }], attempts_max: 4 });
    const [a, b] = way.steps[0]!.targets;
    const refused: Tried = { target: a!, step: 0, retryAfter: '3600' };
    expect(nextTarget(way, [refused], about()).choice).toMatchObject({ target: b, waitMs: 0 });
    const both = [refused, { target: b!, step: 0, retryAfter: '2' }];
    expect(nextTarget(way, both, about()).choice).toMatchObject({ target: b, waitMs: 2000 });
  });

  test('a spent retry budget ends the attempts and is named; the first attempt needs none', () => {
    const way = chain({ steps: [{ targets: targets('a', 'b') }] });
    const spent = { a: { mayRetry: false }, b: { mayRetry: false } };
    const first = nextTarget(way, [], about(spent)).choice;
    expect(first?.role).toBe('primary');
    const tried = [{ target: first!.target, step: 0 }];
    expect(nextTarget(way, tried, about(spent))).toEqual({ choice: null, budgetSpent: true });
  });

  test('a refused credential sends the call to another upstream, never back', () => {
    const way = chain({ steps: [{ targets: targets('a', 'b') }], attempts_max: 5 });
    const [a, b] = way.steps[0]!.targets.map((target) => ({ target, step: 0 }));
    const others = about({}, { othersOnly: true });
    expect(nextTarget(way, [a!], others).choice?.target).toBe(b!.target);
    expect(nextTarget(way, [a!, b!], others).choice).toBeNull();
  });
});

describe('the fastest target', () => {
  const way = chain({ strategy: 'least_latency', steps: [{ targets: targets('a', 'b', 'c') }] });
  const chosen = (facts: Record<string, Partial<TargetFacts>>, draw: number) =>
    nextTarget(way, [], about(facts, { draw })).choice?.target.upstream.id;
  const measured = { a: { latencyMs: 300 }, b: { latencyMs: 200 }, c: { latencyMs: 900 } };

  test('is chosen, but for one call in twenty that looks at the others', () => {
    expect(chosen(measured, 0.05)).toBe('b');
    expect(chosen(measured, 0.99)).toBe('b');
    expect(['a', 'b', 'c'].map((_, at) => chosen(measured, (at * 0.05) / 3))).toEqual([
      'a',
      'b',
      'c',
    ]);
  });

  test('one that was never measured is tried first', () => {
    expect(chosen({ ...measured, c: {} }, 0.5)).toBe('c');
  });
});

describe('the health of a target', () => {
  test('latency is weighted towards the newest; a failure counts as ten seconds; a recovery starts anew', () => {
    let health = whenAnswered(NO_HEALTH, 100, 1000);
    // 100 + 0.3 x (200 - 100) = 130.
    health = whenAnswered(health, 200, 1100);
    expect(expectedLatencyMs(health, 1100)).toBe(130);
    health = whenFailed(health, { status: 500 }, 1200);
    expect(expectedLatencyMs(health, 1200)).toBe(10_000);
    health = whenAnswered(health, 150, 1300);
    expect(expectedLatencyMs(health, 1300)).toBe(150);
    expect(expectedLatencyMs(health, 1300 + 600_001)).toBeNull();
  });

  test('while the first measurement is under way it is at least what it has taken so far', () => {
    const sent = whenSent(whenSent(NO_HEALTH, 1000), 1200);
    expect(expectedLatencyMs(NO_HEALTH, 1400)).toBeNull();
    expect(expectedLatencyMs(sent, 1400)).toBe(400);
  });

  test.for([
    ['no connection', [{ status: null }], 2000],
    ['no connection three times', [{ status: null }, { status: null }, { status: null }], 8000],
    ['a Retry-After', [{ status: 429, retryAfter: '7' }], 7000],
    ['a Retry-After beyond the bound', [{ status: 503, retryAfter: '3600' }], 60_000],
    ['one 500', [{ status: 500 }], 0],
    ['the third 500', [{ status: 500 }, { status: 500 }, { status: 500 }], 2000],
    ['a refused credential', [{ status: 401 }], 2000],
  ] as const)('%s sets it aside for %i ms', ([, failures, asideMs]) => {
    const health = failures.reduce((so, failure) => whenFailed(so, failure, 5000), NO_HEALTH);
    expect(isAside(health, 5000)).toBe(asideMs > 0);
    expect(isAside(health, 5000 + asideMs)).toBe(false);
    if (asideMs > 0) expect(isAside(health, 5000 + asideMs - 1)).toBe(true);
  });

  test('when its time is up one attempt finds out how it is, and an answer clears it', () => {
    const aside = whenFailed(NO_HEALTH, { status: null }, 5000);
    const probed = whenSent(aside, 7000);
    expect(isAside(aside, 7000)).toBe(false);
    expect(isAside(probed, 7001)).toBe(true);
    expect(isAside(whenAnswered(probed, 100, 7100), 7100)).toBe(false);
  });
});

test('an upstream is given a fifth more than its calls, and a small constant', () => {
  let budget = fullBudget(0);
  let retries = 0;
  for (let call = 0; call < 1000; call += 1) {
    budget = earn(budget, 0);
    while (mayRetry(budget, 0)) {
      budget = spend(budget, 0);
      retries += 1;
    }
  }
  // 20 to begin with, and 1000 calls x 0.2 = 200; the first call's share finds the bucket full.
  expect(retries).toBeGreaterThan(210);
  expect(retries).toBeLessThanOrEqual(220);
  // Half a token a second: the next one after two.
  expect(mayRetry({ tokens: 0, atMs: 0 }, 1999)).toBe(false);
  expect(mayRetry({ tokens: 0, atMs: 0 }, 2000)).toBe(true);
});

describe('what a route is made of', () => {
  test('targets that are gone, speak another dialect or have no credential are left out', () => {
    const upstreams = new Map([...UPSTREAMS, ['x', upstream('x', { dialect: 'anthropic' })]]);
    const way = chainOfRoute(
      route({ steps: [{ targets: targets('gone') }, { targets: targets('a', 'x', 'b') }] }),
      upstreams,
    );
    const ids = (of: Chain | null) =>
      of?.steps.map((step) => step.targets.map((target) => target.upstream.id));
    expect(ids(way)).toEqual([['a', 'b']]);
    expect(ids(withoutTargets(way!, ({ id }) => id !== 'a'))).toEqual([['b']]);
    expect(withoutTargets(way!, () => false)).toBeNull();
    expect(chainOfRoute(route({ steps: [{ targets: targets('gone') }] }), upstreams)).toBeNull();
  });

  test('a model goes to whatever names it most exactly; a route before an upstream that names it as exactly', () => {
    const upstreams = new Map([
      ['a', upstream('a', { models: ['gpt-5*', 'exact'] })],
      ['b', upstream('b', { models: ['gpt-5*'] })],
    ]);
    const named = (id: string, models: string[], to: string) =>
      route({ id, models, steps: [{ targets: targets(to) }], attempts_max: 7 });
    const routes = new Map([
      ['z', named('z', ['gpt-5*', 'exact*'], 'b')],
      ['y', named('y', ['gpt-*'], 'a')],
    ]);
    const goes = (model: string, places = { upstreams, routes }) => {
      const found = chainForModel(places, 'openai', model);
      return found && `${found.attemptsMax} ${found.steps[0]?.targets[0]?.upstream.id}`;
    };
    expect(goes('gpt-5-mini')).toBe('7 b');
    expect(goes('gpt-4')).toBe('7 a');
    expect(goes('exact')).toBe('3 a');
    expect(goes('claude')).toBeNull();
    // Without a route: of several that match equally well the first by id, always.
    expect(goes('gpt-5-mini', { upstreams, routes: new Map() })).toBe('3 a');
    expect(chainForModel({ upstreams, routes }, 'anthropic', 'gpt-5-mini')).toBeNull();
  });
});

describe("the target's name of the model", () => {
  test('replaces the value of the member in the body and nothing else', () => {
    const body = '{ "messages":[{"model":"gpt"}],\n"mod\\u0065l" : "gpt", "n":1.0 }';
    expect(modelInBody(body, 'gpt', 'gemini "x"')).toBe(
      '{ "messages":[{"model":"gpt"}],\n"mod\\u0065l" : "gemini \\"x\\"", "n":1.0 }',
    );
    expect(modelInBody('{"n":1}', 'gpt', 'x')).toBe('{"n":1}');
    expect(modelInBody('{"model":"base"}', 'deployment', 'x')).toBe('{"model":"base"}');
  });

  test('replaces the field of a form and nothing else', () => {
    const form =
      '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nwhisper-1\r\n--b--';
    expect(modelInForm(form, 'multipart/form-data; boundary=b', 'large')).toBe(
      form.replace('\r\n\r\nwhisper-1\r\n', '\r\n\r\nlarge\r\n'),
    );
    expect(modelInForm('--b--', 'multipart/form-data; boundary=b', 'large')).toBe('--b--');
  });

  test.for([
    ['/v1beta/models/gemini-2.5-pro:generateContent', '/v1beta/models/a%2Fb:generateContent'],
    ['/model/model/converse-stream', '/model/a%2Fb/converse-stream'],
    ['/openai/deployments/openai/chat/completions', '/openai/deployments/a%2Fb/chat/completions'],
    ['/v1/chat/completions', '/v1/chat/completions'],
  ])('in the path %s', ([path, renamed]) => {
    expect(modelInPath(path!, 'a/b')).toBe(renamed);
  });
});

test('one path of the caller suits base addresses of every vendor', () => {
  const at = (base: string) => upstreamPath(base, '/v1/chat/completions');
  expect(at('/v1')).toBe('/v1/chat/completions');
  expect(at('/openai/v1/')).toBe('/openai/v1/chat/completions');
  expect(at('/v1beta/openai')).toBe('/v1beta/openai/chat/completions');
  expect(at('/v1/projects/p/locations/l/endpoints/openapi')).toBe(
    '/v1/projects/p/locations/l/endpoints/openapi/chat/completions',
  );
  expect(at('/api/paas/v4')).toBe('/api/paas/v4/chat/completions');
  expect(at('/gateway')).toBe('/gateway/v1/chat/completions');
  expect(flavourAt('openai.chat', at('/v1beta/openai'))).toBe('gemini.openai');
  expect(flavourAt('openai.chat', at('/v1'))).toBe('openai.chat');
  expect(flavourAt('passthrough', '/files/x')).toBe('passthrough');
});
