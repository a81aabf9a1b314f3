import type { ClientCall, ClientPresence } from './client-call.ts';
import type { Target } from './core/chain.ts';
import { isForOthers, isRetryable } from './core/retry.ts';
import type { Choice, Tried } from './core/targets.ts';
import { nextTarget } from './core/targets.ts';
import type { AttemptHead } from './exchange.ts';
import type { ProxyParts } from './proxy-parts.ts';
import type { Purpose, SentAttempt } from './target-board.ts';

/** One attempt of a trip. */
export interface Leg {
  readonly choice: Choice;
  /** From 1. */
  readonly number: number;
  /** For whom its answer is: the client, until another leg has won it. */
  readonly client: ClientPresence;
  /** Neither an answer's head nor a failure so far. */
  waiting(): boolean;
  /** What `AttemptOrders.withhold` asks. Decides where the next attempt goes. */
  withhold(head: AttemptHead): boolean;
  /** The attempt is over, or could not be made. */
  over(): void;
}

/** The way of one client call through the targets of its chain. */
export interface Trip {
  /** Where to go at first, and after a withheld answer; null: nowhere. */
  next(): Choice | null;
  /** A second attempt beside the one under way, once a trip; null when there is none to be had. */
  hedge(): Choice | null;
  begin(choice: Choice): Leg;
}

/** The provider failed, or refused what is not the caller's to mend. */
const isTargetsFault = (status: number | null): boolean =>
  status === null ||
  isRetryable(status) ||
  isForOthers(status) ||
  status === 403 ||
  status === 404 ||
  status === 408;

interface OpenLeg extends Leg {
  lose(): void;
}

/** The client as one leg sees it. */
const presenceFor = (client: ClientPresence) => {
  const listeners: (() => void)[] = [];
  let lost = false;
  const presence: ClientPresence = {
    left: () => lost || client.left(),
    onLeft: (listener) => {
      if (lost) return listener();
      listeners.push(listener);
      client.onLeft(() => {
        if (!lost) listener();
      });
    },
  };
  const lose = (): void => {
    if (lost || client.left()) return;
    lost = true;
    for (const listener of listeners.splice(0)) listener();
  };
  return { presence, lose };
};

const purposeOf = (history: readonly Tried[], choice: Choice): Purpose => {
  if (history.length === 0) return 'first';
  return choice.again || choice.role === 'hedge' ? 'again' : 'moved';
};

const createLeg = (
  client: ClientPresence,
  choice: Choice,
  about: {
    number: number;
    tried: Tried;
    sent: SentAttempt;
    judge: (leg: Leg, head: AttemptHead) => boolean;
  },
): OpenLeg => {
  const { number, tried, sent, judge } = about;
  const { presence, lose } = presenceFor(client);
  let waiting = true;
  const leg: OpenLeg = {
    choice,
    number,
    client: presence,
    lose,
    waiting: () => waiting,
    withhold: (head) => {
      waiting = false;
      tried.retryAfter = head.retryAfter;
      if (isTargetsFault(head.status)) sent.failed(head);
      else sent.answered();
      return judge(leg, head);
    },
    over: () => {
      if (waiting) sent.abandoned();
      waiting = false;
    },
  };
  return leg;
};

export const createTrip = (parts: ProxyParts, call: ClientCall): Trip => {
  const { chain, facts } = call;
  const history: Tried[] = [];
  const legs: OpenLeg[] = [];
  let decided: Choice | null = null;
  let hedged = false;

  const select = (othersOnly = false): Choice | null => {
    const { choice, budgetSpent } = nextTarget(chain, history, {
      factsOf: (target: Target) => parts.targets.factsOf(target, facts.model),
      draw: Math.random(),
      jitter: Math.random(),
      othersOnly,
    });
    const last = history.at(-1)?.target.upstream.id;
    if (budgetSpent && last !== undefined) parts.metrics.retriesRefused.inc({ upstream: last });
    return choice;
  };

  /** Whether the answer (or none) of a leg is kept from the client. */
  const judge = (leg: Leg, head: AttemptHead): boolean => {
    const { status, timeout } = head;
    if (leg.client.left()) return false;
    const others = legs.filter((other) => other !== leg);
    if (status !== null && status < 400) {
      for (const other of others) other.lose();
      return false;
    }
    // The answer of the other one may be better; the last to fail decides.
    if (others.some((other) => other.waiting())) return true;
    const elsewhere = status !== null && isForOthers(status);
    const fails = status === null ? !timeout : isRetryable(status) || elsewhere;
    decided = fails ? select(elsewhere) : null;
    if (decided?.again) parts.targets.reserve(decided.target);
    return decided !== null;
  };

  return {
    next: () => {
      const choice = history.length === 0 ? select() : decided;
      decided = null;
      return choice;
    },
    hedge: () => {
      if (hedged) return null;
      const choice = select();
      hedged = choice !== null;
      if (choice) parts.targets.reserve(choice.target);
      return choice && { ...choice, role: 'hedge', waitMs: 0 };
    },
    begin: (choice) => {
      const sent = parts.targets.sent(choice.target, facts.model, purposeOf(history, choice));
      const tried: Tried = { target: choice.target, step: choice.step };
      history.push(tried);
      const leg = createLeg(call.client, choice, { number: history.length, tried, sent, judge });
      legs.push(leg);
      return leg;
    },
  };
};
