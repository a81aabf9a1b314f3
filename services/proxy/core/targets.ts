import type { AttemptRecord } from '../../../schemas/usage-event.ts';
import type { Chain, Step, Target } from './chain.ts';
import { retryWaitMs } from './retry.ts';

export type AttemptRole = AttemptRecord['attempt_role'];

/** An attempt of the call that was sent already. */
export interface Tried {
  target: Target;
  step: number;
  /** The target's own word on when to come back, seconds. */
  retryAfter?: string | undefined;
}

/** What is known of a target right now. */
export interface TargetFacts {
  /** It failed of late: others are preferred until then. 0: it is as good as any. */
  asideUntilMs: number;
  /** Expected time to the first byte; null: nothing is known. */
  latencyMs: number | null;
  /** Its upstream may be given a further attempt (see retry-budget.ts). */
  mayRetry: boolean;
}

/** What the choice depends on beside chain and history. */
export interface Circumstances {
  factsOf: (target: Target) => TargetFacts;
  /** From 0 to below 1: chooses among equals. */
  draw: number;
  /** From 0 to below 1: spreads the waits. */
  jitter: number;
  /** The last failure would meet the call at the same upstream again (a refused credential): only others come into question. */
  othersOnly?: boolean;
}

/** Where the next attempt goes. */
export interface Choice {
  target: Target;
  step: number;
  role: AttemptRole;
  /** Before it is sent; 0 when it goes to another target. */
  waitMs: number;
  /** The call was at this upstream before, under this or another model. */
  again: boolean;
}

/** A choice, or none; then `budgetSpent` says whether a retry budget was what stood in the way. */
export interface Selection {
  choice: Choice | null;
  budgetSpent: boolean;
}

interface Candidate {
  target: Target;
  step: number;
  tries: number;
  waitMs: number;
  again: boolean;
  facts: TargetFacts;
}

/** Share of calls that look at a target which is not the fastest, so that one which became fast is found. */
const EXPLORED = 0.05;

const byWeight = (among: readonly Candidate[], draw: number): Candidate | undefined => {
  const total = among.reduce((sum, { target }) => sum + target.weight, 0);
  let rest = draw * total;
  for (const candidate of among) {
    if (rest < candidate.target.weight) return candidate;
    rest -= candidate.target.weight;
  }
  return among.at(-1);
};

const byLatency = (among: readonly Candidate[], draw: number): Candidate | undefined => {
  if (draw < EXPLORED) return byWeight(among, draw / EXPLORED);
  const unknown = among.filter(({ facts }) => facts.latencyMs === null);
  if (unknown.length > 0) return byWeight(unknown, (draw - EXPLORED) / (1 - EXPLORED));
  return among.reduce((best, candidate) =>
    (candidate.facts.latencyMs ?? 0) < (best.facts.latencyMs ?? 0) ? candidate : best,
  );
};

const candidatesOf = (
  chain: Chain,
  history: readonly Tried[],
  about: Circumstances,
): Candidate[] => {
  const last = history.at(-1)?.step ?? 0;
  /** Whether a target of the step may be tried twice. What an earlier step has left are targets that were passed over. */
  const repeats = (at: number): boolean =>
    at >= last && (chain.steps[at]?.attemptsMax !== undefined || at === chain.steps.length - 1);
  const candidateOf = (target: Target, step: number): Candidate[] => {
    const before = history.filter((tried) => tried.target === target);
    const atUpstream = history.filter((tried) => tried.target.upstream.id === target.upstream.id);
    const again = atUpstream.length > 0;
    if (atUpstream.length >= target.upstream.attempts_max) return [];
    if (again && about.othersOnly) return [];
    const tries = before.length;
    if (tries > 0 && !repeats(step)) return [];
    const waitMs = tries === 0 ? 0 : retryWaitMs(tries, before.at(-1)?.retryAfter, about.jitter);
    if (waitMs === null) return [];
    return [{ target, step, tries, waitMs, again, facts: about.factsOf(target) }];
  };
  const isOpen = (step: Step, at: number): boolean =>
    history.filter((tried) => tried.step === at).length < (step.attemptsMax ?? chain.attemptsMax);
  return chain.steps.flatMap((step, at) =>
    isOpen(step, at) ? step.targets.flatMap((target) => candidateOf(target, at)) : [],
  );
};

/** The candidates that come before all others. Those set aside come last, and so do steps the call has passed. */
const foremost = (candidates: readonly Candidate[], last: number): Candidate[] => {
  const ready = candidates.filter(({ facts, step }) => facts.asideUntilMs === 0 && step >= last);
  const order = (a: Candidate, b: Candidate): number =>
    ready.length > 0
      ? a.step - b.step || a.tries - b.tries
      : a.tries - b.tries || a.step - b.step || a.facts.asideUntilMs - b.facts.asideUntilMs;
  const sorted = (ready.length > 0 ? ready : candidates).toSorted(order);
  const [first] = sorted;
  return first ? sorted.filter((candidate) => order(first, candidate) === 0) : [];
};

const roleOf = (history: readonly Tried[], step: number): AttemptRole => {
  const last = history.at(-1);
  if (!last) return 'primary';
  return last.step === step ? 'retry' : 'fallback';
};

/**
 * Where the next attempt of a call goes. Within a step targets that were not tried yet come first, chosen by the chain's strategy; then
 * the next step. A target that failed of late is passed over while there is another. The same target again waits, another does not.
 * @param history the call's attempts so far, in order; empty for the first.
 */
export const nextTarget = (
  chain: Chain,
  history: readonly Tried[],
  about: Circumstances,
): Selection => {
  if (history.length >= chain.attemptsMax) return { choice: null, budgetSpent: false };
  const all = candidatesOf(chain, history, about);
  const affordable = history.length === 0 ? all : all.filter(({ facts }) => facts.mayRetry);
  const among = foremost(affordable, history.at(-1)?.step ?? 0);
  const choose = chain.strategy === 'least_latency' ? byLatency : byWeight;
  const chosen = among.length === 0 ? undefined : choose(among, about.draw);
  if (!chosen) return { choice: null, budgetSpent: affordable.length < all.length };
  const { target, step, waitMs, again } = chosen;
  return {
    choice: { target, step, waitMs, again, role: roleOf(history, step) },
    budgetSpent: false,
  };
};
