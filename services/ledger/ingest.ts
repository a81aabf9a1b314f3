import { hash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { DeadLetterCounter } from '../platform/consume-batches.ts';
import { appendDeadLetters } from '../platform/consume-batches.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { InsertBlock, Warehouse } from '../platform/warehouse.ts';
import { sqlString, sqlStrings } from '../platform/warehouse.ts';
import type { Block, Fact, SetAside } from './core/fact.ts';
import { blockRange, cutBlocks, sortFacts } from './core/fact.ts';

/** A table facts go into, and what they are called there. */
export interface FactTable {
  stream: 'usage' | 'rated';
  table: 'usage_archive' | 'ledger_entries';
  idColumn: 'event_id' | 'entry_id';
  columns: readonly string[];
}

export interface IngestResult {
  accepted: Fact[];
  duplicates: number;
  conflicts: number;
  invalid: number;
}

/** Takes batches of facts into one table, each fact once. */
export interface Ingester {
  /** Resolves when every insert of the batch is on disk. Calls are served one after the other. */
  ingest(facts: readonly Fact[]): Promise<IngestResult>;
  /** Number of the last insert that is on disk. */
  sequence(): number;
}

export interface IngestDeps {
  warehouse: Warehouse;
  /** Where conflicting records go, beside the quarantine table. */
  deadLetters: EventLog;
  /** Told of dead letters once they are durable. */
  onDeadLetters: DeadLetterCounter;
  clock: Clock;
}

const LIMITS = { maxRows: 10_000, maxBytes: 16 * 1024 * 1024 };
/** An IN list this long stays well under the statement's size limit. */
const IDS_PER_LOOKUP = 5_000;
const ATTEMPTS = 5;
const FIRST_DELAY_MS = 100;

/** First 128 bits of SHA-256, hex. */
export const contentHash = (bytes: Uint8Array | string): string =>
  hash('sha256', bytes, 'hex').slice(0, 32);

/** Sends the same block with the same token until its outcome is known: 5 times at most, over about 3 seconds. */
export const insertUntilKnown = async (warehouse: Warehouse, block: InsertBlock): Promise<void> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await warehouse.insert(block);
      return;
    } catch (error) {
      const again = error instanceof ReckonerError && error.retryable && attempt < ATTEMPTS;
      if (!again) throw error;
      await wait(FIRST_DELAY_MS * 2 ** (attempt - 1));
    }
  }
};

const findKnown = async (
  warehouse: Warehouse,
  target: FactTable,
  facts: readonly Fact[],
): Promise<Map<string, string>> => {
  const known = new Map<string, string>();
  const ids = [...new Set(facts.map((fact) => fact.id))].sort();
  for (let from = 0; from < ids.length; from += IDS_PER_LOOKUP) {
    const some = sqlStrings(ids.slice(from, from + IDS_PER_LOOKUP));
    const rows = await warehouse.query<{ id: string; hash: string }>(
      `SELECT ${target.idColumn} AS id, content_hash AS hash FROM ${target.table} WHERE ${target.idColumn} IN ${some}`,
    );
    for (const { id, hash } of rows) known.set(id, hash);
  }
  return known;
};

const QUARANTINE_COLUMNS = [
  'stream',
  'fact_id',
  'content_hash',
  'accepted_hash',
  'reason',
  'detail',
  'tenant',
  'event_ts',
  'source_log',
  'source_topic',
  'source_partition',
  'source_offset',
  'record_json',
  'quarantined_at',
] as const;

/** An instant the warehouse cannot hold must not stop its record from being set aside. */
const storable = (instant: string): string =>
  Number.isNaN(Date.parse(instant)) || instant >= '2262' || instant < '1970'
    ? '1970-01-01T00:00:00.000Z'
    : instant;

const quarantineRow = (stream: string, item: SetAside, now: string): unknown[] => [
  stream,
  item.fact.id,
  item.fact.hash,
  item.acceptedHash,
  item.reason,
  item.detail,
  item.fact.tenant,
  storable(item.fact.eventTs),
  item.fact.place.log,
  item.fact.place.topic,
  item.fact.place.partition,
  item.fact.place.offset,
  item.fact.json,
  now,
];

