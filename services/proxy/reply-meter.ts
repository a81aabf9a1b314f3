import { createParser } from 'eventsource-parser';
import type { Flavour } from '../../schemas/words.ts';
import type { Statement } from './core/flavour.ts';
import { isEventStream } from './core/headers.ts';
import { createReplyReader } from './core/reply-readers.ts';

/** Reads usage out of the decoded bytes of one reply, beside their way to the client. */
export interface ReplyMeter {
  feed(chunk: Buffer): void;
  end(): void;
  statement(): Statement;
  textSeen(): string;
  /** Some of an event stream was seen. */
  streamSeen(): boolean;
  /** The reply was too large to be read: what it states is not known. */
  overflown(): boolean;
}

/** Largest JSON body, and largest single event, that is read for usage. Beyond it bytes pass but usage is unknown. */
const READ_BYTES_MAX = 33_554_432;

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const createStreamMeter = (flavour: Flavour): ReplyMeter => {
  const reader = createReplyReader(flavour);
  const decoder = new TextDecoder();
  let seen = false;
  let overflown = false;
  const parser = createParser({
    maxBufferSize: READ_BYTES_MAX,
    onEvent: ({ data }) => {
      seen = true;
      reader.readEvent({ source: data, data: parseJson(data) });
    },
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
    statement: reader.statement,
    textSeen: reader.textSeen,
    streamSeen: () => seen,
    overflown: () => overflown,
  };
};

const createBodyMeter = (flavour: Flavour, isJson: boolean): ReplyMeter => {
  const reader = createReplyReader(flavour);
  let chunks: Buffer[] = [];
  let length = 0;
  return {
    feed: (chunk) => {
      length += chunk.length;
      if (!isJson || length > READ_BYTES_MAX) chunks = [];
      else chunks.push(chunk);
    },
    end: () => {
      if (chunks.length === 0) return;
      const source = (
        chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
      ).toString();
      chunks = [];
      const body = parseJson(source);
      if (body !== undefined) reader.readBody(source, body);
    },
    statement: reader.statement,
    textSeen: reader.textSeen,
    streamSeen: () => false,
    overflown: () => isJson && length > READ_BYTES_MAX,
  };
};

/** A meter for one reply, by what the reply says it is. */
export const createReplyMeter = (flavour: Flavour, contentType: string | undefined): ReplyMeter =>
  isEventStream(contentType)
    ? createStreamMeter(flavour)
    : createBodyMeter(flavour, contentType === undefined || /json/i.test(contentType));
