import type { IncomingHttpHeaders } from 'node:http';
import type { AttemptRecord } from '../../schemas/usage-event.ts';
import type { ClientCall } from './client-call.ts';
import { ownHeaders } from './client-call.ts';
import type { ClientRelay } from './client-relay.ts';
import { createClientRelay } from './client-relay.ts';
import { headerOf } from './core/headers.ts';
import { isRetryable, retryWaitMs } from './core/retry.ts';
import { isAzurePath } from './core/route.ts';
import type { EndKind, Progress } from './exchange-progress.ts';
import { factOf, newProgress, noteHead, operationBehind } from './exchange-progress.ts';
import type { UpstreamControl } from './forward.ts';
import { operationEntry } from './operation-store.ts';
import type { ProxyParts } from './proxy-parts.ts';

/** How an attempt ended for the call it belongs to. */
export type AttemptEnd =
  | { next: 'answered' }
  /** Nothing has reached the client; another attempt may. */
  | { next: 'retry'; waitMs: number }
  | { next: 'refuse'; why: 'unreachable' | 'timeout' | 'cannot_meter' };

/** One attempt on its way. */
interface Exchange {
  parts: ProxyParts;
  call: ClientCall;
  record: AttemptRecord;
  progress: Progress;
  relay: ClientRelay;
  control: UpstreamControl;
  durable: Promise<unknown>;
  mayRetry: boolean;
  /** Path and query as they went upstream. */
  target: string;
  /** Settles when the head of the answer has been dealt with. */
  starting: Promise<void>;
  releaseDrain: () => void;
  /** Runs while the client takes nothing. */
  stall: NodeJS.Timeout | undefined;
  ended: boolean;
}

/** Bytes read of an answer that nobody gets: the client left, or another attempt follows. */
const DRAIN_BYTES_MAX = 67_108_864;

/** How long a client may take nothing of an answer that is there for it. */
const STALL_MAX_MS = 120_000;

const giveUp = (on: Exchange, why: NonNullable<Progress['gaveUp']>): void => {
  on.progress.gaveUp ??= why;
  on.control.abort();
};

/** Reads on after the client left, or gives up, as the upstream's policy and the bounds say. */
const whenClientLeft = (on: Exchange): void => {
  if (on.ended) return;
  const { parts } = on;
  const drains = on.call.upstream.disconnect === 'drain';
  if (!drains || !parts.drains.enter()) {
    if (drains) parts.metrics.overDrainBound.inc();
    giveUp(on, 'client_left');
    return;
  }
  const timer = setTimeout(() => giveUp(on, 'client_left'), parts.config.drain_timeout_ms);
  on.releaseDrain = () => {
    clearTimeout(timer);
    parts.drains.leave();
  };
  on.control.resume();
};

const whenStarted = async (
  on: Exchange,
  status: number,
  headers: IncomingHttpHeaders,
): Promise<void> => {
  const { progress, control } = on;
  noteHead(progress, on.record, { status, headers, asked: on.call.facts.asked });
  if (on.mayRetry && isRetryable(status) && !on.call.client.left()) {
    const retryAfter = headerOf(headers, 'retry-after');
    progress.waitMs = retryWaitMs(on.record.attempt_number, retryAfter, Math.random());
    if (progress.waitMs !== null) return;
  }
  control.pause();
  try {
    await on.durable;
  } catch {
    giveUp(on, 'cannot_meter');
    return;
  }
  if (!on.call.client.left()) on.relay.start(status, headers);
  control.resume();
};

/** Stops reading until the client has taken what there is. One that takes nothing for long counts as gone. */
const holdBack = (on: Exchange): void => {
  on.control.pause();
  on.stall ??= setTimeout(() => on.call.res.destroy(), STALL_MAX_MS);
};

const goOn = (on: Exchange): void => {
  clearTimeout(on.stall);
  on.stall = undefined;
  on.control.resume();
};

const whenData = (on: Exchange, chunk: Buffer): void => {
  const { progress } = on;
  progress.ttftMs ??= on.parts.clock.monotonicMs() - progress.startedMs;
  progress.decoder.write(chunk);
  const forNobody = progress.waitMs !== null || on.call.client.left();
  if (!forNobody) {
    if (!on.relay.write(chunk)) holdBack(on);
    return;
  }
  progress.bytesForNobody += chunk.length;
  if (progress.bytesForNobody <= DRAIN_BYTES_MAX) return;
  if (progress.waitMs !== null) on.control.abort();
  else giveUp(on, 'client_left');
};

