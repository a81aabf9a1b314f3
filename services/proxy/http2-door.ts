import type { IncomingMessage, Server } from 'node:http';
import { request } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import { constants, createServer } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { duplexPair } from 'node:stream';

/** Lets callers that speak HTTP/2 from the first byte in by the same port: AWS's SDK does where the address is `http://`. */
export interface Http2Door {
  /** Takes no new calls; those in flight go on. */
  leave(): void;
  /** Ends every connection. */
  close(): void;
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const STREAMS_MAX = 256;
/** How long a connection may say nothing at all. */
const SILENCE_MS = 60_000;
/** A connection on which nothing moved for so long takes no new calls; those on it go on. */
const IDLE_MS = 300_000;
/** They describe one connection of HTTP/1 and are forbidden in HTTP/2. */
const CONNECTION_HEADERS = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
];
/** Above what `forward.ts` takes of an answer's head. */
const ANSWER_HEAD_BYTES_MAX = 131_072;

/** The headers in HTTP/1. A body without a length is framed whatever the method: Node would send that of a GET bare. */
const innerHeaders = (req: Http2ServerRequest) => {
  const bare = Object.entries(req.headers).filter(
    ([name]) => !name.startsWith(':') && name !== 'host',
  );
  const unframed = !req.stream.endAfterHeaders && req.headers['content-length'] === undefined;
  return {
    ...Object.fromEntries(bare),
    host: req.authority || 'proxy',
    // In HTTP/2 whoever takes an answer takes its trailers.
    te: 'trailers',
    ...(unframed ? { 'transfer-encoding': 'chunked' } : {}),
  };
};

/** Sends the head. A status that HTTP/2 has no way to say (an upstream may answer 999) is a bad gateway's. */
const passHead = (res: Http2ServerResponse, answer: IncomingMessage): void => {
  const headers = { ...answer.headers };
  for (const name of CONNECTION_HEADERS) delete headers[name];
  const { statusCode = 502 } = answer;
  res.writeHead(statusCode > 599 ? 502 : statusCode, headers);
};

/** Carries one stream through the HTTP/1 server, inside this process: admission, metering and bounds are those of every call. */
const carry = (
  toHttp1: (socket: Duplex) => void,
  req: Http2ServerRequest,
  res: Http2ServerResponse,
): void => {
  const [near, far] = duplexPair();
  toHttp1(far);
  const inner = request({
    method: req.method,
    path: req.url,
    headers: innerHeaders(req),
    maxHeaderSize: ANSWER_HEAD_BYTES_MAX,
    createConnection: () => near,
  });
  const reset = (): void => res.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  inner.on('response', (answer: IncomingMessage) => {
    try {
      passHead(res, answer);
    } catch {
      // Whatever an upstream says, it ends one call and not the process.
      reset();
      return;
    }
    // An answer that breaks off must not look like one that ended.
    answer.on('error', reset);
    answer.on('end', () => res.addTrailers(answer.trailers));
    answer.pipe(res);
  });
  inner.on('error', reset);
  res.on('close', () => {
    inner.destroy();
    // The server sees its caller leave at its own end only.
    far.destroy();
  });
  req.pipe(inner);
};

/** What the first bytes of a connection may turn out to be, as long as they are this. */
const couldBeHttp2 = (first: Buffer): boolean =>
  first.length < PREFACE.length && PREFACE.startsWith(first.toString('latin1'));

/**
 * Hands a connection on as soon as its first bytes tell which version of HTTP it speaks; they are still there to be read.
 * @param unknown holds the connection until then.
 */
const whenVersionIsKnown = (
  socket: Socket,
  unknown: Set<Socket>,
  then: (isHttp2: boolean) => void,
): void => {
  let first: Buffer = Buffer.alloc(0);
  const giveUp = (): void => void socket.destroy();
  const forget = (): void => {
    unknown.delete(socket);
    socket.off('readable', look);
    socket.off('error', giveUp);
    socket.off('end', giveUp);
    socket.off('timeout', giveUp);
    socket.setTimeout(0);
  };
  const look = (): void => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    first = first.length === 0 ? chunk : Buffer.concat([first, chunk]);
    if (couldBeHttp2(first)) return;
    forget();
    socket.unshift(first);
    then(first.toString('latin1', 0, PREFACE.length) === PREFACE);
  };
  socket.on('error', giveUp);
  socket.on('end', giveUp);
  socket.setTimeout(SILENCE_MS, giveUp);
  socket.on('readable', look);
  unknown.add(socket);
  socket.once('close', () => unknown.delete(socket));
};

/** Puts the door in front of an HTTP/1 server: what speaks HTTP/1 goes on to it as ever. */
export const createHttp2Door = (server: Server): Http2Door => {
  const sessions = new Set<ServerHttp2Session>();
  const unknown = new Set<Socket>();
  const http2 = createServer({
    settings: { maxConcurrentStreams: STREAMS_MAX, enableConnectProtocol: false },
  });
  http2.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
    session.setTimeout(IDLE_MS, () => session.close());
  });
  const http1 = server.listeners('connection');
  const toHttp1 = (socket: Duplex): void => {
    for (const listener of http1) listener.call(server, socket);
  };
  http2.on('request', (req, res) => carry(toHttp1, req, res));
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    whenVersionIsKnown(socket, unknown, (isHttp2) => {
      if (isHttp2) http2.emit('connection', socket);
      else toHttp1(socket);
    });
  });
  return {
    leave: () => {
      // They have asked for nothing yet, and neither server knows them: a stop would wait for them.
      for (const socket of unknown) socket.destroy();
      for (const session of sessions) session.close();
    },
    close: () => {
      for (const session of sessions) session.destroy();
    },
  };
};
