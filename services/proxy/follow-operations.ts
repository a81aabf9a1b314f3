import type { PendingOperation } from '../../schemas/pending-operation.ts';
import { toInstant } from '../platform/clock.ts';
import { askUpstream, NO_ANSWER } from './ask-upstream.ts';
import { batchState } from './core/batch-results.ts';
import type { Statement } from './core/flavour.ts';
import { isBatch, mayDeleteResults, namesWork, statusTarget } from './core/follow-plan.ts';
import { createOperationReader } from './core/operation-readers.ts';
import type { Step, Writing } from './core/settle-operation.ts';
import { askedOnce, decideStep, givenUpFact, settledFact } from './core/settle-operation.ts';
import { derivedId } from './derived-id.ts';
import type { Followed, FollowerDeps } from './follow-parts.ts';
import { followedOf, goneMsOf } from './follow-parts.ts';
import type { FollowPace } from './follow-turns.ts';
import { createTurns } from './follow-turns.ts';
import { loadOperations, operationTombstone } from './operation-store.ts';
import { readBatch } from './read-batch.ts';

/** Follows work that this proxy's upstreams finish later, each to its end, however often clients ask. */
export interface Follower {
  /** Follows on from now; its record is in the log already. */
  follow(operation: PendingOperation): void;
  /** Takes up what earlier runs left. Resolves when that is read. */
  start(): Promise<void>;
  /** A client saw the work under this id; ask soon. */
  wake(workId: string): void;
  /**
   * A client wants to delete something at an upstream: what that would take away is read before.
   * @returns false when the reading has not ended in time, so that nothing may be deleted yet.
   */
  beforeDeletion(upstream: string, path: string): Promise<boolean>;
  pending(): number;
  /** Since the oldest fact that still waits, in seconds; null when none does. */
  oldestAgeS(): number | null;
  /** Stops asking. What is not settled is taken up by the next run. */
  close(): Promise<void>;
}

export const DEFAULT_PACE: FollowPace = { baseMs: 5_000, maxMs: 600_000 };
const ASKING_MAX = 8;
/** Operations in memory; more wait in the log until there is room. */
const FOLLOWED_MAX = 20_000;
/** How long a client's deletion waits for what it would take away to be read. */
const DELETION_WAIT_MAX_MS = 20_000;

const writingOf = (deps: FollowerDeps, operation: PendingOperation): Writing => ({
  eventId: derivedId(operation.fact.event_id, 'settled'),
  bootId: deps.bootId,
  now: toInstant(deps.clock.nowMs()),
});

const giveUp = async (
  deps: FollowerDeps,
  operation: PendingOperation,
  why: string,
): Promise<void> => {
  const { fact, corrects } = operation;
  deps.metrics.operations.inc({ operation: operation.operation, outcome: 'given_up' });
  deps.logger[corrects ? 'info' : 'error'](
    { event_id: fact.event_id, upstream: fact.upstream, operation: operation.operation, why },
    corrects
      ? 'the provider states no usage for a call that was estimated; the estimate stands'
      : 'the usage of work that was taken on will never be known; the event is unknown',
  );
  await deps.journal.record(corrects ? [] : [givenUpFact(operation, writingOf(deps, operation))], [
    operationTombstone(operation),
  ]);
};

/** Whether a call that was asked for again is settled now, one way or the other. */
const settle = async (
  deps: FollowerDeps,
  operation: PendingOperation,
  statement: Statement,
  step: Step,
): Promise<boolean> => {
  if (step.next === 'give_up') await giveUp(deps, operation, step.why);
  if (step.next === 'settle') {
    const fact = settledFact(operation, statement, writingOf(deps, operation));
    await deps.journal.record([fact], [operationTombstone(operation)]);
    deps.metrics.operations.inc({ operation: operation.operation, outcome: fact.ending });
  }
  return step.next !== 'ask_again';
};

/**
 * One question about one operation.
 * @returns true when it has ended.
 */
