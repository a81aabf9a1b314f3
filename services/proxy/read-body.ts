import type { IncomingMessage } from 'node:http';

/** The whole request body, or why there is none. */
export type BodyRead = { ok: true; body: Buffer } | { ok: false; reason: 'too_large' | 'aborted' };

/** Reads a request body up to a bound, in bytes. Beyond it nothing more is read. */
export const readBody = (req: IncomingMessage, bytesMax: number): Promise<BodyRead> => {
  const declared = Number(req.headers['content-length'] ?? 0);
  if (declared > bytesMax) return Promise.resolve({ ok: false, reason: 'too_large' });
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    req.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > bytesMax) {
        req.pause();
        req.removeAllListeners('data');
        resolve({ ok: false, reason: 'too_large' });
      } else chunks.push(chunk);
    });
    req.on('end', () => {
      const [only] = chunks;
      resolve({ ok: true, body: chunks.length === 1 && only ? only : Buffer.concat(chunks) });
    });
    req.on('close', () => resolve({ ok: false, reason: 'aborted' }));
  });
};
