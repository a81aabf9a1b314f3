import { connect } from 'node:net';
import type { FastifyInstance } from 'fastify';
import fastify from 'fastify';
import { expect, onTestFinished, test, vi } from 'vitest';
import { answerSteps } from '../../../services/console/answer-steps.ts';
import { createLogger } from '../../../services/platform/logger.ts';

/** A server whose one address answers the steps, and a client's raw connection that has asked for them. */
const ask = async (work: () => AsyncGenerator<unknown>) => {
  const server = fastify({ forceCloseConnections: true });
  const logger = createLogger('test', 'silent');
  server.post('/work', (_request, reply) => answerSteps(reply, work(), { what: 'work', logger }));
  onTestFinished(() => server.close());
  const url = new URL(await server.listen({ port: 0, host: '127.0.0.1' }));
  const socket = connect(Number.parseInt(url.port, 10), url.hostname);
  onTestFinished(() => void socket.destroy());
  socket.write('POST /work HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n');
  return { server, socket };
};

const connectionsOf = (server: FastifyInstance): Promise<number> =>
  new Promise((resolve) => server.server.getConnections((_, count) => resolve(count)));

test('a caller who hangs up before the first step ends the work', async () => {
  const gate = Promise.withResolvers<void>();
  const [began, over] = [vi.fn(), vi.fn()];
  const { server, socket } = await ask(async function* () {
    try {
      began();
      await gate.promise;
      yield { step: 'progress' };
      yield { step: 'report' };
    } finally {
      over();
    }
  });
  await vi.waitFor(() => expect(began).toHaveBeenCalled());
  socket.destroy();
  await vi.waitFor(async () => expect(await connectionsOf(server)).toBe(0));
  gate.resolve();
  await vi.waitFor(() => expect(over).toHaveBeenCalled());
});

test('a caller who hangs up half-way ends the work', async () => {
  const over = vi.fn();
  const { socket } = await ask(async function* () {
    try {
      for (;;) {
        yield { step: 'progress' };
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      over();
    }
  });
  await new Promise((resolve) => socket.once('data', resolve));
  socket.destroy();
  await vi.waitFor(() => expect(over).toHaveBeenCalled());
});
