import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createBodyDecoder, isDecodable } from './body-decoder.ts';
import { clientHeaders } from './core/headers.ts';
import { streamFormat } from './core/stream-format.ts';
import { createUsageFilter } from './usage-filter.ts';

/** Carries one answer to the client, byte for byte. */
export interface ClientRelay {
  /** Sends the head, and what has come of the body before. */
  start(status: number, headers: IncomingHttpHeaders): void;
  /** @returns false when the client is slower than the upstream, or nothing may be sent yet: stop reading until that changes. */
  write(chunk: Buffer): boolean;
  /** Sends what was held back and ends. Called when the event is on disk. */
  finish(): Promise<void>;
  /** Breaks the connection, so that the client sees the cut that we saw. */
  cut(): void;
  /** Sends no more, not even what was held back: the event is not on disk. Where nothing was sent a refusal can still be. */
  abandon(): void;
  readonly started: boolean;
}

/** Body that is sent together with the head, in bytes. */
const ONE_WRITE_MAX = 16_384;

/** Bytes that may come before the answer may start. A short answer is whole by then, and its event on its way. */
const EARLY_BYTES_MAX = 65_536;

/** What comes before the answer may start. */
const createEarly = () => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return {
    /** @returns false when there is enough: stop reading. */
    hold: (chunk: Buffer): boolean => {
      chunks.push(chunk);
      bytes += chunk.length;
      return bytes <= EARLY_BYTES_MAX;
    },
    release: (): Buffer[] => chunks.splice(0),
  };
};

const endWith = (res: ServerResponse, last: Buffer | null): void => {
  if (last === null) res.end();
  else if (last.length > ONE_WRITE_MAX) res.end(last);
  // As text of one character a byte: Node puts head and body into one write only when both are text.
  else res.end(last.toString('latin1'), 'latin1');
};

/**
 * The client's last byte waits for the event: of a body with a length the last chunk is held back, of a stream its end mark. So
 * streams always go out chunked, and no chunk of a stream is ever delayed.
 * @param hideUsage the caller did not ask for usage, we did: undo what that added.
 * @param extra headers of our own.
 */
export const createClientRelay = (
  res: ServerResponse,
  hideUsage: boolean,
  extra: Record<string, string>,
): ClientRelay => {
  let started = false;
  let streamed = false;
  let held: Buffer | null = null;
  /** Sends the head. Of a body with a length it waits for the first byte, so that a refusal can still take its place. */
  let sendHead: () => void = () => undefined;
  let filter: ReturnType<typeof createUsageFilter> | null = null;
  let decoder: ReturnType<typeof createBodyDecoder> | null = null;

  const early = createEarly();

  const send = (chunk: Buffer): boolean => {
    if (chunk.length === 0 || res.destroyed) return true;
    if (streamed) return res.write(chunk);
    const before = held;
    held = chunk;
    if (before === null) return true;
    sendHead();
    return res.write(before);
  };
  const filtered = (chunk: Buffer): boolean => send(filter ? filter.write(chunk) : chunk);

  const pass = (chunk: Buffer): boolean => {
    if (!decoder) return send(chunk);
    decoder.write(chunk);
    return !res.writableNeedDrain;
  };

  return {
    get started() {
      return started;
    },
    start: (status, headers) => {
      started = true;
      const format = streamFormat(headers['content-type']);
      streamed = format !== null;
      const out = clientHeaders(headers);
      const length = headers['content-length'];
      if (!streamed && length !== undefined) out['content-length'] = length;
      // What cannot be decoded passes as it is: a caller that sees a usage chunk too many is better off than one that sees nothing.
      const readable = isDecodable(headers['content-encoding']);
      if (format === 'sse' && hideUsage && status < 400 && readable) {
        filter = createUsageFilter();
        decoder = createBodyDecoder(headers['content-encoding'], (chunk) => void filtered(chunk));
        delete out['content-encoding'];
      }
      sendHead = () => {
        sendHead = () => undefined;
        res.writeHead(status, { ...out, ...extra });
      };
      if (streamed) {
        sendHead();
        res.flushHeaders();
      }
      for (const chunk of early.release()) pass(chunk);
    },
    write: (chunk) => (started ? pass(chunk) : early.hold(chunk)),
    finish: async () => {
      await decoder?.end();
      if (filter) send(filter.end());
      sendHead();
      endWith(res, held);
      held = null;
    },
    cut: () => {
      if (filter) send(filter.end());
      sendHead();
      if (held) res.write(held);
      held = null;
      // Flushes what is written, then resets instead of ending cleanly.
      res.socket?.destroySoon();
    },
    abandon: () => {
      held = null;
      sendHead = () => undefined;
      if (res.headersSent) res.socket?.destroy();
    },
  };
};
