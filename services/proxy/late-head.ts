import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { clientHeaders } from './core/headers.ts';

/** What is to be told of an answer that is known only at its end, such as what it has cost. */
export interface LateOrders {
  /** The trailer to announce where the head cannot wait; null: the client takes none. */
  trailer: string | null;
  /** The answer is asked for as a stream: nothing of it waits. */
  streamed: boolean;
  /** @returns false when there is no room to hold so many bytes more. */
  hold: (bytes: number) => boolean;
  nowMs: () => number;
}

/** The head of one answer. */
export interface AnswerHead {
  /** Headers as they will go out; what is set or deleted before `send` counts. */
  readonly out: Record<string, string | string[]>;
  /**
   * Sends it, once; later calls do nothing.
   * @param known headers that are known by now; left out where the head cannot wait for them. Then trailers are announced.
   */
  send(known?: Record<string, string>): void;
  /** Says behind the body what the head could not, to a client that was told to expect it. */
  trail(known: Record<string, string>): void;
}

/** Statuses whose answer has no body, so no trailers either. */
const isBodiless = (status: number): boolean => status < 200 || status === 204 || status === 304;

export const createHead = (
  res: ServerResponse,
  answer: { status: number; headers: IncomingHttpHeaders },
  about: { extra: Record<string, string>; trailer: string | null },
): AnswerHead => {
  const { status } = answer;
  const out = clientHeaders(answer.headers);
  let sent = false;
  let announced = false;
  return {
    out,
    send: (known) => {
      if (sent) return;
      sent = true;
      const trailer = known || isBodiless(status) ? null : about.trailer;
      announced = trailer !== null;
      // Trailers end an answer that comes in chunks, not one of a stated length.
      if (announced) delete out['content-length'];
      res.writeHead(status, { ...out, ...about.extra, ...known, ...(trailer ? { trailer } : {}) });
    },
    trail: (known) => {
      if (announced) res.addTrailers(known);
    },
  };
};

/** A body waits for its end up to this size and, where it comes in drops (blanks that keep a connection alive), for so long. */
const HELD_BYTES_MAX = 65_536;
const HELD_MAX_MS = 1_000;

const isJson = (contentType: string | undefined): boolean =>
  /^\s*application\/([\w.-]+\+)?json\b/i.test(contentType ?? '');

/**
 * Says of each chunk of a body whether it may wait for the end, so that the head can tell what is known then. Only short bodies of JSON
 * may that nobody reads as a stream; once not, never again.
 */
export const createWaiting = (
  late: LateOrders | undefined,
  answer: { status: number; headers: IncomingHttpHeaders },
): ((chunk: Buffer) => boolean) => {
  if (!late || !isJson(answer.headers['content-type'])) return () => false;
  if (late.streamed && answer.status < 400) return () => false;
  let bytes = 0;
  let firstMs: number | null = null;
  let waits = true;
  return (chunk) => {
    if (!waits) return false;
    bytes += chunk.length;
    const nowMs = late.nowMs();
    firstMs ??= nowMs;
    waits = bytes <= HELD_BYTES_MAX && nowMs - firstMs <= HELD_MAX_MS && late.hold(chunk.length);
    return waits;
  };
};
