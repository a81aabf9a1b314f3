import type { PendingOperation } from '../../../schemas/pending-operation.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { isUnderWay } from './close-attempt.ts';
import type { Statement } from './flavour.ts';
import { CORRECTION_TRIES_MAX, isBatch } from './follow-plan.ts';

type Fact = PendingOperation['fact'];

/** What came back when the provider was asked. `status` null: no answer. */
export interface Answer {
  status: number | null;
  statement: Statement;
}

/** What to do about an operation after an answer. */
export type Step =
  | { next: 'ask_again' }
  | { next: 'settle' }
  /** Nothing will come any more. */
  | { next: 'give_up'; why: 'deadline' | 'gone' | 'tries' };

/** The provider has no such work (any more). */
const GONE = new Set([404, 410]);
/** At least, and with nothing else in between: new work may not be everywhere yet, and a gateway on the way says so now and then. */
const GONE_TRIES = 3;

/** What answers so far have come to. `goneSinceMs`: monotonic ms, null unless the last answer was that there is no such work. */
export interface Asked {
  /** Answers that said something about the work. Refusals and faults do not: they pass. */
  told: number;
  gone: number;
  goneSinceMs: number | null;
}

export const NOT_ASKED: Asked = { told: 0, gone: 0, goneSinceMs: null };

/** @param status of the answer, null when none came. A refusal or fault neither ends nor prolongs "no such work". */
export const askedOnce = (asked: Asked, status: number | null, nowMs: number): Asked => {
  if (status === 200) return { told: asked.told + 1, gone: 0, goneSinceMs: null };
  if (status === null || !GONE.has(status)) return asked;
  return {
    told: asked.told + 1,
    gone: asked.gone + 1,
    goneSinceMs: asked.goneSinceMs ?? nowMs,
  };
};

/** Whether "no such work" has been said often and long enough to be believed. */
export const isGone = ({
  asked: { gone, goneSinceMs },
  nowMs,
  goneMs,
}: {
  asked: Asked;
  nowMs: number;
  goneMs: number;
}): boolean => gone >= GONE_TRIES && goneSinceMs !== null && nowMs - goneSinceMs >= goneMs;

/**
 * Decides about a single call asked for again (not about a batch's results).
 * @param at `asked`: this question included. `goneMs`: so long must nothing else than "no such work" have been said.
 */
export const decideStep = (
  operation: PendingOperation,
  answer: Answer,
  at: { asked: Asked; now: string; nowMs: number; goneMs: number },
): Step => {
  const { statement } = answer;
  const answered =
    answer.status === 200 && !isUnderWay(statement.finishReason) && !isBatch(operation);
  const stated = statement.completeness === 'full';
  if (answered && (stated || (!operation.corrects && statement.finishReason !== undefined))) {
    return { next: 'settle' };
  }
  if (at.now >= operation.deadline) return { next: 'give_up', why: 'deadline' };
  if (isGone(at)) return { next: 'give_up', why: 'gone' };
  if (
    operation.corrects &&
    at.asked.told >= CORRECTION_TRIES_MAX &&
    !isUnderWay(statement.finishReason)
  ) {
    return { next: 'give_up', why: 'tries' };
  }
  return { next: 'ask_again' };
};

/** What the new fact takes over: who, what for, where; not what was known about usage. */
export const identityOf = (fact: Fact) => {
  const {
    classes: _classes,
    units: _units,
    estimate: _estimate,
    parts: _parts,
    raw_usage: _raw,
    ending: _ending,
    supersedes: _supersedes,
    finish_reason: _reason,
    ...identity
  } = fact;
  return identity;
};

const NOTHING = { classes: {}, units: {} };

/** Ended without a word about usage: what failed or was called off costs nothing, what was done is not zero. */
const NOT_DONE = new Set(['failed', 'cancelled', 'canceled', 'expired']);

const figuresOf = (
  fact: Fact,
  statement: Statement,
): Pick<UsageEvent, 'ending' | 'classes' | 'units'> & Partial<Pick<UsageEvent, 'parts'>> => {
  if (statement.completeness === 'full') {
    return {
      ending:
        fact.error_kind === 'client_left' || fact.error_kind === 'hedge_lost'
          ? 'drained'
          : 'reported',
      classes: statement.classes,
      units: statement.units,
      ...(statement.parts ? { parts: statement.parts } : {}),
    };
  }
  const nothingDone =
    statement.completeness === 'none' && NOT_DONE.has(statement.finishReason ?? '');
  return { ending: nothingDone ? 'not_billed' : 'unknown', ...NOTHING };
};

/** Identity and time of a fact about to be written. */
export interface Writing {
  eventId: string;
  /** Of the run that writes it, in whose sequence it takes part. */
  bootId: string;
  now: string;
}

const statedOf = (statement: Statement): Partial<Fact> => ({
  ...(statement.finishReason === undefined ? {} : { finish_reason: statement.finishReason }),
  ...(statement.model === undefined ? {} : { model: statement.model }),
  ...(statement.tier === undefined ? {} : { tier: statement.tier }),
  ...(statement.geo === undefined ? {} : { geo: statement.geo }),
  ...(statement.rawUsage === undefined ? {} : { raw_usage: statement.rawUsage }),
});

/**
 * The fact that takes the place of the one that stood until now. Of background work the provider's own time of completion decides price and
 * period; a call that ran to its end before us is corrected in the time it was made.
 */
export const settledFact = (
  operation: PendingOperation,
  statement: Statement,
  writing: Writing,
): Fact => {
  const { fact, corrects } = operation;
  const completedAt = statement.completedAt ?? writing.now;
  return {
    ...identityOf(fact),
    ...statedOf(statement),
    event_id: writing.eventId,
    boot_id: writing.bootId,
    supersedes: fact.event_id,
    closed_at: writing.now,
    ...(corrects
      ? {}
      : {
          provider_completed_at: completedAt,
          duration_ms: Math.max(0, Date.parse(completedAt) - Date.parse(fact.event_ts)),
        }),
    ...figuresOf(fact, statement),
  };
};

/** The fact of work whose end was never learnt. Its usage is not zero: it is unknown. */
export const givenUpFact = (operation: PendingOperation, writing: Writing): Fact => ({
  ...identityOf(operation.fact),
  event_id: writing.eventId,
  boot_id: writing.bootId,
  supersedes: operation.fact.event_id,
  closed_at: writing.now,
  ending: 'unknown',
  ...NOTHING,
});
