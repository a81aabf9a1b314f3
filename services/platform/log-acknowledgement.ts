import type { TopicName } from '../../schemas/topics.ts';
import { isCompacted, PARTITIONS, TOPICS } from '../../schemas/topics.ts';

/** The group under which a log's writer keeps what its readers say they have taken over for good. */
export const TAKEN_OVER = 'taken-over';

/** What a reader tells the writer: everything before these offsets is kept elsewhere and need not be kept here. */
export interface Acknowledgement {
  topic: TopicName;
  offsets: ReadonlyMap<number, number>;
}

/** A reader that can tell the writer how far it has come. Told again and again: one that is lost costs nothing. */
export interface Acknowledging {
  /** Sends if the writer is there; says nothing about whether it heard. */
  acknowledge(topic: TopicName, offsets: ReadonlyMap<number, number>): void;
}

const NAMES = new Set<string>(Object.values(TOPICS).map(({ name }) => name));

export const encodeAcknowledgement = ({ topic, offsets }: Acknowledgement): string =>
  `${JSON.stringify({ topic, offsets: [...offsets] })}\n`;

const isOffset = (pair: unknown): pair is [number, number] =>
  Array.isArray(pair) &&
  pair.length === 2 &&
  pair.every((number) => Number.isSafeInteger(number) && number >= 0) &&
  pair[0] < PARTITIONS;

/** @returns null for anything but an acknowledgement of a topic that can be trimmed. */
export const decodeAcknowledgement = (line: string): Acknowledgement | null => {
  try {
    const { topic, offsets } = JSON.parse(line) as Record<string, unknown>;
    if (typeof topic !== 'string' || !NAMES.has(topic) || !Array.isArray(offsets)) return null;
    const name = topic as TopicName;
    if (isCompacted(name) || !offsets.every(isOffset)) return null;
    return { topic: name, offsets: new Map(offsets) };
  } catch {
    return null;
  }
};

/** A line is at most twelve pairs of numbers. */
const LINE_BYTES_MAX = 4_096;

/** Puts lines together from the pieces they arrive in. What is too long to be an acknowledgement is dropped. */
export const lineReader = (onLine: (line: string) => void): ((piece: Buffer) => void) => {
  let rest = '';
  return (piece) => {
    const lines = (rest + piece.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LINE_BYTES_MAX) rest = '';
    for (const line of lines) if (line.length <= LINE_BYTES_MAX) onLine(line);
  };
};
