import type { IncomingHttpHeaders } from 'node:http';
import type { Upstream } from '../../schemas/control-record.ts';
import { createBodyDecoder } from './body-decoder.ts';
import { upstreamHeaders } from './core/headers.ts';
import type { Forwarder } from './forward.ts';
import { READ_BYTES_MAX } from './reply-framing.ts';

/** What is needed to ask an upstream something of our own accord. */
export interface Asker {
  forwarder: Forwarder;
  credentialOf: (upstream: Upstream) => string | null;
}

/** Without it Anthropic answers 400. The version that its batches were published under. */
const OWN_HEADERS = { accept: 'application/json', 'anthropic-version': '2023-06-01' };

const headersFor = (asker: Asker, upstream: Upstream): Record<string, string> => {
  const headers = upstreamHeaders(OWN_HEADERS, upstream.dialect, asker.credentialOf(upstream));
  if (upstream.dialect !== 'anthropic') delete headers['anthropic-version'];
  return headers;
};

/** A whole answer to a question must be here by then. */
const ANSWER_MAX_MS = 60_000;

/** Bytes of an answer as they come. `onData` may hold back what follows until its promise resolves. */
export interface Reading {
  onStart(status: number, headers: IncomingHttpHeaders): void;
  onData(chunk: Buffer): Promise<void> | undefined;
}

/**
 * Reads one GET to its end.
 * @returns false when the connection failed or `signal` ended it. Rejects when `onData` does.
 */
export const readUpstream = (
  asker: Asker,
  about: { upstream: Upstream; target: string; signal: AbortSignal },
  reading: Reading,
): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const { upstream, target, signal } = about;
    const headers = headersFor(asker, upstream);
    let handled: Promise<void> = Promise.resolve();
    const control = asker.forwarder.send(
      { upstream, method: 'GET', path: target, headers, body: null },
      {
        onStart: reading.onStart,
        onData: (chunk) => {
          const held = reading.onData(chunk);
          if (held === undefined) return;
          control.pause();
          handled = handled.then(() => held);
          held.then(control.resume, (error: unknown) => {
            reject(error);
            control.abort();
          });
        },
        onEnd: () => void handled.then(() => resolve(true), reject),
        onFailure: () => resolve(false),
      },
    );
    const abort = (): void => {
      control.abort();
      resolve(false);
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });

/** A JSON answer; `status` null where none came, `body` undefined where it is no JSON or too large to be read. */
export interface JsonAnswer {
  status: number | null;
  source: string;
  body: unknown;
}

export const NO_ANSWER: JsonAnswer = { status: null, source: '', body: undefined };

const parsed = (source: string): unknown => {
  try {
    return JSON.parse(source);
  } catch {
    return undefined;
  }
};

/** Asks for a JSON object. Never rejects. */
export const askUpstream = async (
  asker: Asker,
  about: { upstream: Upstream; target: string; signal: AbortSignal },
): Promise<JsonAnswer> => {
  const chunks: Buffer[] = [];
  let length = 0;
  let status: number | null = null;
  const keep = (chunk: Buffer): void => {
    length += chunk.length;
    if (length <= READ_BYTES_MAX) chunks.push(chunk);
  };
  let decoder = createBodyDecoder(undefined, keep);
  const signal = AbortSignal.any([about.signal, AbortSignal.timeout(ANSWER_MAX_MS)]);
  const whole = await readUpstream(
    asker,
    { ...about, signal },
    {
      onStart: (code, headers) => {
        status = code;
        decoder = createBodyDecoder(headers['content-encoding'], keep);
      },
      onData: (chunk) => {
        decoder.write(chunk);
        return undefined;
      },
    },
  ).catch(() => false);
  if (!whole) return NO_ANSWER;
  await decoder.end();
  if (length > READ_BYTES_MAX) return { status, source: '', body: undefined };
  const source = Buffer.concat(chunks).toString('utf8');
  return { status, source, body: parsed(source) };
};
