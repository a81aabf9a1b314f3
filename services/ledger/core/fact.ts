/** Where a record stood. */
export interface Place {
  log: string;
  topic: string;
  partition: number;
  offset: number;
}

/** One record on its way into a table, as far as deciding about it needs to know. */
export interface Fact {
  /** `event_id` or `entry_id`. */
  id: string;
  /** Hash of the record's bytes. */
  hash: string;
  tenant: string;
  eventTs: string;
  place: Place;
  /** The record's exact text. */
  json: string;
  /** Length of that in bytes. */
  bytes: number;
  /** One value per column of its table, in order. */
  row: readonly unknown[];
  /** Why it cannot be taken, in words without content; null when it can. */
  problem: string | null;
}

/** A fact set aside, with the hash that was accepted in its place where there is one. */
export interface SetAside {
  fact: Fact;
  reason: 'conflict' | 'invalid';
  acceptedHash: string;
  detail: string;
}

export interface Sorted {
  accepted: Fact[];
  duplicates: Fact[];
  setAside: SetAside[];
}

const conflictDetail = (fact: Fact, acceptedHash: string): string =>
  `${fact.id} was accepted with content ${acceptedHash}; this record carries the same id with content ${fact.hash}`;

/**
 * Decides about each fact of a batch, in order: the first content of an id is accepted, the same again is a duplicate, other
 * content is a conflict.
 * @param known hash of every id of the batch that the table already holds.
 */
export const sortFacts = (facts: readonly Fact[], known: ReadonlyMap<string, string>): Sorted => {
  const accepted: Fact[] = [];
  const duplicates: Fact[] = [];
  const setAside: SetAside[] = [];
  const hashes = new Map(known);
  for (const fact of facts) {
    const held = hashes.get(fact.id);
    if (held === fact.hash) {
      duplicates.push(fact);
    } else if (held !== undefined) {
      const detail = conflictDetail(fact, held);
      setAside.push({ fact, reason: 'conflict', acceptedHash: held, detail });
    } else if (fact.problem !== null) {
      setAside.push({ fact, reason: 'invalid', acceptedHash: '', detail: fact.problem });
    } else {
      hashes.set(fact.id, fact.hash);
      accepted.push(fact);
    }
  }
  return { accepted, duplicates, setAside };
};

/** Facts that go in as one insert: one month, bounded in rows and bytes. */
export interface Block {
  month: string;
  facts: Fact[];
}

/** Cuts facts into blocks by month of `event_ts`; within a month in order, at most `maxRows` and about `maxBytes` each. */
export const cutBlocks = (
  facts: readonly Fact[],
  limits: { maxRows: number; maxBytes: number },
): Block[] => {
  const open = new Map<string, { block: Block; bytes: number }>();
  const blocks: Block[] = [];
  for (const fact of facts) {
    const month = fact.eventTs.slice(0, 7);
    let current = open.get(month);
    if (
      !current ||
      current.block.facts.length >= limits.maxRows ||
      current.bytes + fact.bytes > limits.maxBytes
    ) {
      current = { block: { month, facts: [] }, bytes: 0 };
      open.set(month, current);
      blocks.push(current.block);
    }
    current.block.facts.push(fact);
    current.bytes += fact.bytes;
  }
  return blocks;
};

/** What a block covers, in text: log, topic, offsets by partition, month. With a hash of the contents it makes the insert's token. */
export const blockRange = (block: Block): string => {
  const ranges = new Map<string, { first: number; last: number }>();
  for (const { place } of block.facts) {
    const key = `${place.log}/${place.topic}/${place.partition}`;
    const range = ranges.get(key);
    if (!range) ranges.set(key, { first: place.offset, last: place.offset });
    else {
      range.first = Math.min(range.first, place.offset);
      range.last = Math.max(range.last, place.offset);
    }
  }
  const parts = [...ranges].map(([key, { first, last }]) => `${key}:${first}-${last}`);
  return `${parts.sort().join(',')}:${block.month}`;
};

/** Start of the UTC hour, and whose: the unit a rollup is recomputed in. */
export interface Bucket {
  tenant: string;
  hour: string;
}

/** The buckets that facts fall into, each once. */
export const bucketsOf = (facts: readonly Fact[]): Bucket[] => {
  const buckets = new Map<string, Bucket>();
  for (const { tenant, eventTs } of facts) {
    const hour = `${eventTs.slice(0, 13)}:00:00.000Z`;
    buckets.set(`${tenant}/${hour}`, { tenant, hour });
  }
  return [...buckets.values()];
};
