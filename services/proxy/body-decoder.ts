import type { Transform } from 'node:stream';
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from 'node:zlib';

/** Gives the decoded bytes of a body that an upstream compressed although it was asked not to. */
export interface BodyDecoder {
  write(chunk: Buffer): void;
  /** Resolves when everything written has been decoded, or could not be. */
  end(): Promise<void>;
}

const DECODERS: Record<string, () => Transform> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** Decoded bytes of one body at most: a bomb is not unpacked further. */
const DECODED_MAX = 268_435_456;

/** @param encoding value of `content-encoding`; unknown ones decode to nothing. */
export const createBodyDecoder = (
  encoding: string | undefined,
  onDecoded: (chunk: Buffer) => void,
): BodyDecoder => {
  const name = (encoding ?? 'identity').trim().toLowerCase();
  if (name === 'identity' || name === '') {
    return { write: onDecoded, end: () => Promise.resolve() };
  }
  const decoder = DECODERS[name]?.();
  if (!decoder) return { write: () => undefined, end: () => Promise.resolve() };
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let decoded = 0;
  decoder.on('data', (chunk: Buffer) => {
    decoded += chunk.length;
    if (decoded > DECODED_MAX) decoder.destroy();
    else onDecoded(chunk);
  });
  decoder.on('close', resolve);
  decoder.on('error', () => resolve());
  return {
    write: (chunk) => void decoder.write(chunk),
    end: () => {
      decoder.end();
      return ended;
    },
  };
};
