import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createBodyDecoder, isDecodable } from './body-decoder.ts';
import { clientHeaders } from './core/headers.ts';
import { streamFormat } from './core/stream-format.ts';
import { createUsageFilter } from './usage-filter.ts';

/** Carries one answer to the client, byte for byte. */
export interface ClientRelay {
  start(status: number, headers: IncomingHttpHeaders): void;
  /** @returns false when the client is slower than the upstream: stop reading until `onDrained`. */
  write(chunk: Buffer): boolean;
  /** Sends what was held back and ends. Called when the event is on disk. */
  finish(): Promise<void>;
  /** Breaks the connection, so that the client sees the cut that we saw. */
  cut(): void;
  /** Sends no more, not even what was held back: the event is not on disk. Where nothing was sent a refusal can still be. */
  abandon(): void;
  readonly started: boolean;
}

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
      if (!streamed) return;
      sendHead();
      res.flushHeaders();
    },
    write: (chunk) => {
      if (!decoder) return send(chunk);
      decoder.write(chunk);
      return !res.writableNeedDrain;
    },
    finish: async () => {
      await decoder?.end();
      if (filter) send(filter.end());
      sendHead();
      if (held) res.end(held);
      else res.end();
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
