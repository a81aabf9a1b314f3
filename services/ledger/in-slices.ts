import { setImmediate as turn } from 'node:timers/promises';

/** Facts of one turn: some 10 ms. */
const SLICE = 500;

/** Of the same memory: `Buffer.from(bytes)` would copy them first. */
export const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');

/** `map` in slices: whoever else lives in this process gets its turn in between. */
export const inSlices = async <From, To>(
  all: readonly From[],
  make: (one: From) => To,
): Promise<readonly To[]> => {
  const made: To[] = [];
  for (let from = 0; from < all.length; from += SLICE) {
    if (from > 0) await turn();
    for (const one of all.slice(from, from + SLICE)) made.push(make(one));
  }
  return made;
};
