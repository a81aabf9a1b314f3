import type { IncomingMessage, Server } from 'node:http';
import { request } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import { constants, createServer } from 'node:http2';
import type { Duplex } from 'node:stream';
import { duplexPair } from 'node:stream';

/** Lets callers that speak HTTP/2 from the first byte in by the same port: AWS's SDK does where the address is `http://`. */
export interface Http2Door {
  /** Takes over a connection on which HTTP/1 failed because HTTP/2 is spoken. @returns whether it did. */
  takes(error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket: Duplex): boolean;
  /** Takes no new calls; those in flight go on. */
  leave(): void;
  /** Ends every connection. */
  close(): void;
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const STREAMS_MAX = 256;
/** A connection on which nothing moved for so long takes no new calls; those on it go on. */
const IDLE_MS = 300_000;
/** They describe one connection of HTTP/1 and are forbidden in HTTP/2. */
const CONNECTION_HEADERS = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding'];

const bareHeaders = (headers: Http2ServerRequest['headers']) =>
  Object.fromEntries(
    Object.entries(headers).filter(([name]) => !name.startsWith(':') && name !== 'host'),
  );

/** Carries one stream through the HTTP/1 server, inside this process: admission, metering and bounds are those of every call. */
const carry = (server: Server, req: Http2ServerRequest, res: Http2ServerResponse): void => {
  const [near, far] = duplexPair();
  server.emit('connection', far);
  const inner = request({
    method: req.method,
    path: req.url,
    headers: { ...bareHeaders(req.headers), host: req.authority || 'proxy' },
    createConnection: () => near,
  });
  const reset = (): void => res.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  inner.on('response', (answer: IncomingMessage) => {
    const headers = { ...answer.headers };
    for (const name of CONNECTION_HEADERS) delete headers[name];
    res.writeHead(answer.statusCode ?? 502, headers);
    // An answer that breaks off must not look like one that ended.
    answer.on('error', reset);
    answer.pipe(res);
  });
  inner.on('error', reset);
  res.on('close', () => inner.destroy());
  req.pipe(inner);
};

/**
 * Node has no way to take a socket back from its HTTP/1 parser but the parser's own listener for the socket's end, which frees it
 * and forgets the connection; otherwise its timers would end the socket later.
 */
const freeFromHttp1 = (socket: Duplex): void => {
  const forget = socket.listeners('close');
  for (const event of ['data', 'end', 'close', 'drain', 'timeout', 'error']) {
    socket.removeAllListeners(event);
  }
  for (const listener of forget) listener.call(socket);
  socket.pause();
};

/** A door beside an HTTP/1 server. Nothing of it is touched by a connection that speaks HTTP/1. */
export const createHttp2Door = (server: Server): Http2Door => {
  const sessions = new Set<ServerHttp2Session>();
  const http2 = createServer({
    settings: { maxConcurrentStreams: STREAMS_MAX, enableConnectProtocol: false },
  });
  http2.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
    session.setTimeout(IDLE_MS, () => session.close());
  });
  http2.on('request', (req, res) => carry(server, req, res));
  return {
    takes: (error, socket) => {
      const first = error.rawPacket;
      if (error.code !== 'HPE_PAUSED_H2_UPGRADE' || !first) return false;
      if (first.toString('latin1', 0, PREFACE.length) !== PREFACE) return false;
      freeFromHttp1(socket);
      socket.unshift(first);
      http2.emit('connection', socket);
      return true;
    },
    leave: () => {
      for (const session of sessions) session.close();
    },
    close: () => {
      for (const session of sessions) session.destroy();
    },
  };
};
