import { decodeEnvelope, encodeEnvelope } from '../../schemas/envelope.ts';
import type { PendingOperation } from '../../schemas/pending-operation.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import type { DeadLetterCounter } from '../platform/consume-batches.ts';
import { appendDeadLetters } from '../platform/consume-batches.ts';
import type { EventLog, LogEntry, StoredEntry } from '../platform/event-log.ts';

/** The record of an operation, to be appended with the fact that stands until it ends. */
export const operationEntry = (operation: PendingOperation, proxyId: string): LogEntry => ({
  topic: TOPICS.pendingOperations.name,
  key: operation.fact.event_id,
  value: encodeEnvelope(
    'pendingOperation',
    {
      id: operation.fact.event_id,
      source: `/proxy/${proxyId}`,
      subject: operation.fact.dimensions.tenant,
      time: operation.fact.event_ts,
    },
    operation,
  ),
});

/** Takes the record away, together with the fact that ends the operation. */
export const operationTombstone = (operation: PendingOperation): LogEntry => ({
  topic: TOPICS.pendingOperations.name,
  key: operation.fact.event_id,
  value: null,
});

const newestEntries = async (log: EventLog): Promise<StoredEntry[]> => {
  const newest = new Map<string, StoredEntry>();
  const subscription = log.subscribe({
    topic: TOPICS.pendingOperations.name,
    onBatch: async ({ entries }) => {
      for (const entry of entries) {
        if (entry.value === null) newest.delete(entry.key);
        else newest.set(entry.key, entry);
      }
    },
  });
  await Promise.race([subscription.caughtUp, subscription.ended]);
  await subscription.close();
  return [...newest.values()];
};

/** Operations that have not ended, oldest first. What cannot be read goes to the dead letters. */
export const loadOperations = async (
  log: EventLog,
  clock: Clock,
  countDeadLetters: DeadLetterCounter,
): Promise<PendingOperation[]> => {
  const operations: PendingOperation[] = [];
  for (const entry of await newestEntries(log)) {
    const decoded = decodeEnvelope('pendingOperation', entry.value ?? new Uint8Array());
    if (decoded.ok) {
      operations.push(decoded.value.data);
      continue;
    }
    const letters = [
      {
        log: log.name,
        topic: entry.topic,
        partition: entry.partition,
        offset: entry.offset,
        reason: decoded.reason,
        detail: decoded.detail,
        bytes: Buffer.from(entry.value ?? []).toString('base64'),
      },
    ];
    await appendDeadLetters(log, clock, letters);
    countDeadLetters(letters);
  }
  return operations.sort((a, b) => (a.fact.closed_at < b.fact.closed_at ? -1 : 1));
};

/** Ids of the events in the log that belong to a request. Those the log has been trimmed of are known downstream by their ids. */
export const loadWrittenIds = async (log: EventLog, requestId: string): Promise<Set<string>> => {
  const ids = new Set<string>();
  const subscription = log.subscribe({
    topic: TOPICS.usageEvents.name,
    onBatch: async ({ entries }) => {
      for (const { value } of entries) {
        if (value === null || !Buffer.from(value).includes(requestId)) continue;
        const decoded = decodeEnvelope('usageEvent', value);
        if (decoded.ok && decoded.value.data.request_id === requestId) {
          ids.add(decoded.value.data.event_id);
        }
      }
    },
  });
  await Promise.race([subscription.caughtUp, subscription.ended]);
  await subscription.close();
  return ids;
};
