import type { Clock } from '../platform/clock.ts';
import type { Target } from './core/chain.ts';
import type { RetryBudget } from './core/retry-budget.ts';
import { earn, fullBudget, mayRetry, spend } from './core/retry-budget.ts';
import type { TargetFailure, TargetHealth } from './core/target-health.ts';
import {
  expectedLatencyMs,
  isAside,
  NO_HEALTH,
  whenAbandoned,
  whenAnswered,
  whenFailed,
  whenSent,
} from './core/target-health.ts';
import type { TargetFacts } from './core/targets.ts';
import type { ProxyMetrics } from './proxy-metrics.ts';

/**
 * Why an attempt is made: the first of its call, on to another upstream (paid for if that fails too), or to one that the call was at
 * before or as a hedge (paid for beforehand: see `reserve`).
 */
export type Purpose = 'first' | 'moved' | 'again';

/** What this process knows of the places it sends calls to. In memory only: a start begins with good faith in all. */
export interface TargetBoard {
  factsOf(target: Target, askedModel: string | undefined): TargetFacts;
  /** A further attempt at an upstream was decided on: it is paid for before it waits for its turn, so that others see it. */
  reserve(target: Target): void;
  /** @returns what to report the attempt's answer to, once. */
  sent(target: Target, askedModel: string | undefined, purpose: Purpose): SentAttempt;
}

export interface SentAttempt {
  /** The head of an answer that is a success. */
  answered(): void;
  failed(failure: TargetFailure): void;
  /** Given up before there was an answer: nothing was learnt. */
  abandoned(): void;
}

/** Pairs of upstream and model remembered at most; callers choose model names, so there is no end of them. */
const TARGETS_MAX = 4_096;

/** A map that forgets what was written first when it is full. */
const boundedMap = <V>(max: number) => {
  const map = new Map<string, V>();
  return {
    get: (key: string): V | undefined => map.get(key),
    set: (key: string, value: V): void => {
      if (!map.has(key) && map.size >= max) {
        const [oldest = ''] = map.keys();
        map.delete(oldest);
      }
      map.set(key, value);
    },
  };
};

export const createTargetBoard = (
  clock: Clock,
  metrics: Pick<ProxyMetrics, 'setAside'>,
): TargetBoard => {
  const healths = boundedMap<TargetHealth>(TARGETS_MAX);
  const budgets = boundedMap<RetryBudget>(TARGETS_MAX);
  const keyOf = (target: Target, asked: string | undefined): string =>
    `${target.upstream.id} ${target.model ?? asked ?? ''}`;
  const healthOf = (key: string): TargetHealth => healths.get(key) ?? NO_HEALTH;
  const budgetOf = (upstream: string, nowMs: number): RetryBudget =>
    budgets.get(upstream) ?? fullBudget(nowMs);
  const pay = (upstream: string): void => {
    const nowMs = clock.monotonicMs();
    budgets.set(upstream, spend(budgetOf(upstream, nowMs), nowMs));
  };

  return {
    factsOf: (target, asked) => {
      const nowMs = clock.monotonicMs();
      const health = healthOf(keyOf(target, asked));
      return {
        asideUntilMs: isAside(health, nowMs) ? health.asideUntilMs : 0,
        latencyMs: expectedLatencyMs(health, nowMs),
        mayRetry: mayRetry(budgetOf(target.upstream.id, nowMs), nowMs),
      };
    },
    reserve: ({ upstream }) => pay(upstream.id),
    sent: (target, asked, purpose) => {
      const key = keyOf(target, asked);
      const { id } = target.upstream;
      const sentMs = clock.monotonicMs();
      healths.set(key, whenSent(healthOf(key), sentMs));
      if (purpose === 'first') budgets.set(id, earn(budgetOf(id, sentMs), sentMs));
      return {
        abandoned: () => healths.set(key, whenAbandoned(healthOf(key))),
        answered: () => {
          const nowMs = clock.monotonicMs();
          healths.set(key, whenAnswered(healthOf(key), nowMs - sentMs, nowMs));
        },
        failed: (failure) => {
          const nowMs = clock.monotonicMs();
          const before = healthOf(key);
          const after = whenFailed(before, failure, nowMs);
          healths.set(key, after);
          if (after.asideUntilMs > before.asideUntilMs) metrics.setAside.inc({ upstream: id });
          // Another upstream may be tried freely while it answers; when it fails too, it counts as a retry of its own.
          if (purpose === 'moved') pay(id);
        },
      };
    },
  };
};
