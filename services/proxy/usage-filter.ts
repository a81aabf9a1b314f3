import { hideUsage } from './core/usage-hiding.ts';

/** Turns the bytes of a stream that was asked for usage into those of one that was not. */
export interface UsageFilter {
  /** @returns what can go to the client now; may be empty. */
  write(chunk: Buffer): Buffer;
  /** @returns what is left when the stream has ended, even in the middle of an event. */
  end(): Buffer;
}

/** Longest event that is looked into; a longer one passes as it is. */
const EVENT_MAX = 8_388_608;
/** Two line ends, each CRLF, LF or CR, the longest of which has two bytes. */
const BOUNDARY = /(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))/g;
const NOTHING = Buffer.alloc(0);

/**
 * Holds at most one incomplete event: a client could do nothing with it yet. Bytes are handled as latin1, one unit a byte, so
 * a multi-byte character on a chunk boundary stays whole.
 */
export const createUsageFilter = (): UsageFilter => {
  let pending = '';
  let lineFeedSeen = false;
  /** A CR at the end of what is there may be half a CRLF, but not in a stream that ends its lines in CR only. */
  const isCertain = (): boolean =>
    BOUNDARY.lastIndex < pending.length || !lineFeedSeen || pending.endsWith('\n');
  return {
    write: (chunk) => {
      const searchFrom = Math.max(0, pending.length - 3);
      pending += chunk.toString('latin1');
      lineFeedSeen ||= pending.includes('\n', searchFrom);
      BOUNDARY.lastIndex = searchFrom;
      let out = '';
      let from = 0;
      for (let hit = BOUNDARY.exec(pending); hit && isCertain(); hit = BOUNDARY.exec(pending)) {
        out += hideUsage(pending.slice(from, BOUNDARY.lastIndex));
        from = BOUNDARY.lastIndex;
      }
      pending = pending.slice(from);
      if (pending.length > EVENT_MAX) {
        out += pending;
        pending = '';
      }
      return out === '' ? NOTHING : Buffer.from(out, 'latin1');
    },
    end: () => {
      const rest = Buffer.from(hideUsage(pending), 'latin1');
      pending = '';
      return rest;
    },
  };
};
