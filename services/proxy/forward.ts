import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { Agent } from 'undici';
import type { Upstream } from '../../schemas/control-record.ts';
import { createConnector } from './safe-connect.ts';

/** One call as it goes out. Only configured upstreams: the origin never comes from a request. */
export interface UpstreamCall {
  upstream: Upstream;
  method: string;
  /** With query. */
  path: string;
  headers: Record<string, string>;
  body: Buffer | null;
}

/** Why a call failed: no connection, no answer in time, or a connection that broke after the request went out. */
export type FailureKind = 'unreachable' | 'timeout' | 'cut';

/** Flow control of one call. `abort` is safe at any time and leads to `onFailure`. */
export interface UpstreamControl {
  pause(): void;
  resume(): void;
  abort(): void;
}

export interface UpstreamListener {
  onStart(status: number, headers: IncomingHttpHeaders): void;
  onData(chunk: Buffer): void;
  onEnd(): void;
  onFailure(kind: FailureKind): void;
}

/** The door to the providers. */
export interface Forwarder {
  send(call: UpstreamCall, listener: UpstreamListener): UpstreamControl;
  close(): Promise<void>;
}

/** Connections per upstream origin at most; further calls wait for one until their timeout. */
const CONNECTIONS_MAX = 4_096;
const KEEP_ALIVE_MS = 30_000;

const agentFor = (allowPrivate: boolean): Agent =>
  new Agent({
    connections: CONNECTIONS_MAX,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: 65_536,
    connect: createConnector(allowPrivate),
  });

/**
 * Headers with one value each. Servers behind servers send some twice; undici gives those as arrays. As everywhere in Node, the
 * first content type counts and other repeats are a list.
 */
const singleHeaders = (headers: IncomingHttpHeaders): IncomingHttpHeaders =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => {
      if (!Array.isArray(value) || name === 'set-cookie') return [name, value];
      return [name, name === 'content-type' ? value[0] : value.join(', ')];
    }),
  );

const TIMEOUTS = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

const createHandler = (
  listener: UpstreamListener,
  state: ControlState,
): Dispatcher.DispatchHandler => ({
  onRequestStart: (controller) => {
    // Given up while it waited for a connection: it is not sent, and counts as never having been.
    if (state.aborted) controller.abort(new Error('given up'));
    else state.controller = controller;
  },
  onResponseStart: (_controller, status, headers) => {
    if (status >= 200) listener.onStart(status, singleHeaders(headers));
  },
  onResponseData: (_controller, chunk) => listener.onData(chunk),
  onResponseEnd: () => listener.onEnd(),
  onResponseError: (_controller, error) => {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    const started = state.controller !== null;
    listener.onFailure(!started ? 'unreachable' : TIMEOUTS.has(code) ? 'timeout' : 'cut');
  },
});

interface ControlState {
  controller: Dispatcher.DispatchController | null;
  aborted: boolean;
}

/** Own agents: no redirects, no shared global dispatcher, no cookies, nothing from the environment. */
export const createForwarder = (): Forwarder => {
  const agents = { open: agentFor(true), guarded: agentFor(false) };
  return {
    send: (call, listener) => {
      const state: ControlState = { controller: null, aborted: false };
      const agent = call.upstream.allow_private ? agents.open : agents.guarded;
      agent.dispatch(
        {
          origin: new URL(call.upstream.base_url).origin,
          method: call.method as Dispatcher.HttpMethod,
          path: call.path,
          headers: call.headers,
          body: call.body,
          headersTimeout: call.upstream.timeout_ms,
          bodyTimeout: call.upstream.timeout_ms,
        },
        createHandler(listener, state),
      );
      return {
        pause: () => state.controller?.pause(),
        resume: () => state.controller?.resume(),
        abort: () => {
          state.aborted = true;
          state.controller?.abort(new Error('given up'));
        },
      };
    },
    close: async () => {
      await Promise.all([agents.open.destroy(), agents.guarded.destroy()]);
    },
  };
};
