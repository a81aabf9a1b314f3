/**
 * Every topic in one place. Twelve partitions each, fixed when created; order is promised only per (proxy, boot)
 * sequence, and every consumer is order-insensitive.
 */
export const TOPICS = {
  /** Opened records; key attempt_id; compacted, the tombstone is written together with the closing event. Local to its proxy. */
  attempts: { name: 'attempts.opened.v1', compacted: true, local: true },
  /** Work that ends later; key event_id of the fact that stands until then; compacted. Local to its proxy, which asks for the end. */
  pendingOperations: { name: 'operations.pending.v1', compacted: true, local: true },
  /** Facts; key tenant. */
  usageEvents: { name: 'usage.events.v1', compacted: false, local: false },
  /** Facts; key tenant. */
  usageRated: { name: 'usage.rated.v1', compacted: false, local: false },
  /** Charges that wait for the entry they take the place of; key event_id; compacted. The rater's own. */
  supersessions: { name: 'usage.superseding.v1', compacted: true, local: false },
  /** The budget controller's stream; key the budget's tenant. */
  budgetLeases: { name: 'budget.leases.v1', compacted: false, local: false },
  /** Newest signal per scope; key scope. */
  budgetSignals: { name: 'budget.signals.v1', compacted: true, local: false },
  /** Newest record; key kind/id. */
  controlRecords: { name: 'control.records.v1', compacted: true, local: false },
  /** Facts; key tenant. */
  audit: { name: 'audit.records.v1', compacted: false, local: false },
  /** Facts; key tenant. */
  deadLetters: { name: 'dead.letters.v1', compacted: false, local: false },
} as const satisfies Record<string, { name: string; compacted: boolean; local: boolean }>;

export type TopicName = (typeof TOPICS)[keyof typeof TOPICS]['name'];
export const PARTITIONS = 12;

const BY_NAME = new Map<string, { name: string; compacted: boolean; local: boolean }>(
  Object.values(TOPICS).map((topic) => [topic.name, topic]),
);
/** Whether only the newest record per key is kept. */
export const isCompacted = (topic: TopicName): boolean => BY_NAME.get(topic)?.compacted === true;

/**
 * The partition of a key: FNV-1a over its UTF-8 bytes, modulo the partition count. Ours on every log, so that an
 * event lands in the same partition of the local log and of Kafka.
 */
export const partitionOf = (key: string): number => {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(key)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash % PARTITIONS;
};
