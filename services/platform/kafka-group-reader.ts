import type { Fetched, KafkaDelivery } from './kafka-delivery.ts';

/** What one partition brought to a member of a group, and what the member may do with it. */
export interface MemberBatch extends Fetched {
  /** Tells the coordinator that this member lives; kafkajs sends it at most every heartbeat interval. */
  heartbeat(): Promise<void>;
  commit(next: ReadonlyMap<number, number>): Promise<void>;
  /** Lets the next fetch go on behind this batch. */
  resolve(): void;
}

/** A member of a consumer group, as the kafkajs adapter makes it. */
export interface GroupMember {
  run(handlers: {
    onJoin: (partitions: readonly number[]) => void;
    onBatch: (batch: MemberBatch) => Promise<void>;
    /** The log does not hold the group's offset; the member has not gone on elsewhere. */
    onOutOfRange: (partition: number) => void;
    /** The member cannot go on and is gone. */
    onCrash: (error: Error) => void;
  }): Promise<void>;
  stop(): Promise<void>;
}

/** A third of the heartbeat interval, so that no beat is missed by more than that. */
const HEARTBEAT_CHECK_MS = 1_000;

interface Waiting {
  batch: MemberBatch;
  done: () => void;
  failed: (error: unknown) => void;
}

/**
 * Gathers what one fetch brought of several partitions into one delivery with one commit. kafkajs hands over each partition
 * for itself; twelve small handler calls and commits would cost twelve round trips.
 */
export const gatherBatches = (delivery: KafkaDelivery): ((batch: MemberBatch) => Promise<void>) => {
  let waiting: Waiting[] = [];

  const flush = async (): Promise<void> => {
    const taken = waiting;
    waiting = [];
    const first = taken[0]?.batch;
    if (first === undefined) return;
    // A failed beat is a rebalance or a lost connection: the commit tells, and the batch comes again.
    const beat = setInterval(() => void first.heartbeat().catch(() => {}), HEARTBEAT_CHECK_MS);
    try {
      const batches = taken.map(({ batch }) => batch);
      if (await delivery.deliver(batches, (next) => first.commit(next))) {
        for (const batch of batches) batch.resolve();
      }
      for (const { done } of taken) done();
    } catch (error) {
      for (const { failed } of taken) failed(error);
    } finally {
      clearInterval(beat);
    }
  };

  return (batch) =>
    new Promise<void>((done, failed) => {
      waiting.push({ batch, done, failed });
      if (waiting.length === 1) setImmediate(() => void flush());
    });
};
