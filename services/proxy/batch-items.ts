import { createHash } from 'node:crypto';
import type { PendingOperation } from '../../schemas/pending-operation.ts';
import type { Flavour } from '../../schemas/words.ts';
import type { BatchItem, BatchState } from './core/batch-results.ts';
import { readItem } from './core/batch-results.ts';
import { derivedId } from './derived-id.ts';

export type ResultFile = BatchState['files'][number];
type Progress = NonNullable<PendingOperation['progress']>;

/** The lines of one file of results in the order they come, each told from what is an event already. */
export interface ItemReading {
  /** The item of the next line, or null where it is an event already. */
  next(source: string): { item: BatchItem; eventId: string } | null;
  /** How far the reading has come. */
  progress(): Progress;
  /** The lines that were read before are not those at the file's beginning now. Known when the file has ended. */
  isReordered(): boolean;
}

const START = '0'.repeat(64);
/** Vendors take at most 100,000 requests in a batch; of a longer file the rest is taken to repeat no id. */
const IDS_MAX = 200_000;

/**
 * The same `custom_id` twice, which vendors forbid and hosts like them do not all check, is two items: the second is counted in.
 */
const createNaming = (batch: string) => {
  const times = new Map<string, number>();
  return (label: string): string => {
    const id = derivedId(batch, label);
    const time = (times.get(id) ?? 0) + 1;
    if (time > 1 || times.size < IDS_MAX) times.set(id, time);
    return time === 1 ? id : derivedId(batch, `${time}/${label}`);
  };
};

/**
 * @param about `written`: events of the batch in the log, where the file came in another order before; else null, and the lines that
 * the operation's progress counts are passed over.
 */
export const createItemReading = (
  operation: PendingOperation,
  about: { file: ResultFile; flavour: Flavour; written: ReadonlySet<string> | null },
): ItemReading => {
  const { file, flavour, written } = about;
  const before = operation.progress?.file === file.name ? operation.progress : undefined;
  const done = written === null ? (before?.lines ?? 0) : 0;
  const nameOf = createNaming(operation.fact.event_id);
  let lines = 0;
  let digest = START;
  let reordered = false;
  return {
    next: (source) => {
      const item = readItem(operation, flavour, { file: file.name, source });
      const eventId = nameOf(item.label);
      lines += 1;
      digest = createHash('sha256').update(digest).update(eventId).digest('hex');
      if (lines === done) reordered = digest !== before?.digest;
      if (lines <= done || reordered || written?.has(eventId)) return null;
      return { item, eventId };
    },
    progress: () => ({
      file: file.name,
      lines,
      digest,
      ...(written === null ? {} : { reordered: true }),
    }),
    isReordered: () => reordered || lines < done,
  };
};
