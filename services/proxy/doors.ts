import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { createProxyApp } from './app.ts';
import type { Http2Door } from './http2-door.ts';
import { createHttp2Door } from './http2-door.ts';
import type { ProxyParts } from './proxy-parts.ts';

const HEADER_BYTES_MAX = 32_768;
const KEEP_ALIVE_MS = 65_000;

/** The proxy's port, for both versions of HTTP. */
export interface Doors {
  server: Server;
  http2: Http2Door;
}

/** Both, not yet listening. */
export const createDoors = (parts: ProxyParts, metrics: Metrics, logger: Logger): Doors => {
  const app = createProxyApp(parts, metrics.render);
  const server = createServer(
    { maxHeaderSize: HEADER_BYTES_MAX, keepAliveTimeout: KEEP_ALIVE_MS, insecureHTTPParser: false },
    (req, res) => {
      app(req, res).catch((error: unknown) => {
        logger.error({ error: (error as Error).name }, 'a call failed inside the proxy');
        res.destroy();
      });
    },
  );
  const http2 = createHttp2Door(server);
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  });
  return { server, http2 };
};
