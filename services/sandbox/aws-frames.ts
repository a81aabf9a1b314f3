import { EventStreamCodec } from '@smithy/eventstream-codec';

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes).toString('utf8'),
  (text) => Buffer.from(text, 'utf8'),
);
const text = (value: string) => ({ type: 'string' as const, value });

/** One message of an AWS event stream. */
export const awsFrame = (eventType: string, json: string): Buffer =>
  Buffer.from(
    codec.encode({
      headers: {
        ':event-type': text(eventType),
        ':content-type': text('application/json'),
        ':message-type': text('event'),
      },
      body: Buffer.from(json, 'utf8'),
    }),
  );

export const AWS_STREAM = 'application/vnd.amazon.eventstream';

/** Padding of varying length that AWS puts into the events of a stream, so that their sizes tell nothing. */
export const awsPad = (turn: number): string =>
  'abcdefghijklmnopqrstuvwxyz'.slice(0, (turn * 7) % 26);
