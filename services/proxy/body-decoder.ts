import type { Transform } from 'node:stream';
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from 'node:zlib';

/** Gives the decoded bytes of a body that an upstream compressed although it was asked not to. */
export interface BodyDecoder {
  write(chunk: Buffer): void;
  /** Resolves when everything written has been decoded, or could not be. */
  end(): Promise<void>;
}

const isZlib = (first: number | undefined): boolean => first !== undefined && (first & 0x0f) === 8;

/** By the first byte: `deflate` should have zlib's frame around it, and some servers leave that out. */
type CreateDecoder = (first: number | undefined) => Transform;

const DECODERS: ReadonlyMap<string, CreateDecoder> = new Map<string, CreateDecoder>([
  ['gzip', () => createGunzip()],
  ['x-gzip', () => createGunzip()],
  ['deflate', (first) => (isZlib(first) ? createInflate() : createInflateRaw())],
  ['br', () => createBrotliDecompress()],
  ['zstd', () => createZstdDecompress()],
]);

/** Decoded bytes of one body at most: a bomb is not unpacked further. */
const DECODED_MAX = 268_435_456;

const nameOf = (encoding: string | undefined): string =>
  (encoding ?? 'identity').trim().toLowerCase() || 'identity';

/** Whether a body of this `content-encoding` can be read at all; one that was compressed twice cannot. */
export const isDecodable = (encoding: string | undefined): boolean =>
  nameOf(encoding) === 'identity' || DECODERS.has(nameOf(encoding));

/** @param encoding value of `content-encoding`; unknown ones decode to nothing, see `isDecodable`. */
export const createBodyDecoder = (
  encoding: string | undefined,
  onDecoded: (chunk: Buffer) => void,
): BodyDecoder => {
  const name = nameOf(encoding);
  if (name === 'identity') return { write: onDecoded, end: () => Promise.resolve() };
  const create = DECODERS.get(name);
  if (!create) return { write: () => undefined, end: () => Promise.resolve() };
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let decoder: Transform | undefined;
  let decoded = 0;
  const start = (first: number | undefined): Transform => {
    const made = create(first);
    made.on('data', (chunk: Buffer) => {
      decoded += chunk.length;
      if (decoded > DECODED_MAX) made.destroy();
      else onDecoded(chunk);
    });
    made.on('close', resolve);
    made.on('error', () => resolve());
    return made;
  };
  return {
    write: (chunk) => {
      if (chunk.length === 0) return;
      decoder ??= start(chunk[0]);
      decoder.write(chunk);
    },
    end: () => {
      if (!decoder) return Promise.resolve();
      decoder.end();
      return ended;
    },
  };
};
