import type { TopicName } from '../../schemas/topics.ts';
import { PARTITIONS } from '../../schemas/topics.ts';
import type { Position, StoredEntry } from './event-log.ts';
import type { OffsetOwner } from './log-environment.ts';
import type { Head } from './log-state.ts';
import { NEW_HEAD } from './log-state.ts';

/** Keys of the environment, in the order they lie: entries, heads, offsets of groups. */
export const entryKey = ({ topic, partition, offset }: Position): (string | number)[] => [
  'entry',
  topic,
  partition,
  offset,
];
export const headsKey = (topic: TopicName): string[] => ['heads', topic];
export const offsetsKey = (owner: OffsetOwner): string[] => [
  'offsets',
  owner.group,
  owner.log,
  owner.topic,
];

/** Longest key of an entry, in bytes of UTF-8: its length is kept in two bytes. */
export const MAX_KEY_BYTES = 65_535;
const KIND_VALUE = 0;
const KIND_TOMBSTONE = 1;
const PREFIX_BYTES = 3;

/** Layout: one byte kind, two bytes length of the key (big-endian), the key in UTF-8, the value as it came. */
export const encodeEntry = (key: string, value: Uint8Array | null): Buffer => {
  const keyBytes = Buffer.byteLength(key);
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + keyBytes + (value?.byteLength ?? 0));
  bytes.writeUInt8(value === null ? KIND_TOMBSTONE : KIND_VALUE, 0);
  bytes.writeUInt16BE(keyBytes, 1);
  bytes.write(key, PREFIX_BYTES, 'utf8');
  if (value !== null) bytes.set(value, PREFIX_BYTES + keyBytes);
  return bytes;
};

/** The value is a copy: the memory an entry is read from is used again. */
export const decodeEntry = (position: Position, bytes: Uint8Array): StoredEntry => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const valueAt = PREFIX_BYTES + buffer.readUInt16BE(1);
  const key = buffer.toString('utf8', PREFIX_BYTES, valueAt);
  const isValue = buffer.readUInt8(0) === KIND_VALUE;
  const value = isValue ? new Uint8Array(buffer.subarray(valueAt)) : null;
  return { ...position, key, value };
};

const NUMBERS_PER_HEAD = 3;

export const encodeHeads = (heads: readonly Head[]): Buffer => {
  const bytes = Buffer.alloc(PARTITIONS * NUMBERS_PER_HEAD * 8);
  for (const [partition, head] of heads.entries()) {
    const at = partition * NUMBERS_PER_HEAD * 8;
    bytes.writeDoubleBE(head.start, at);
    bytes.writeDoubleBE(head.end, at + 8);
    bytes.writeDoubleBE(head.swept, at + 16);
  }
  return bytes;
};

/** Undefined bytes are a topic never written. */
export const decodeHeads = (bytes: Buffer | undefined): Head[] =>
  Array.from({ length: PARTITIONS }, (_, partition) => {
    if (bytes === undefined) return NEW_HEAD;
    const at = partition * NUMBERS_PER_HEAD * 8;
    return {
      start: bytes.readDoubleBE(at),
      end: bytes.readDoubleBE(at + 8),
      swept: bytes.readDoubleBE(at + 16),
    };
  });

/** Pairs of partition and offset, eight bytes each. */
export const encodeOffsets = (offsets: ReadonlyMap<number, number>): Buffer => {
  const bytes = Buffer.alloc(offsets.size * 16);
  for (const [index, [partition, offset]] of [...offsets].entries()) {
    bytes.writeDoubleBE(partition, index * 16);
    bytes.writeDoubleBE(offset, index * 16 + 8);
  }
  return bytes;
};

export const decodeOffsets = (bytes: Buffer | undefined): Map<number, number> => {
  const offsets = new Map<number, number>();
  for (let at = 0; at < (bytes?.byteLength ?? 0); at += 16) {
    if (bytes) offsets.set(bytes.readDoubleBE(at), bytes.readDoubleBE(at + 8));
  }
  return offsets;
};

/** Counts the writes of the environment, so that each can be told from the one before. */
export const SERIAL_KEY = ['serial'];
export const encodeSerial = (serial: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(serial);
  return bytes;
};
export const decodeSerial = (bytes: Buffer | undefined): number => bytes?.readDoubleBE(0) ?? 0;
