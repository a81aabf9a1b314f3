import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/** A network that loses answers: forwards everything, but cuts the connection when the answer of a chosen Produce comes. */
export interface LostAnswersProxy {
  readonly port: number;
  /** Where the broker listens. */
  aimAt(port: number): void;
  /** How many answers have been lost. */
  cuts(): number;
  /** Loses the answer of every n-th Produce from now on; 0 loses none. */
  cutEvery(n: number): void;
  close(): Promise<void>;
}

const PRODUCE = 0;

/** Splits a stream of frames (a 32-bit length, then so many bytes). */
const createFramer = (onFrame: (frame: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk: Buffer): void => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4) {
      const end = 4 + rest.readInt32BE(0);
      if (rest.length < end) return;
      onFrame(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  };
};

export const startLostAnswersProxy = async (): Promise<LostAnswersProxy> => {
  let target = 0;
  let every = 0;
  let produced = 0;
  let cuts = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const broker = connect({ host: '127.0.0.1', port: target });
    const doomed = new Set<number>();
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on(
      'data',
      createFramer((frame) => {
        // After the length: api key, api version, correlation id.
        if (frame.readInt16BE(4) === PRODUCE) {
          produced += 1;
          if (every > 0 && produced % every === 0) doomed.add(frame.readInt32BE(8));
        }
        broker.write(frame);
      }),
    );
    broker.on(
      'data',
      createFramer((frame) => {
        if (!doomed.has(frame.readInt32BE(4))) return void client.write(frame);
        cuts += 1;
        client.destroy();
        broker.destroy();
      }),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    aimAt: (port) => {
      target = port;
    },
    cuts: () => cuts,
    cutEvery: (n) => {
      every = n;
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
};
