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

/** A reply that was not said to be a stream but is none else: its lines are read for events. */
const readLines = (reader: ReplyReader, source: string): void => {
  for (const line of source.split('\n')) {
    const text = line.replace(/^data:/, '').trim();
    if (!text.startsWith('{')) continue;
    const data = parseJson(text);
    if (data !== undefined) reader.readEvent({ source: text, data });
  }
};

const createBodyMeter = (reader: ReplyReader, isJson: boolean): ReplyMeter => {
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
      else readLines(reader, source);
    },
    statement: reader.statement,
    textSeen: reader.textSeen,
    streamSeen: () => false,
    overflown: () => isJson && length > READ_BYTES_MAX,
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
  const isJson = contentType === undefined || /json/i.test(contentType);
  return flavour === 'gemini.generate' && isJson
    ? createGeminiMeter(reader)
    : createBodyMeter(reader, isJson);
};
