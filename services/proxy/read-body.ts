import type { IncomingMessage } from 'node:http';

/** The whole request body, or why there is none. */
export type BodyRead = { ok: true; body: Buffer } | { ok: false; reason: 'too_large' | 'aborted' };

/** Bytes read and thrown away behind a refused body, as a multiple of the bound: a client that is still sending gets to read why. */
const DISCARD_FACTOR = 4;

/** Reads a request body up to a bound, in bytes. What comes beyond it is thrown away, and after a while cut off. */
export const readBody = (req: IncomingMessage, bytesMax: number): Promise<BodyRead> =>
  new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let length = 0;
    const tooLarge = (): void => {
      chunks = [];
      resolve({ ok: false, reason: 'too_large' });
    };
    if (Number(req.headers['content-length'] ?? 0) > bytesMax) tooLarge();
    req.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > bytesMax * DISCARD_FACTOR) req.destroy();
      else if (length > bytesMax) tooLarge();
      else chunks.push(chunk);
    });
    req.on('end', () => {
      const [only] = chunks;
      resolve({ ok: true, body: chunks.length === 1 && only ? only : Buffer.concat(chunks) });
    });
    req.on('close', () => resolve({ ok: false, reason: 'aborted' }));
  });