/** Leaves out what the quarantine holds already, so that a replay tells nobody twice. */
const onlyNew = async (
  warehouse: Warehouse,
  stream: string,
  items: readonly SetAside[],
): Promise<SetAside[]> => {
  const held = await warehouse.query<{ key: string }>(
    `SELECT concat(fact_id, ' ', content_hash) AS key FROM quarantine
     WHERE stream = ${sqlString(stream)} AND fact_id IN ${sqlStrings(items.map((item) => item.fact.id))}`,
  );
  const seen = new Set(held.map(({ key }) => key));
  return items.filter(({ fact }) => {
    const key = `${fact.id} ${fact.hash}`;
    const isNew = !seen.has(key);
    seen.add(key);
    return isNew;
  });
};

const setAside = async (
  deps: IngestDeps,
  stream: string,
  items: readonly SetAside[],
): Promise<SetAside[]> => {
  if (items.length === 0) return [];
  const fresh = await onlyNew(deps.warehouse, stream, items);
  if (fresh.length === 0) return [];
  // Letters first: after a crash in between, the table does not hold them yet and both are written again.
  const letters = fresh.map(({ fact, reason, detail }) => ({
    ...fact.place,
    reason,
    detail,
    bytes: Buffer.from(fact.json).toString('base64'),
  }));
  await appendDeadLetters(deps.deadLetters, deps.clock, letters);
  deps.onDeadLetters(letters);
  const now = toInstant(deps.clock.nowMs());
  for (const block of cutBlocks(
    fresh.map(({ fact }) => fact),
    LIMITS,
  )) {
    const inBlock = new Set(block.facts);
    const rows = fresh.filter(({ fact }) => inBlock.has(fact));
    await insertUntilKnown(deps.warehouse, {
      table: 'quarantine',
      columns: QUARANTINE_COLUMNS,
      rows: rows.map((item) => quarantineRow(stream, item, now)),
      token: `quarantine:v1:${blockToken(block)}`,
    });
  }
  return fresh;
};

const blockToken = (block: Block): string =>
  `${blockRange(block)}:${contentHash(block.facts.map(({ id, hash }) => `${id} ${hash}`).join('\n'))}`;

const lastSequence = async (warehouse: Warehouse, table: string): Promise<number> => {
  const [row] = await warehouse.query<{ last: string }>(
    `SELECT max(ingest_sequence) AS last FROM ${table}`,
  );
  return Number(row?.last ?? 0);
};

/**
 * Opens the way into one table. Two layers keep a fact from going in twice: the look-up of every id before the insert, and the
 * table's own engine; the insert's token spares the work where the very same block comes again.
 */
export const createIngester = async (deps: IngestDeps, target: FactTable): Promise<Ingester> => {
  let sequence = await lastSequence(deps.warehouse, target.table);
  let tail: Promise<unknown> = Promise.resolve();

  const insertBlock = async (block: Block): Promise<void> => {
    const next = sequence + 1;
    const now = toInstant(deps.clock.nowMs());
    await insertUntilKnown(deps.warehouse, {
      table: target.table,
      columns: [...target.columns, 'ingest_sequence', 'ingested_at'],
      rows: block.facts.map((fact) => [...fact.row, next, now]),
      token: `${target.stream}:v1:${blockToken(block)}`,
    });
    sequence = next;
  };

  const ingestOne = async (facts: readonly Fact[]): Promise<IngestResult> => {
    const sorted = sortFacts(facts, await findKnown(deps.warehouse, target, facts));
    for (const block of cutBlocks(sorted.accepted, LIMITS)) await insertBlock(block);
    const fresh = await setAside(deps, target.stream, sorted.setAside);
    return {
      accepted: sorted.accepted,
      duplicates: sorted.duplicates.length,
      conflicts: fresh.filter(({ reason }) => reason === 'conflict').length,
      invalid: fresh.filter(({ reason }) => reason === 'invalid').length,
    };
  };

  return {
    ingest: (facts) => {
      const run = tail.then(() => ingestOne(facts));
      tail = run.catch(() => undefined);
      return run;
    },
    sequence: () => sequence,
  };
};
