import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import type {
  EventLog,
  LogBatch,
  LogEntry,
  OffsetStore,
  StoredEntry,
  SubscribeOptions,
  Subscription,
} from '../../services/platform/event-log.ts';

/** A log as the contract wants it: empty, and one that can be closed and opened again. */
export interface OpenedLog {
  log: EventLog;
  /** Closes the log and opens the same one again, as a restart of the process would. */
  reopen(): Promise<EventLog>;
}

/** Where adapters may differ, because their port says so. */
export interface LogTraits {
  /** One append over several topics is all or nothing, and visible all at once. */
  atomicOverTopics: boolean;
  /** `compact` does its work before it resolves, instead of leaving it to a broker. */
  compactsAtOnce: boolean;
  /** The log is an OffsetStore too: it keeps how far its owner has come in other logs. */
  keepsOffsets: boolean;
  /** How long a condition may take to come true. */
  patienceMs?: number;
}

export const FACTS = TOPICS.usageEvents.name;
export const RATED = TOPICS.usageRated.name;
export const RECORDS = TOPICS.controlRecords.name;
export const ATTEMPTS = TOPICS.attempts.name;

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (value: Uint8Array | null): string | null =>
  value === null ? null : new TextDecoder().decode(value);
export const fact = (key: string, value: string): LogEntry => ({
  topic: FACTS,
  key,
  value: bytes(value),
});
export const record = (key: string, value: string | null): LogEntry => ({
  topic: RECORDS,
  key,
  value: value === null ? null : bytes(value),
});
export const texts = (entries: readonly StoredEntry[]): (string | null)[] =>
  entries.map((entry) => text(entry.value));

/** Waits for a condition; says what it waited for when it never came. */
export const eventually = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  patienceMs = 15_000,
): Promise<void> => {
  const until = performance.now() + patienceMs;
  while (!(await condition())) {
    if (performance.now() > until) throw new Error(`waited ${patienceMs} ms in vain for: ${what}`);
    await delay(5);
  }
};

/** A subscriber that remembers what it was given. */
export const collect = (
  log: EventLog,
  options: Omit<SubscribeOptions, 'onBatch'>,
): { subscription: Subscription; seen: StoredEntry[]; batches: LogBatch[] } => {
  const seen: StoredEntry[] = [];
  const batches: LogBatch[] = [];
  const subscription = log.subscribe({
    ...options,
    onBatch: async (batch) => {
      batches.push(batch);
      seen.push(...batch.entries);
    },
  });
  onTestFinished(() => subscription.close());
  return { subscription, seen, batches };
};

export const asOffsetStore = (log: EventLog): OffsetStore => {
  if (!('saveOffsets' in log)) throw new TypeError(`${log.name} keeps no offsets`);
  return log as EventLog & OffsetStore;
};

export const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error as { code?: string }).code ?? error,
  );

/** A test of a promise that only some adapters make; for the others there is nothing to skip. */
export const promise = (made: boolean, sentence: string, check: () => Promise<void>): void => {
  if (made) test(sentence, check);
};
