import type { Route as RouteRecord, Upstream } from '../../../schemas/control-record.ts';
import type { Dialect } from './route.ts';
import { modelMatch, upstreamForModel } from './route.ts';

/** A place an attempt can go to. */
export interface Target {
  upstream: Upstream;
  /** Share among its equals. */
  weight: number;
  /** What the model is called there; undefined: what the caller called it. */
  model: string | undefined;
}

/** Targets that are each as good as the other. */
export interface Step {
  targets: readonly Target[];
  /** Upstream calls of one request in this step at most; undefined: each target once, in the last step as many as are left. */
  attemptsMax: number | undefined;
}

/** Where the attempts of a call may go, in order. An upstream alone is a chain of one target. */
export interface Chain {
  dialect: Dialect;
  strategy: RouteRecord['strategy'];
  steps: readonly Step[];
  /** Upstream calls of one request over all steps at most, hedge included. */
  attemptsMax: number;
  hedgeAfterMs: number | undefined;
}

/** What a chain is made from. */
export interface Places {
  upstreams: ReadonlyMap<string, Upstream>;
  routes: ReadonlyMap<string, RouteRecord>;
}

export const chainOfUpstream = (upstream: Upstream): Chain => ({
  dialect: upstream.dialect,
  strategy: 'weighted',
  steps: [
    {
      targets: [{ upstream, weight: 1, model: undefined }],
      attemptsMax: undefined,
    },
  ],
  attemptsMax: upstream.attempts_max,
  hedgeAfterMs: undefined,
});

/** The dialect a route speaks: that of its first target that exists. */
export const dialectOfRoute = (
  route: RouteRecord,
  upstreams: Places['upstreams'],
): Dialect | undefined => {
  for (const { upstream } of route.steps.flatMap((step) => step.targets)) {
    const found = upstreams.get(upstream);
    if (found) return found.dialect;
  }
  return undefined;
};

/**
 * The chain of a route. Targets whose upstream is not there (any more) or speaks another dialect are left out, and steps without
 * targets with them.
 * @returns null when no target is left.
 */
export const chainOfRoute = (route: RouteRecord, upstreams: Places['upstreams']): Chain | null => {
  const dialect = dialectOfRoute(route, upstreams);
  if (dialect === undefined) return null;
  const steps = route.steps
    .map(({ targets, attempts_max }) => ({
      attemptsMax: attempts_max,
      targets: targets.flatMap(({ upstream: id, weight, model }): Target[] => {
        const upstream = upstreams.get(id);
        return upstream?.dialect === dialect ? [{ upstream, weight, model }] : [];
      }),
    }))
    .filter(({ targets }) => targets.length > 0);
  return {
    dialect,
    strategy: route.strategy,
    steps,
    attemptsMax: route.attempts_max,
    hedgeAfterMs: route.hedge_after_ms,
  };
};

/**
 * The chain without the targets that cannot be called right now (no credential), or for this call (no price).
 * @returns null when none is left.
 */
export const withoutTargets = (
  chain: Chain,
  isUsable: (upstream: Upstream, target: Target) => boolean,
): Chain | null => {
  const steps = chain.steps
    .map((step) => ({ ...step, targets: step.targets.filter((t) => isUsable(t.upstream, t)) }))
    .filter((step) => step.targets.length > 0);
  return steps.length === 0 ? null : { ...chain, steps };
};

/**
 * The chain for a model on a unified endpoint: the route or upstream of the dialect that names it most exactly. A route wins over an
 * upstream that names it as exactly; among routes and among upstreams the first by id, so that the choice is stable.
 */
export const chainForModel = (places: Places, dialect: Dialect, model: string): Chain | null => {
  const upstream = upstreamForModel(places.upstreams.values(), dialect, model);
  let least = upstream ? modelMatch(upstream.models, model) : 0;
  let chosen: RouteRecord | null = null;
  for (const route of places.routes.values()) {
    const length = modelMatch(route.models, model);
    if (length < least || dialectOfRoute(route, places.upstreams) !== dialect) continue;
    if (length === least && chosen && chosen.id < route.id) continue;
    chosen = route;
    least = length;
  }
  if (chosen) return chainOfRoute(chosen, places.upstreams);
  return upstream ? chainOfUpstream(upstream) : null;
};

/** The upstream that calls go to which are not metered: they concern one account, so they always go to the same. */
export const firstTarget = (chain: Chain): Target => {
  const target = chain.steps[0]?.targets[0];
  if (!target) throw new RangeError('a chain has at least one target');
  return target;
};
