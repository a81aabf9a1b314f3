import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createBodyDecoder, isDecodable } from './body-decoder.ts';
import { streamFormat } from './core/stream-format.ts';
import type { AnswerHead, LateOrders } from './late-head.ts';
import { createHead, createWaiting } from './late-head.ts';
import { createUsageFilter } from './usage-filter.ts';

/** Carries one answer to the client, byte for byte. */
export interface ClientRelay {
  /** Sends the head, and what has come of the body before. */
  start(status: number, headers: IncomingHttpHeaders): void;
  /** @returns false when the client is slower than the upstream, or nothing may be sent yet: stop reading until that changes. */
  write(chunk: Buffer): boolean;
  /**
   * Sends what was held back and ends. Called when the event is on disk.
   * @param late headers that are known only now: with the head where it was not sent yet, else as trailers for a client that takes them.
   */
  finish(late?: Record<string, string>): Promise<void>;
  /** Breaks the connection, so that the client sees the cut that we saw. */
  cut(): void;
  /** Sends no more, not even what was held back: the event is not on disk. Where nothing was sent a refusal can still be. */
  abandon(): void;
  readonly started: boolean;
}

/** What becomes of an answer beside its bytes. */
export interface RelayOrders {
  /** The caller did not ask for usage, we did: undo what that added. */
  hideUsage: boolean;
  /** Headers of our own. */
  extra: Record<string, string>;
  /** Left out: nothing is told late. */
  late?: LateOrders | undefined;
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

const endWith = (res: ServerResponse, held: readonly Buffer[]): void => {
  const last = held.length === 1 ? held[0] : Buffer.concat(held);
  if (!last || last.length === 0) res.end();
  else if (last.length > ONE_WRITE_MAX) res.end(last);
  // As text of one character a byte: Node puts head and body into one write only when both are text.
  else res.end(last.toString('latin1'), 'latin1');
};

/**
 * The client's last byte waits for the event: of a body with a length the last chunk is held back, of a stream its end mark. So
 * streams always go out chunked, and no chunk of a stream is ever delayed. A short body of JSON is held back as a whole where
 * something is to be told late: its head goes out with what is known at the end.
 */
export const createClientRelay = (res: ServerResponse, orders: RelayOrders): ClientRelay => {
  const { hideUsage, extra, late } = orders;
  let streamed = false;
  let held: Buffer[] = [];
  let mayWait: (chunk: Buffer) => boolean = () => false;
  /** Of a body with a length it waits for the first byte, so that a refusal can still take its place. */
  let head: AnswerHead | null = null;
  let filter: ReturnType<typeof createUsageFilter> | null = null;
  let decoder: ReturnType<typeof createBodyDecoder> | null = null;

  const early = createEarly();

  const send = (chunk: Buffer): boolean => {
    if (chunk.length === 0 || res.destroyed) return true;
    if (streamed) return res.write(chunk);
    held.push(chunk);
    if (mayWait(chunk) || held.length === 1) return true;
    head?.send();
    const ready = held.splice(0, held.length - 1);
    return ready.map((one) => res.write(one)).every((taken) => taken);
  };
  const filtered = (chunk: Buffer): boolean => send(filter ? filter.write(chunk) : chunk);

  const pass = (chunk: Buffer): boolean => {
    if (!decoder) return send(chunk);
    decoder.write(chunk);
    return !res.writableNeedDrain;
  };

  return {
    get started() {
      return head !== null;
    },
    start: (status, headers) => {
      const answer = { status, headers };
      head = createHead(res, answer, { extra, trailer: late?.trailer ?? null });
      const format = streamFormat(headers['content-type']);
      streamed = format !== null;
      const length = headers['content-length'];
      if (!streamed && length !== undefined) head.out['content-length'] = length;
      // What cannot be decoded passes as it is: a caller that sees a usage chunk too many is better off than one that sees nothing.
      const readable = isDecodable(headers['content-encoding']);
      if (format === 'sse' && hideUsage && status < 400 && readable) {
        filter = createUsageFilter();
        decoder = createBodyDecoder(headers['content-encoding'], (chunk) => void filtered(chunk));
        delete head.out['content-encoding'];
      }
      mayWait = createWaiting(late, answer);
      if (streamed) {
        head.send();
        res.flushHeaders();
      }
      for (const chunk of early.release()) pass(chunk);
    },
    write: (chunk) => (head ? pass(chunk) : early.hold(chunk)),
    finish: async (known = {}) => {
      await decoder?.end();
      if (filter) send(filter.end());
      head?.send(known);
      head?.trail(known);
      endWith(res, held);
      held = [];
    },
    cut: () => {
      if (filter) send(filter.end());
      head?.send();
      for (const chunk of held.splice(0)) res.write(chunk);
      // Flushes what is written, then resets instead of ending cleanly.
      res.socket?.destroySoon();
    },
    abandon: () => {
      held = [];
      if (res.headersSent) res.socket?.destroy();
    },
  };
};
