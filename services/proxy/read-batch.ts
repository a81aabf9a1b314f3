import type { Upstream } from '../../schemas/control-record.ts';
import type { PendingOperation } from '../../schemas/pending-operation.ts';
import { toInstant } from '../platform/clock.ts';
import { readUpstream } from './ask-upstream.ts';
import type { ClosingFact } from './attempt-journal.ts';
import type { ResultFile } from './batch-items.ts';
import { createItemReading } from './batch-items.ts';
import { createBodyDecoder } from './body-decoder.ts';
import type { BatchItem, BatchState } from './core/batch-results.ts';
import { itemFact, jobFact } from './core/batch-results.ts';
import { resultsTarget } from './core/follow-plan.ts';
import { askedOnce, isGone } from './core/settle-operation.ts';
import { derivedId } from './derived-id.ts';
import type { Followed, FollowerDeps } from './follow-parts.ts';
import { goneMsOf } from './follow-parts.ts';
import { loadWrittenIds, operationEntry, operationTombstone } from './operation-store.ts';
import { createLineFraming } from './reply-framing.ts';

interface Reading {
  upstream: Upstream;
  state: BatchState;
  signal: AbortSignal;
}

/** `gone`: the provider has no such results (any more). `reordered`: they came in another order than before. */
type FileEnd = 'whole' | 'broken' | 'gone' | 'reordered';

/** Events of one append. A kill in between repeats at most so many lines of reading, and no event. */
const GROUP_MAX = 200;

const factOf = (
  deps: FollowerDeps,
  operation: PendingOperation,
  about: { state: BatchState; item: BatchItem; eventId: string },
): ClosingFact => {
  const { state, item, eventId } = about;
  const fact = itemFact(operation, item, {
    eventId,
    attemptId: derivedId(eventId, 'attempt'),
    bootId: deps.bootId,
    now: toInstant(deps.clock.nowMs()),
    completedAt: state.completedAt,
  });
  const { flavour, ending, attempt_role: role } = fact;
  deps.metrics.attempts.inc({ flavour, ending, role });
  if (ending === 'unknown') deps.metrics.unreadable.inc({ flavour });
  return fact;
};

/** Collects the events of a file and appends them in groups, each together with how far the reading has come. */
const createItemWriter = (
  deps: FollowerDeps,
  followed: Followed,
  about: { state: BatchState; file: ResultFile; written: ReadonlySet<string> | null },
) => {
  const { operation } = followed;
  const { state, file, written } = about;
  const items = createItemReading(operation, { file, flavour: state.itemFlavour, written });
  let group: ClosingFact[] = [];
  return {
    take: (source: string): void => {
      const isNew = items.next(source);
      if (isNew) group.push(factOf(deps, operation, { state, ...isNew }));
    },
    waiting: () => group.length,
    flush: async (): Promise<void> => {
      if (group.length === 0) return;
      const facts = group;
      group = [];
      const further = { ...operation, progress: items.progress() };
      await deps.journal.record(facts, [operationEntry(further, deps.proxyId)]);
      followed.operation = further;
    },
    isReordered: items.isReordered,
  };
};

/** Reads one file of results. What was read is written, also where it breaks off. */
const readFile = async (
  deps: FollowerDeps,
  followed: Followed,
  file: ResultFile,
  reading: Reading & { written: ReadonlySet<string> | null },
): Promise<FileEnd> => {
  const { state, written } = reading;
  const writer = createItemWriter(deps, followed, { state, file, written });
  const framing = createLineFraming(writer.take);
  let decoder = createBodyDecoder(undefined, framing.feed);
  let status: number | null = null;
  const whole = await readUpstream(
    deps,
    {
      upstream: reading.upstream,
      target: resultsTarget(followed.operation, file.id),
      signal: AbortSignal.any([reading.signal]),
    },
    {
      onStart: (code, headers) => {
        status = code;
        decoder = createBodyDecoder(headers['content-encoding'], framing.feed);
      },
      onData: (chunk) => {
        if (status === 200) decoder.write(chunk);
        return writer.waiting() >= GROUP_MAX ? writer.flush() : undefined;
      },
    },
  );
  const nowMs = deps.clock.monotonicMs();
  followed.resultsAsked = askedOnce(followed.resultsAsked, status, nowMs);
  if (isGone({ asked: followed.resultsAsked, nowMs, goneMs: goneMsOf(deps.pace) })) return 'gone';
  if (!whole || status !== 200) return 'broken';
  await decoder.end();
  framing.end();
  if (writer.isReordered()) return 'reordered';
  await writer.flush();
  return framing.overflown() ? 'broken' : 'whole';
};

const readFiles = async (
  deps: FollowerDeps,
  followed: Followed,
  reading: Reading,
): Promise<FileEnd> => {
  const { files } = reading.state;
  const { fact, progress } = followed.operation;
  const written = progress?.reordered ? await loadWrittenIds(deps.log, fact.request_id) : null;
  const from = files.findIndex(({ name }) => name === progress?.file);
  for (const file of files.slice(Math.max(0, from))) {
    const end = await readFile(deps, followed, file, { ...reading, written });
    if (end !== 'whole') return end;
  }
  return 'whole';
};

/**
 * Turns the results of a batch that is over into events, then says so of the job itself. Lines that earlier readings have written are
 * passed over; should the lines come in another order than before, by their identity instead of their number.
 * @returns `not_read` when something could not be read; it is read again later, from where it was left.
 */
export const readBatch = async (
  deps: FollowerDeps,
  followed: Followed,
  reading: Reading,
): Promise<'read' | 'not_read' | 'gone'> => {
  let end = await readFiles(deps, followed, reading);
  if (end === 'reordered' && followed.operation.progress) {
    const progress = { ...followed.operation.progress, reordered: true as const };
    followed.operation = { ...followed.operation, progress };
    deps.logger.warn(
      { event_id: followed.operation.fact.event_id },
      'the results of a batch came in another order than before; what is written already is looked up in the log',
    );
    end = await readFiles(deps, followed, reading);
  }
  if (end !== 'whole') return end === 'gone' ? 'gone' : 'not_read';
  const { operation } = followed;
  const fact = jobFact(operation, {
    eventId: derivedId(operation.fact.event_id, 'settled'),
    bootId: deps.bootId,
    now: toInstant(deps.clock.nowMs()),
    completedAt: reading.state.completedAt,
  });
  await deps.journal.record([fact], [operationTombstone(operation)]);
  deps.metrics.operations.inc({ operation: operation.operation, outcome: 'read' });
  return 'read';
};