/** Nothing reached the client: is there another attempt, and if not, what is it told? */
const unanswered = (on: Exchange, kind: EndKind): AttemptEnd => {
  if (kind === 'timeout') return { next: 'refuse', why: 'timeout' };
  const broken = kind === 'unreachable' || kind === 'cut';
  const waitMs =
    broken && on.mayRetry ? retryWaitMs(on.record.attempt_number, undefined, Math.random()) : null;
  return waitMs === null ? { next: 'refuse', why: 'unreachable' } : { next: 'retry', waitMs };
};

/** Writes the event, then lets the client have its end. */
const close = async (on: Exchange, kind: EndKind): Promise<AttemptEnd> => {
  const { parts, progress, relay, call } = on;
  await on.starting;
  await progress.decoder.end();
  progress.meter.end();
  on.releaseDrain();
  const { gaveUp } = progress;
  const ourEnd = gaveUp === 'cannot_meter' ? 'cut' : gaveUp;
  const endKind = kind === 'complete' ? kind : (ourEnd ?? kind);
  const fact = factOf(parts, on.record, progress, {
    kind: endKind,
    clientLeft: call.client.left(),
    onAzure: call.upstream.dialect === 'azure' || isAzurePath(call.route.path),
  });
  const operation = operationBehind(progress, fact, {
    target: on.target,
    stored: call.facts.notStored !== true,
  });
  try {
    await parts.journal.close(fact, operation ? [operationEntry(operation, parts.config.id)] : []);
    if (operation) parts.follower.follow(operation);
  } catch {
    if (relay.started) relay.abandon();
    return { next: 'refuse', why: 'cannot_meter' };
  }
  parts.metrics.attempts.inc({ flavour: fact.flavour, ending: fact.ending });
  if (gaveUp === 'cannot_meter') return { next: 'refuse', why: 'cannot_meter' };
  if (progress.waitMs !== null) return { next: 'retry', waitMs: progress.waitMs };
  if (kind !== 'complete' && !relay.started) return unanswered(on, endKind);
  if (kind === 'complete') await relay.finish();
  else relay.cut();
  return { next: 'answered' };
};

/**
 * Sends one attempt upstream and carries the answer to the client. Its event is written when this resolves, whatever happened.
 * @param about `durable`: the second stage of the opened record, whose first has been waited for. `mayRetry`: an answer that
 * says "later" is not shown, since another attempt follows.
 */
export const exchange = (
  parts: ProxyParts,
  call: ClientCall,
  record: AttemptRecord,
  about: {
    durable: Promise<unknown>;
    mayRetry: boolean;
    headers: Record<string, string>;
    path: string;
  },
): Promise<AttemptEnd> => {
  const { promise, resolve, reject } = Promise.withResolvers<AttemptEnd>();
  const end = (kind: EndKind): void => {
    if (on.ended) return;
    on.ended = true;
    call.res.off('drain', resume);
    clearTimeout(on.stall);
    forgetShutdown();
    close(on, kind).then(resolve, reject);
  };
  const on: Exchange = {
    parts,
    call,
    record,
    progress: newProgress(parts, record),
    relay: createClientRelay(call.res, call.hideUsage, ownHeaders(call)),
    control: { pause: () => undefined, resume: () => undefined, abort: () => undefined },
    durable: about.durable,
    mayRetry: about.mayRetry,
    target: about.path,
    starting: Promise.resolve(),
    releaseDrain: () => undefined,
    stall: undefined,
    ended: false,
  };
  const resume = (): void => goOn(on);
  call.res.on('drain', resume);
  const forgetShutdown = parts.onShutdown(() => giveUp(on, 'shutdown'));
  const { upstream, body } = call;
  on.control = parts.forwarder.send(
    { upstream, method: 'POST', path: about.path, headers: about.headers, body },
    {
      onStart: (status, headers) => {
        on.starting = whenStarted(on, status, headers).catch((error: unknown) => {
          // An answer that cannot be passed on was billed all the same: its event must be written.
          parts.logger.error({ error: (error as Error).name }, 'the head of an answer failed');
          giveUp(on, 'cannot_meter');
        });
      },
      onData: (chunk) => whenData(on, chunk),
      onEnd: () => end('complete'),
      onFailure: end,
    },
  );
  call.client.onLeft(() => whenClientLeft(on));
  return promise;
};
