import type { UnitQuantities } from '../../schemas/usage-event.ts';
import type { Flavour } from '../../schemas/words.ts';
import type { ReplyHead, ReplyReader, Statement } from './core/flavour.ts';
import { createReplyReader } from './core/reply-readers.ts';
import { streamFormat } from './core/stream-format.ts';
import { createArrayFraming } from './json-array-framing.ts';
import type { Framing, OnEvent } from './reply-framing.ts';
import {
  createAwsFraming,
  createLineFraming,
  createSseFraming,
  READ_BYTES_MAX,
} from './reply-framing.ts';

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

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** Without the byte order mark that some hosts put in front; JSON knows none. */
const withoutMark = (text: string): string => (text.startsWith('\ufeff') ? text.slice(1) : text);

const createStreamMeter = (
  reader: ReplyReader,
  createFraming: (onEvent: OnEvent) => Framing,
): ReplyMeter => {
  let seen = false;
  const framing = createFraming((text) => {
    seen = true;
    reader.readEvent({ source: text, data: parseJson(text) });
  });
  return {
    feed: framing.feed,
    end: framing.end,
    statement: reader.statement,
    textSeen: reader.textSeen,
    streamSeen: () => seen,
    overflown: framing.overflown,
  };
};

/** A field of a server-sent event, or a comment, at the start of a line. */
const SSE_LINE = /^(data|event|id|retry)?:/;

/** A reply that was not said to be a stream but is one: its events are read as of one that was. */
const readUnsaidStream = (reader: ReplyReader, bytes: Buffer, source: string): void => {
  const onEvent: OnEvent = (text) => {
    const data = parseJson(text);
    if (data !== undefined) reader.readEvent({ source: text, data });
  };
  const binary = bytes.length >= 12 && bytes.readUInt16BE(0) === 0;
  const framing = binary
    ? createAwsFraming(onEvent)
    : (SSE_LINE.test(source.trimStart()) ? createSseFraming : createLineFraming)(onEvent);
  framing.feed(bytes);
  framing.end();
};

/** Starts of what can be read although its content type does not say so: JSON, events; an AWS message begins with its length. */
const LOOKS_READABLE = /^(\u00ef\u00bb\u00bf)?\s*([{[]|(data|event|id|retry)?:)|^\0\0/;
/** Bytes that tell. */
const START_BYTES = 16;

/** @param stated whether the content type says that it can be read; undefined where only a look at the bytes tells. */
const createBodyMeter = (reader: ReplyReader, stated: boolean | undefined): ReplyMeter => {
  let chunks: Buffer[] = [];
  let length = 0;
  let isRead = stated;
  /** Audio and pages of a proxy in between are not kept. */
  const look = (): void => {
    isRead ??= LOOKS_READABLE.test(Buffer.concat(chunks).toString('latin1', 0, 64));
    if (!isRead) chunks = [];
  };
  return {
    feed: (chunk) => {
      length += chunk.length;
      if (isRead === false || length > READ_BYTES_MAX) chunks = [];
      else chunks.push(chunk);
      if (isRead === undefined && length >= START_BYTES) look();
    },
    end: () => {
      look();
      const [first] = chunks;
      if (!first) return;
      const bytes = chunks.length === 1 ? first : Buffer.concat(chunks);
      chunks = [];
      const source = withoutMark(bytes.toString());
      const body = parseJson(source);
      if (body !== undefined) reader.readBody(source, body);
      else readUnsaidStream(reader, bytes, source);
    },
    statement: reader.statement,
    textSeen: reader.textSeen,
    streamSeen: () => false,
    overflown: () => isRead === true && length > READ_BYTES_MAX,
  };
};

/** Gemini's JSON answers: one object, or an array that is a stream in all but its content type. The first byte tells. */
const createGeminiMeter = (reader: ReplyReader): ReplyMeter => {
  const whole = createBodyMeter(reader, true);
  const stream = createStreamMeter(reader, (onEvent) =>
    createArrayFraming(onEvent, () => reader.readBody('[]', [])),
  );
  let chosen: ReplyMeter | null = null;
  const of = (): ReplyMeter => chosen ?? whole;
  return {
    feed: (chunk) => {
      const first = chunk.find((byte) => byte > 0x20);
      if (chosen === null && first !== undefined) chosen = first === 0x5b ? stream : whole;
      of().feed(chunk);
    },
    end: () => of().end(),
    statement: reader.statement,
    textSeen: reader.textSeen,
    streamSeen: () => of().streamSeen(),
    overflown: () => of().overflown(),
  };
};

const isReadable = (contentType: string | undefined): boolean | undefined => {
  if (contentType === undefined || /json/i.test(contentType)) return true;
  return /^\s*(audio|video|image)\//i.test(contentType) ? false : undefined;
};

const FRAMINGS = { sse: createSseFraming, lines: createLineFraming, aws: createAwsFraming };

/**
 * A meter for one reply, by what the reply says it is.
 * @param about `head`: the reply's status and headers, once they are known. `asked`: units the request states.
 */
export const createReplyMeter = (
  flavour: Flavour,
  contentType: string | undefined,
  about: { head?: ReplyHead; asked?: UnitQuantities | undefined } = {},
): ReplyMeter => {
  const reader = createReplyReader(flavour, about.asked);
  if (about.head) reader.readHead?.(about.head);
  const format = streamFormat(contentType);
  if (format !== null) return createStreamMeter(reader, FRAMINGS[format]);
  const readable = isReadable(contentType);
  return flavour === 'gemini.generate' && readable === true
    ? createGeminiMeter(reader)
    : createBodyMeter(reader, readable);
};
