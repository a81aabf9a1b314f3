import { randomBytes, randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Random bytes are asked for by the block: asking costs more than the bytes, and a call has three ids. */
const block = Buffer.alloc(4096);
const BYTES_PER_ID = 16;
let used = block.length;

const nextRandom = (): Buffer => {
  if (used === block.length) {
    randomFillSync(block);
    used = 0;
  }
  used += BYTES_PER_ID;
  return block.subarray(used - BYTES_PER_ID, used);
};

const SEQ_MAX = 0xffffffff;
let msecs = 0;
let seq = 0;

/**
 * Makes ids. UUIDv7: ordered by time and, within a millisecond of this process, by a counter that starts at random; unique without
 * asking anybody. Where the clock goes back, the ids do not.
 */
export const newId = (): string => {
  const random = nextRandom();
  const now = Date.now();
  if (now > msecs || seq === SEQ_MAX) {
    msecs = Math.max(now, msecs + 1);
    seq = random.readUInt32BE(6) >>> 1;
  } else seq += 1;
  return v7({ random, msecs, seq });
};

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Random text of the alphabet A-Z a-z 0-9, without modulo bias. */
export const randomText = (length: number): string => {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += ALPHABET[byte % 62];
    }
  }
  return text;
};