const ask = async (
  deps: FollowerDeps,
  followed: Followed,
  signal: AbortSignal,
): Promise<boolean> => {
  const { operation } = followed;
  followed.seenByClient = false;
  const upstream = deps.upstreamOf(operation.fact.upstream);
  const reader = createOperationReader(operation.operation);
  const answer = upstream
    ? await askUpstream(deps, { upstream, target: statusTarget(operation), signal })
    : NO_ANSWER;
  if (signal.aborted) return false;
  if (answer.status === 200 && answer.body !== undefined) {
    reader.readBody(answer.source, answer.body);
  }
  const statement = reader.statement();
  const nowMs = deps.clock.monotonicMs();
  followed.asked = askedOnce(followed.asked, answer.status, nowMs);
  const step = decideStep(
    operation,
    { status: answer.status, statement },
    {
      asked: followed.asked,
      now: toInstant(deps.clock.nowMs()),
      nowMs,
      goneMs: goneMsOf(deps.pace),
    },
  );
  if (!isBatch(operation) || !upstream) return settle(deps, operation, statement, step);
  const state = answer.status === 200 ? batchState(operation, answer.body) : null;
  const read = state?.over
    ? await readBatch(deps, followed, { upstream, state, signal })
    : 'not_read';
  if (read === 'read') return true;
  if (signal.aborted || (read !== 'gone' && step.next !== 'give_up')) return false;
  // As far as it was read: what is given up now is what was moved on meanwhile.
  return settle(
    deps,
    followed.operation,
    statement,
    read === 'gone' ? { next: 'give_up', why: 'gone' } : step,
  );
};

export const createFollower = (deps: FollowerDeps): Follower => {
  const stopping = new AbortController();
  let leftInLog = false;
  let loading = false;

  const follow = (operation: PendingOperation): void => {
    const id = operation.fact.event_id;
    if (turns.size() < FOLLOWED_MAX) turns.add(id, followedOf(operation));
    else if (!turns.has(id)) leftInLog = true;
  };
  /** Ended since the log was last read: what was read then may still name them. */
  const ended = new Set<string>();
  const load = async (): Promise<void> => {
    leftInLog = false;
    loading = true;
    ended.clear();
    for (const operation of await loadOperations(
      deps.log,
      deps.clock,
      deps.metrics.countDeadLetters,
    )) {
      if (!ended.has(operation.fact.event_id)) follow(operation);
    }
    loading = false;
  };
  // A log that refuses: the operation is still in it and is asked about again.
  const onFailed = (error: unknown): void =>
    deps.logger.error({ error: (error as Error).name }, 'following an operation failed');
  const turns = createTurns<Followed>({
    clock: deps.clock,
    pace: deps.pace,
    atOnce: ASKING_MAX,
    ask: async (followed) => {
      const isOver = await ask(deps, followed, stopping.signal);
      if (isOver && loading) ended.add(followed.operation.fact.event_id);
      if (leftInLog && turns.size() <= FOLLOWED_MAX / 2) await load();
      return isOver;
    },
    onFailed,
  });
  return {
    follow,
    start: load,
    wake: (workId) =>
      turns.hasten((followed) => {
        const isSeen = followed.operation.id === workId;
        followed.seenByClient ||= isSeen;
        return isSeen;
      }),
    beforeDeletion: (upstream, path) =>
      turns.askNow(
        ({ operation, seenByClient }) =>
          operation.fact.upstream === upstream &&
          (namesWork(operation, path) || (seenByClient && mayDeleteResults(operation, path))),
        DELETION_WAIT_MAX_MS,
      ),
    pending: () => turns.size(),
    oldestAgeS: () => {
      let oldest: string | undefined;
      for (const { operation } of turns.items()) {
        const { fact } = operation;
        if (oldest === undefined || fact.closed_at < oldest) oldest = fact.closed_at;
      }
      return oldest === undefined ? null : (deps.clock.nowMs() - Date.parse(oldest)) / 1000;
    },
    close: async () => {
      stopping.abort();
      await turns.close();
    },
  };
};
