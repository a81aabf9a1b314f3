import { EventStreamCodec } from '@smithy/eventstream-codec';
import { createParser } from 'eventsource-parser';

/** Cuts the bytes of a stream into its events. */
export interface Framing {
  feed(chunk: Buffer): void;
  /** The stream ended, maybe in the middle of an event. */
  end(): void;
  /** An event was too large, or the framing is broken: what comes after is not read. */
  overflown(): boolean;
}

/** Gets the text of each event. */
export type OnEvent = (text: string) => void;

/** Largest JSON body, and largest single event, that is read for usage. Beyond it bytes pass but usage is unknown. */
export const READ_BYTES_MAX = 33_554_432;

/** Server-sent events: the text is the `data` field. */
export const createSseFraming = (onEvent: OnEvent): Framing => {
  const decoder = new TextDecoder();
  let overflown = false;
  const parser = createParser({
    maxBufferSize: READ_BYTES_MAX,
    onEvent: ({ data }) => onEvent(data),
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded') overflown = true;
    },
  });
  const feed = (text: string): void => {
    // A parser that has overflown throws on every further byte.
    if (!overflown) parser.feed(text);
  };
  return {
    feed: (chunk) => feed(decoder.decode(chunk, { stream: true })),
    // The last event of a stream that was cut behind its data is still a statement.
    end: () => feed(`${decoder.decode()}\n\n`),
    overflown: () => overflown,
  };
};

/** One JSON object a line (Ollama, Cohere v1). */
export const createLineFraming = (onEvent: OnEvent): Framing => {
  const decoder = new TextDecoder();
  // Pieces of the unfinished line are put together once, when it ends: a long one would be copied over and over.
  let pieces: string[] = [];
  let length = 0;
  let overflown = false;
  const keep = (text: string): void => {
    length += text.length;
    overflown = length > READ_BYTES_MAX;
    if (overflown) pieces = [];
    else if (text !== '') pieces.push(text);
  };
  const take = (text: string): void => {
    if (overflown) return;
    const end = text.lastIndexOf('\n');
    if (end < 0) {
      keep(text);
      return;
    }
    const whole = pieces.join('') + text.slice(0, end);
    pieces = [];
    length = 0;
    for (const line of whole.split('\n')) if (line.trim() !== '') onEvent(line);
    keep(text.slice(end + 1));
  };
  return {
    feed: (chunk) => take(decoder.decode(chunk, { stream: true })),
    end: () => take(`${decoder.decode()}\n`),
    overflown: () => overflown,
  };
};

const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

/** The payload of one message. InvokeModelWithResponseStream wraps the vendor's own event in base64. */
const payloadOf = (body: Uint8Array): string => {
  const text = toText(body);
  const wrapped = /^\s*\{\s*"bytes"\s*:\s*"([A-Za-z0-9+/=]*)"/.exec(text);
  return wrapped?.[1] === undefined ? text : Buffer.from(wrapped[1], 'base64').toString('utf8');
};

const PRELUDE_BYTES = 12;
const OVERHEAD_BYTES = 16;

/**
 * AWS event streams: binary messages with their length in front. Messages that name an exception carry no event. A message whose
 * checksum does not hold breaks the framing.
 */
export const createAwsFraming = (onEvent: OnEvent): Framing => {
  const codec = new EventStreamCodec(toText, (text) => Buffer.from(text, 'utf8'));
  let pending: Buffer[] = [];
  let length = 0;
  let broken = false;

  /** @returns false when the bytes at the front are no whole message yet. */
  const takeMessage = (bytes: Buffer): number => {
    if (bytes.length < PRELUDE_BYTES) return 0;
    const size = bytes.readUInt32BE(0);
    broken = size < OVERHEAD_BYTES || size > READ_BYTES_MAX;
    if (broken || bytes.length < size) return 0;
    try {
      const { headers, body } = codec.decode(bytes.subarray(0, size));
      if (headers[':message-type']?.value !== 'exception') onEvent(payloadOf(body));
    } catch {
      broken = true;
    }
    return size;
  };
  return {
    feed: (chunk) => {
      if (broken) return;
      pending.push(chunk);
      length += chunk.length;
      const [first] = pending;
      // Bytes of a long message are put together once, when it is whole.
      const wanted =
        first && first.length >= 4 ? first.readUInt32BE(0) : Math.min(length, PRELUDE_BYTES);
      if (length < wanted) return;
      let bytes = pending.length === 1 ? chunk : Buffer.concat(pending);
      for (let size = takeMessage(bytes); size > 0 && !broken; size = takeMessage(bytes)) {
        bytes = bytes.subarray(size);
      }
      pending = bytes.length > 0 && !broken ? [bytes] : [];
      length = broken ? 0 : bytes.length;
    },
    end: () => undefined,
    overflown: () => broken,
  };
};
