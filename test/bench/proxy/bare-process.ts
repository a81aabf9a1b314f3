import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';

/**
 * What a proxy on this stack costs that does nothing: `node:http` in front, undici `dispatch` behind, bytes passed on as they
 * come. Started with the upstream's address; tells its own on the IPC channel.
 */
const origin = process.argv[2] ?? '';
const agent = new Agent({ connections: 4096, pipelining: 1, keepAliveTimeout: 30_000 });

const server = createServer((req, res) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.on('end', () => {
    agent.dispatch(
      {
        origin,
        method: 'POST',
        path: req.url ?? '/',
        headers: {
          'content-type': req.headers['content-type'] ?? '',
          authorization: req.headers.authorization ?? '',
        },
        body: (chunks.length === 1 && chunks[0]) || Buffer.concat(chunks),
      },
      {
        // undici takes a handler for one of its new kind by this.
        onRequestStart: () => undefined,
        onResponseStart: (controller, status, headers) => {
          res.on('drain', () => controller.resume());
          res.on('close', () => {
            if (!res.writableFinished) controller.abort(new Error('the client left'));
          });
          const { connection: _connection, 'keep-alive': _keepAlive, ...kept } = headers;
          delete kept['transfer-encoding'];
          res.writeHead(status, kept);
        },
        onResponseData: (controller, chunk) => {
          if (!res.write(chunk)) controller.pause();
        },
        onResponseEnd: () => {
          res.end();
        },
        onResponseError: () => {
          res.destroy();
        },
      },
    );
  });
});
server.keepAliveTimeout = 120_000;
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
});
process.once('disconnect', () => process.exit(0));
