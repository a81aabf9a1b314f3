import { setImmediate as turn } from 'node:timers/promises';
import type { DataOf, EnvelopeKind, EnvelopeOf } from '../../schemas/envelope.ts';
import { decodeEnvelope, encodeEnvelope } from '../../schemas/envelope.ts';
import type { TopicName } from '../../schemas/topics.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from './clock.ts';
import { toInstant } from './clock.ts';
import type { EventLog, LogBatch, StoredEntry, Subscription } from './event-log.ts';
import type { Metrics } from './metrics.ts';

/** One readable record of a batch, with where it lies and the bytes as they were written. */
export interface Consumed<Kind extends EnvelopeKind> {
  log: string;
  entry: StoredEntry;
  bytes: Uint8Array;
  envelope: EnvelopeOf<Kind>;
}

/** A long batch is decoded in slices of this many, some 15 ms each: whoever else lives in this process gets its turn in between. */
const SLICE = 500;

export interface ConsumeOptions<Kind extends EnvelopeKind> {
  /** Logs that hold the topic: one per proxy in embedded mode, one Kafka in a cluster. */
  logs: readonly EventLog[];
  topic: TopicName;
  kind: Kind;
  group?: string;
  maxEntries?: number;
  /** Where a group's reader puts what cannot be read, before the batch is committed. */
  deadLetters: EventLog;
  /** Told of dead letters once they are durable. */
  onDeadLetters?: DeadLetterCounter;
  clock: Clock;
  /** Gets the readable records of one batch, in order; resolving commits the batch. */
  onRecords: (records: readonly Consumed<Kind>[], batch: LogBatch) => Promise<void>;
}

/** The running loop over all logs of one topic. */
export interface Consumption {
  readonly caughtUp: Promise<void>;
  readonly ended: Promise<void>;
  lag(): number | null;
  close(): Promise<void>;
}

const deadLetter = (
  batch: LogBatch,
  entry: StoredEntry,
  problem: { reason: 'unreadable' | 'invalid' | 'conflict'; detail: string },
): DataOf<'deadLetter'> => ({
  log: batch.log,
  topic: entry.topic,
  partition: entry.partition,
  offset: entry.offset,
  reason: problem.reason,
  detail: problem.detail,
  bytes: Buffer.from(entry.value ?? []).toString('base64'),
});

/** Appends what could not be taken to the dead letters; durable when it resolves. The key names the place, so a replay is recognised. */
export const appendDeadLetters = async (
  log: EventLog,
  clock: Clock,
  letters: readonly DataOf<'deadLetter'>[],
): Promise<void> => {
  if (letters.length === 0) return;
  const entries = letters.map((letter) => ({
    topic: TOPICS.deadLetters.name,
    key: letter.topic,
    value: encodeEnvelope(
      'deadLetter',
      {
        id: `${letter.log}/${letter.topic}/${letter.partition}/${letter.offset}`,
        source: '/consume-batches',
        subject: 'house',
        time: toInstant(clock.nowMs()),
      },
      letter,
    ),
  }));
  const appended = log.append(entries);
  await appended.stored;
  await appended.durable;
};

/** Is told of dead letters once they are durable. */
export type DeadLetterCounter = (
  letters: readonly Pick<DataOf<'deadLetter'>, 'topic' | 'reason'>[],
) => void;

/** Counts dead letters by topic and reason. Whoever writes them to a log counts them here: one that nobody counts is a loss. */
export const deadLetterCounter = (metrics: Metrics): DeadLetterCounter => {
  const counter = metrics.counter(
    'dead_letters_total',
    'Records that could not be taken and were put into dead.letters.v1, by their topic and why',
    ['topic', 'reason'],
  );
  return (letters) => {
    for (const { topic, reason } of letters) counter.inc({ topic, reason });
  };
};

/**
 * The one consumer loop: poll, decode, hand over, commit. A batch is committed only after `onRecords` resolved; what cannot
 * be decoded is in the dead letters by then. Tombstones are skipped. A crash anywhere replays the batch.
 */
export const consumeBatches = <Kind extends EnvelopeKind>(
  options: ConsumeOptions<Kind>,
): Consumption => {
  const onBatch = async (batch: LogBatch): Promise<void> => {
    const records: Consumed<Kind>[] = [];
    const letters: DataOf<'deadLetter'>[] = [];
    for (const [index, entry] of batch.entries.entries()) {
      if (index > 0 && index % SLICE === 0) await turn();
      if (entry.value === null) continue;
      const decoded = decodeEnvelope(options.kind, entry.value);
      if (decoded.ok) {
        records.push({ log: batch.log, entry, bytes: entry.value, envelope: decoded.value });
      } else {
        letters.push(deadLetter(batch, entry, decoded));
      }
    }
    // A reader without a group comes by at every start; the groups of the same topic have told already.
    if (options.group !== undefined) {
      await appendDeadLetters(options.deadLetters, options.clock, letters);
      options.onDeadLetters?.(letters);
    }
    if (records.length > 0) await options.onRecords(records, batch);
  };
  const subscriptions: Subscription[] = options.logs.map((log) =>
    log.subscribe({
      topic: options.topic,
      ...(options.group === undefined ? {} : { group: options.group }),
      ...(options.maxEntries === undefined ? {} : { maxEntries: options.maxEntries }),
      onBatch,
    }),
  );
  const ended = Promise.all(subscriptions.map((s) => s.ended)).then(() => undefined);
  const caughtUp = Promise.all(subscriptions.map((s) => s.caughtUp)).then(() => undefined);
  // A subscription that fails never catches up: whoever waits for that must learn of it.
  const caughtUpOrFailed = Promise.race([caughtUp, ended]);
  caughtUpOrFailed.catch(() => {});
  return {
    caughtUp: caughtUpOrFailed,
    ended,
    lag: () => {
      let total = 0;
      for (const subscription of subscriptions) {
        const lag = subscription.lag();
        if (lag === null) return null;
        total += lag;
      }
      return total;
    },
    close: async () => {
      await Promise.all(subscriptions.map((s) => s.close()));
    },
  };
};
