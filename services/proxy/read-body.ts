import type { IncomingMessage } from 'node:http';
import type { NoRoom } from './body-room.ts';

/** The whole request body, or why there is none. */
export type BodyRead =
  | { ok: true; body: Buffer }
  | { ok: false; reason: 'too_large' | 'aborted' | NoRoom };

/** Bytes read and thrown away behind a refused body, as a multiple of the bound: a client that is still sending gets to read why. */
const DISCARD_FACTOR = 4;

/**
 * Reads a request body up to a bound, in bytes. What comes beyond it is thrown away, and after a while cut off.
 * @param take asks for room for the next bytes; null when there is.
 */
export const readBody = (
  req: IncomingMessage,
  bytesMax: number,
  take: (bytes: number) => NoRoom | null,
): Promise<BodyRead> =>
  new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let length = 0;
    let refused = false;
    const refuse = (reason: 'too_large' | NoRoom): void => {
      refused = true;
      chunks = [];
      resolve({ ok: false, reason });
    };
    if (Number(req.headers['content-length'] ?? 0) > bytesMax) refuse('too_large');
    req.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > bytesMax * DISCARD_FACTOR) req.destroy();
      if (refused) return;
      if (length > bytesMax) return refuse('too_large');
      const noRoom = take(chunk.length);
      if (noRoom === null) chunks.push(chunk);
      else refuse(noRoom);
    });
    req.on('end', () => {
      const [only] = chunks;
      resolve({ ok: true, body: chunks.length === 1 && only ? only : Buffer.concat(chunks) });
    });
    req.on('close', () => resolve({ ok: false, reason: 'aborted' }));
  });
