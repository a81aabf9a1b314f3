import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { Consumed } from '../platform/consume-batches.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { contentHash, insertUntilKnown } from './ingest.ts';

const COLUMNS = [
  'topic',
  'record_key',
  'recorded_at',
  'content_hash',
  'kind',
  'envelope_id',
  'subject',
  'version',
  'data_json',
  'record_json',
  'source_log',
  'source_partition',
  'source_offset',
  'ingested_at',
] as const;

type Record = Consumed<'controlRecord'> | Consumed<'budgetSignal'>;

const describe = (record: Record): { kind: string; version: number } => {
  const { data } = record.envelope;
  return 'kind' in data
    ? { kind: data.kind, version: 0 }
    : { kind: 'signal', version: data.version };
};

const historyRow = (record: Record, now: string): unknown[] => {
  const { envelope, entry } = record;
  const { kind, version } = describe(record);
  const text = Buffer.from(record.bytes).toString('utf8');
  return [
    entry.topic,
    entry.key,
    envelope.time,
    contentHash(record.bytes),
    kind,
    envelope.id,
    envelope.subject,
    version,
    JSON.stringify(envelope.data),
    text,
    record.log,
    entry.partition,
    entry.offset,
    now,
  ];
};

/** Keeps every version of a batch of control records or signals. The same version again changes nothing. */
export const keepHistory = async (
  deps: { warehouse: Warehouse; clock: Clock },
  records: readonly Record[],
): Promise<void> => {
  const now = toInstant(deps.clock.nowMs());
  const hash = contentHash(records.map(({ bytes }) => contentHash(bytes)).join(' '));
  const places = records.map(
    ({ log, entry }) => `${log}/${entry.topic}/${entry.partition}/${entry.offset}`,
  );
  await insertUntilKnown(deps.warehouse, {
    table: 'control_history',
    columns: COLUMNS,
    rows: records.map((record) => historyRow(record, now)),
    token: `control:v1:${places[0]}:${places.at(-1)}:${hash}`,
  });
};
