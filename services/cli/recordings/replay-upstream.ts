import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Recording } from './record.ts';

/** A provider that answers with what was recorded, byte for byte. */
export interface ReplayUpstream {
  url: string;
  /** Records that were asked for at another path than the recorded one. */
  misrouted: Set<number>;
  close(): Promise<void>;
}

/** Header that says which record a call is for; the proxy passes it on. */
export const RECORD_HEADER = 'x-client-request-id';

/** Sizes of the pieces a stream is cut into, in bytes, over and over: through names, numbers, characters and messages. */
const PIECES = [1, 2, 3, 7, 61, 5, 13, 251, 1, 1021, 17, 4093];
/** Pieces written before the others get their turn. */
const PIECES_PER_TURN = 64;

const cut = async (res: ServerResponse, body: Buffer): Promise<void> => {
  let at = 0;
  for (let piece = 0; at < body.length; piece += 1) {
    const size = PIECES[piece % PIECES.length] ?? 1;
    const taken = res.write(body.subarray(at, at + size));
    at += size;
    if (!taken) await new Promise((resolve) => res.once('drain', resolve));
    else if (piece % PIECES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  res.end();
};

const answer = async (
  req: IncomingMessage,
  res: ServerResponse,
  about: { recordings: readonly Recording[]; misrouted: Set<number> },
): Promise<void> => {
  const index = Number(String(req.headers[RECORD_HEADER]).replace('recording-', ''));
  const recording = about.recordings[index];
  if (!recording || recording.target !== req.url) {
    if (recording) about.misrouted.add(index);
    res.writeHead(500).end();
    return;
  }
  if (recording.streamed) {
    res.writeHead(recording.status, recording.headers);
    await cut(res, recording.body);
    return;
  }
  res.writeHead(recording.status, {
    ...recording.headers,
    'content-length': String(recording.body.length),
  });
  res.end(recording.body);
};

/** Starts it on a free port of this machine. */
export const startReplayUpstream = async (
  recordings: readonly Recording[],
): Promise<ReplayUpstream> => {
  const misrouted = new Set<number>();
  const server = createServer((req, res) => {
    req.resume();
    req.on('end', () => {
      answer(req, res, { recordings, misrouted }).catch(() => res.destroy());
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    misrouted,
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
};
