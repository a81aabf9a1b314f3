import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Upstream } from '../../schemas/control-record.ts';
import { RouteSchema, UpstreamSchema } from '../../schemas/control-record.ts';
import { chainOfRoute } from '../../services/proxy/core/chain.ts';
import type { RetryBudget } from '../../services/proxy/core/retry-budget.ts';
import { earn, fullBudget, mayRetry, spend } from '../../services/proxy/core/retry-budget.ts';
import type { TargetFacts, Tried } from '../../services/proxy/core/targets.ts';
import { nextTarget } from '../../services/proxy/core/targets.ts';

const IDS = ['a', 'b', 'c', 'd', 'e'];
const upstreamsWith = (attemptsMax: number): Map<string, Upstream> =>
  new Map(
    IDS.map((id) => [
      id,
      UpstreamSchema.parse({
        id,
        provider: 'p',
        dialect: 'openai',
        base_url: 'https://p.example.com',
        attempts_max: attemptsMax,
      }),
    ]),
  );
const GOOD: TargetFacts = { asideUntilMs: 0, latencyMs: null, mayRetry: true };
const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('over draws that are spread evenly every target gets exactly its share', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 5 }),
      (weights, rounds) => {
        const targets = weights.map((weight, at) => ({ upstream: IDS[at] ?? 'a', weight }));
        const route = RouteSchema.parse({ id: 'r', steps: [{ targets }] });
        const chain = chainOfRoute(route, upstreamsWith(3));
        const draws = weights.reduce((sum, weight) => sum + weight, 0) * rounds;
        const counts = new Map<string, number>();
        for (let at = 0; at < draws; at += 1) {
          const about = { factsOf: () => GOOD, draw: (at + 0.5) / draws, jitter: 0 };
          const id = chain && nextTarget(chain, [], about).choice?.target.upstream.id;
          counts.set(id ?? '', (counts.get(id ?? '') ?? 0) + 1);
        }
        expect(weights.map((_, at) => counts.get(IDS[at] ?? ''))).toEqual(
          weights.map((weight) => weight * rounds),
        );
      },
    ),
  );
});

const facts = fc.record({
  asideUntilMs: fc.constantFrom(0, 0, 500, 9000),
  latencyMs: fc.option(fc.integer({ min: 1, max: 20_000 }), { nil: null }),
  mayRetry: fc.boolean(),
});
const routes = fc.record({
  strategy: fc.constantFrom('weighted', 'least_latency'),
  attempts_max: fc.integer({ min: 1, max: 10 }),
  steps: fc.array(
    fc
      .record({
        ids: fc.uniqueArray(fc.constantFrom(...IDS), { minLength: 1, maxLength: 4 }),
        attempts_max: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
      })
      .map(({ ids, attempts_max }) => ({
        targets: ids.map((id) => ({ upstream: id })),
        ...(attempts_max === undefined ? {} : { attempts_max }),
      })),
    { minLength: 1, maxLength: 4 },
  ),
});

describe('whatever fails, in whatever state the targets are', () => {
  test('a call ends within its bounds, waits only before the same target, and begins somewhere', () => {
    fc.assert(
      fc.property(
        routes,
        fc.integer({ min: 1, max: 4 }),
        fc.array(
          fc.record({
            facts: fc.array(facts, { minLength: 5, maxLength: 5 }),
            draw: fraction,
            retryAfter: fc.constantFrom(undefined, '0', '3', '3600'),
          }),
          { minLength: 12, maxLength: 12 },
        ),
        (declared, perUpstream, moments) => {
          const route = RouteSchema.parse({ id: 'r', ...declared });
          const chain = chainOfRoute(route, upstreamsWith(perUpstream));
          if (!chain) throw new Error('every upstream exists');
          const history: Tried[] = [];
          for (const { facts: now, draw, retryAfter } of moments) {
            const { choice } = nextTarget(chain, history, {
              factsOf: ({ upstream }) => now[IDS.indexOf(upstream.id)] ?? GOOD,
              draw,
              jitter: draw,
            });
            if (history.length === 0) expect(choice?.role).toBe('primary');
            if (!choice) break;
            const tries = history.filter(({ target }) => target === choice.target);
            expect(
              choice.waitMs > 0 || tries.length === 0 || tries.at(-1)?.retryAfter === '0',
            ).toBe(true);
            expect(choice.role === 'primary').toBe(history.length === 0);
            expect(choice.target).toBe(
              chain.steps[choice.step]?.targets.find((target) => target === choice.target),
            );
            history.push({ target: choice.target, step: choice.step, retryAfter });
          }
          expect(history.length).toBeLessThanOrEqual(chain.attemptsMax);
          for (const id of IDS) {
            const at = history.filter(({ target }) => target.upstream.id === id);
            expect(at.length).toBeLessThanOrEqual(perUpstream);
          }
          chain.steps.forEach((step, at) => {
            const inStep = history.filter((tried) => tried.step === at).length;
            expect(inStep).toBeLessThanOrEqual(step.attemptsMax ?? chain.attemptsMax);
          });
        },
      ),
    );
  });

  test('a target that is set aside is not chosen while the step has another that was not tried', () => {
    fc.assert(
      fc.property(fraction, fc.subarray(IDS, { minLength: 1, maxLength: 4 }), (draw, aside) => {
        const steps = [{ targets: IDS.map((id) => ({ upstream: id })) }];
        const chain = chainOfRoute(RouteSchema.parse({ id: 'r', steps }), upstreamsWith(3));
        const factsOf = ({ upstream: { id } }: { upstream: Upstream }) =>
          aside.includes(id) ? { ...GOOD, asideUntilMs: 1 } : GOOD;
        const { choice } = nextTarget(chain!, [], { factsOf, draw, jitter: 0 });
        expect(aside).not.toContain(choice?.target.upstream.id);
      }),
    );
  });
});

test('whatever the order of calls and failures, retries stay within a fifth of the calls, the constant and the time', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ call: fc.boolean(), ms: fc.integer({ min: 0, max: 500 }) }), {
        maxLength: 400,
      }),
      (moments) => {
        let budget: RetryBudget = fullBudget(0);
        let nowMs = 0;
        let calls = 0;
        let retries = 0;
        for (const { call, ms } of moments) {
          nowMs += ms;
          if (call) {
            budget = earn(budget, nowMs);
            calls += 1;
          } else if (mayRetry(budget, nowMs)) {
            budget = spend(budget, nowMs);
            retries += 1;
          }
        }
        // 1e-6: tokens are no money, and sums of fifths are not exact.
        expect(retries).toBeLessThanOrEqual(20 + 0.2 * calls + (0.5 * nowMs) / 1000 + 1e-6);
      },
    ),
  );
});
