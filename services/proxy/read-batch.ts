import type { Upstream } from '../../schemas/control-record.ts';
import type { PendingOperation } from '../../schemas/pending-operation.ts';
import { toInstant } from '../platform/clock.ts';
import { readUpstream } from './ask-upstream.ts';
import type { ClosingFact } from './attempt-journal.ts';
import { createBodyDecoder } from './body-decoder.ts';
import type { BatchState } from './core/batch-results.ts';
import { itemFact, jobFact, readItem } from './core/batch-results.ts';
import { resultsTarget } from './core/follow-plan.ts';
import { derivedId } from './derived-id.ts';
import type { Followed, FollowerDeps } from './follow-parts.ts';
import { operationEntry, operationTombstone } from './operation-store.ts';
import { createLineFraming } from './reply-framing.ts';

interface Reading {
  upstream: Upstream;
  state: BatchState;
  signal: AbortSignal;
}

type ResultFile = BatchState['files'][number];

/** Events of one append. A kill in between repeats at most so many lines of reading, and no event. */
const GROUP_MAX = 200;

const factOf = (
  deps: FollowerDeps,
  operation: PendingOperation,
  about: { state: BatchState; file: ResultFile; line: number; source: string },
): ClosingFact => {
  const { state, file, line, source } = about;
  const item = readItem(operation, state.itemFlavour, { file: file.name, line, source });
  const batch = operation.fact.event_id;
  const fact = itemFact(operation, item, {
    eventId: derivedId(batch, item.label),
    attemptId: derivedId(batch, `attempt/${item.label}`),
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
  about: { state: BatchState; file: ResultFile },
) => {
  const { operation } = followed;
  const done = operation.progress?.file === about.file.name ? operation.progress.lines : 0;
  let line = 0;
  let group: ClosingFact[] = [];
  return {
    take: (source: string): void => {
      line += 1;
      if (line > done) group.push(factOf(deps, operation, { ...about, line, source }));
    },
    waiting: () => group.length,
    flush: async (): Promise<void> => {
      if (group.length === 0) return;
      const facts = group;
      group = [];
      const further = { ...operation, progress: { file: about.file.name, lines: line } };
      await deps.journal.record(facts, [operationEntry(further, deps.proxyId)]);
      followed.operation = further;
    },
  };
};

/** @returns false when the file could not be read to its end; what was read is written. */
const readFile = async (
  deps: FollowerDeps,
  followed: Followed,
  file: ResultFile,
  reading: Reading,
): Promise<boolean> => {
  const writer = createItemWriter(deps, followed, { state: reading.state, file });
  const framing = createLineFraming(writer.take);
  let decoder = createBodyDecoder(undefined, framing.feed);
  let status = 0;
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
  if (!whole || status !== 200) return false;
  await decoder.end();
  framing.end();
  await writer.flush();
  return !framing.overflown();
};

/**
 * Turns the results of a batch that is over into events, then says so of the job itself. Lines that earlier readings have written are
 * passed over: the results of a batch that is over do not change.
 * @returns false when something could not be read; it is read again later, from where it was left.
 */
export const readBatch = async (
  deps: FollowerDeps,
  followed: Followed,
  reading: Reading,
): Promise<boolean> => {
  const { files } = reading.state;
  const from = files.findIndex(({ name }) => name === followed.operation.progress?.file);
  for (const file of files.slice(Math.max(0, from))) {
    if (!(await readFile(deps, followed, file, reading))) return false;
  }
  const { operation } = followed;
  const fact = jobFact(operation, {
    eventId: derivedId(operation.fact.event_id, 'settled'),
    bootId: deps.bootId,
    now: toInstant(deps.clock.nowMs()),
    completedAt: reading.state.completedAt,
  });
  await deps.journal.record([fact], [operationTombstone(operation)]);
  deps.metrics.operations.inc({ operation: operation.operation, outcome: 'read' });
  return true;
};
