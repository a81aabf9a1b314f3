import type { Framing, OnEvent } from './reply-framing.ts';
import { READ_BYTES_MAX } from './reply-framing.ts';

const OPEN = new Set([0x7b, 0x5b]);
const CLOSE = new Set([0x7d, 0x5d]);
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * A JSON array that grows (Gemini without `alt=sse`): the text of each element as soon as it is whole, so that a stream that breaks
 * off leaves what it had said.
 * @param onClosed called when the array has ended.
 */
export const createArrayFraming = (onEvent: OnEvent, onClosed: () => void): Framing => {
  let pieces: Buffer[] = [];
  let length = 0;
  /** 1 inside the array, 2 and more inside an element. */
  let depth = 0;
  let inString = false;
  let escaped = false;
  let overflown = false;

  const keep = (piece: Buffer): void => {
    length += piece.length;
    if (length <= READ_BYTES_MAX) pieces.push(piece);
    else overflown = true;
  };
  const take = (): void => {
    const text = Buffer.concat(pieces).toString('utf8');
    pieces = [];
    length = 0;
    if (!overflown) onEvent(text);
  };
  const close = (): void => {
    depth -= 1;
    if (depth === 0) onClosed();
  };
  return {
    feed: (chunk) => {
      let from = depth >= 2 ? 0 : -1;
      for (let at = 0; at < chunk.length && !overflown; at += 1) {
        const byte = chunk[at] ?? 0;
        if (inString) {
          if (escaped) escaped = false;
          else if (byte === BACKSLASH) escaped = true;
          else if (byte === QUOTE) inString = false;
        } else if (byte === QUOTE) inString = true;
        else if (OPEN.has(byte)) {
          depth += 1;
          if (depth === 2) from = at;
        } else if (CLOSE.has(byte)) {
          close();
          if (depth !== 1 || from < 0) continue;
          keep(chunk.subarray(from, at + 1));
          take();
          from = -1;
        }
      }
      if (from >= 0 && !overflown) keep(chunk.subarray(from));
    },
    end: () => undefined,
    overflown: () => overflown,
  };
};
