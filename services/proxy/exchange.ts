import type { IncomingHttpHeaders } from 'node:http';
import type { AttemptRecord } from '../../schemas/usage-event.ts';
import { attemptCost, costHeader, lateOrders } from './call-cost.ts';
import type { ClientCall, ClientPresence } from './client-call.ts';
import { ownHeaders } from './client-call.ts';
import type { ClientRelay } from './client-relay.ts';
import { createClientRelay } from './client-relay.ts';
import { headerOf } from './core/headers.ts';
import { isAzurePath } from './core/route.ts';
import type { EndKind, Progress } from './exchange-progress.ts';
import { factOf, newProgress, noteHead, operationBehind } from './exchange-progress.ts';
import type { UpstreamControl } from './forward.ts';
import { operationEntry } from './operation-store.ts';
import type { Outgoing } from './outgoing.ts';
import type { ProxyParts } from './proxy-parts.ts';

/** How an attempt ended for the call it belongs to. */
export type AttemptEnd =
  | { next: 'answered' }
  /** Nothing has reached the client, as `withhold` wanted it; the answer where there was one that could be kept. */
  | { next: 'withheld'; answer: WithheldAnswer | null }
  | { next: 'refuse'; why: 'unreachable' | 'timeout' | 'cannot_meter' };

/** An answer that was kept from the client in favour of another attempt. Shown when no attempt brings a better one. */
export interface WithheldAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** How far an attempt got: its status once the head of an answer is here, else why there will be none. */
export interface AttemptHead {
  status: number | null;
  retryAfter?: string | undefined;
  timeout?: boolean;
}

/** What an attempt needs beside its call and its record. */
export interface AttemptOrders {
  outgoing: Outgoing;
  /** The second stage of the opened record, whose first has been waited for. */
  durable: Promise<unknown>;
  /** For whom the answer is. Who has left gets none, and the upstream's disconnect policy decides about the rest of it. */
  client: ClientPresence;
  /** Asked once, before a byte of the answer is shown: true keeps it from the client, since another attempt follows. */
  withhold(head: AttemptHead): boolean;
}

/** One attempt on its way. */
interface Exchange {
  parts: ProxyParts;
  call: ClientCall;
  record: AttemptRecord;
  progress: Progress;
  relay: ClientRelay;
  control: UpstreamControl;
  orders: AttemptOrders;
  /** `durable` of the orders has resolved: what comes now need not wait for it. */
  isDurable: boolean;
  /** Settles when the head of the answer has been dealt with. */
  starting: Promise<void>;
  releaseDrain: () => void;
  /** Runs while the client takes nothing. */
  stall: NodeJS.Timeout | undefined;
  ended: boolean;
}

/** Bytes read of an answer that nobody gets: the client left, or another attempt follows. */
const DRAIN_BYTES_MAX = 67_108_864;

/** How much of a withheld answer is kept for the client, and how long the rest of it is waited for. */
const WITHHELD_BYTES_MAX = 262_144;
const WITHHELD_MAX_MS = 1_000;

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
  const drains = on.orders.outgoing.upstream.disconnect === 'drain';
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
  if (on.orders.withhold({ status, retryAfter: headerOf(headers, 'retry-after') })) {
    progress.withheld = [];
    // The next attempt waits for this one's event, and that for the end of an error nobody reads: not for long.
    on.stall = setTimeout(() => control.abort(), WITHHELD_MAX_MS);
    return;
  }
  if (!on.isDurable) {
    try {
      await on.orders.durable;
    } catch {
      giveUp(on, 'cannot_meter');
      return;
    }
  }
  if (on.orders.client.left()) return;
  on.relay.start(status, headers);
  // The relay may have had to hold the upstream back until now.
  if (on.stall !== undefined && !on.call.res.writableNeedDrain) goOn(on);
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
  if (progress.withheld === null && !on.orders.client.left()) {
    if (!on.relay.write(chunk)) holdBack(on);
    return;
  }
  progress.bytesForNobody += chunk.length;
  if (progress.withheld === null) {
    if (progress.bytesForNobody > DRAIN_BYTES_MAX) giveUp(on, 'client_left');
  } else if (progress.bytesForNobody <= WITHHELD_BYTES_MAX) progress.withheld.push(chunk);
  else on.control.abort();
};

/** Nothing reached the client: is there another attempt, and if not, what is it told? */
const unanswered = (on: Exchange, kind: EndKind): AttemptEnd => {
  const timeout = kind === 'timeout';
  const failed = timeout || kind === 'unreachable' || kind === 'cut';
  if (failed && on.orders.withhold({ status: null, timeout })) {
    return { next: 'withheld', answer: null };
  }
  return { next: 'refuse', why: timeout ? 'timeout' : 'unreachable' };
};

/** The answer that was kept back, if it came whole. */
const withheldAnswer = ({ progress }: Exchange, kind: EndKind): WithheldAnswer | null => {
  const { status, headers, withheld } = progress;
  const whole = kind === 'complete' && status !== undefined && withheld !== null;
  return whole ? { status, headers, body: Buffer.concat(withheld) } : null;
};

/** Writes the event, then lets the client have its end. */
const close = async (on: Exchange, kind: EndKind): Promise<AttemptEnd> => {
  const { parts, progress, relay, call } = on;
  // A whole answer needs no more of its beginning: its event goes along while the opened record is still being flushed.
  if (kind !== 'complete') await on.starting;
  await progress.decoder.end();
  progress.meter.end();
  on.releaseDrain();
  const { gaveUp } = progress;
  const ourEnd = gaveUp === 'cannot_meter' ? 'cut' : gaveUp;
  // Where nothing was sent, giving up costs nothing, whoever gave up.
  const settled = kind === 'complete' || kind === 'unreachable';
  const endKind = settled ? kind : (ourEnd ?? kind);
  const fact = factOf(parts, on.record, progress, {
    kind: endKind,
    clientLeft: on.orders.client.left(),
    hedgeLost: on.orders.client.left() && !call.client.left(),
    onAzure: on.orders.outgoing.upstream.dialect === 'azure' || isAzurePath(call.route.path),
  });
  const operation = operationBehind(progress, fact, {
    target: on.orders.outgoing.path,
    stored: call.facts.notStored !== true,
  });
  try {
    const beside = operation ? [operationEntry(operation, parts.config.id)] : [];
    const written = parts.journal.close(fact, beside);
    // While the disk is at work. What its provider will say more about is not known yet.
    call.cost.closed(operation ? undefined : attemptCost(parts, fact));
    await written;
    await on.starting;
    if (operation) parts.follower.follow(operation);
  } catch {
    await on.starting;
    if (relay.started) relay.abandon();
    return { next: 'refuse', why: 'cannot_meter' };
  }
  const { flavour, ending, attempt_role: role } = fact;
  parts.metrics.attempts.inc({ flavour, ending, role });
  if (progress.gaveUp === 'cannot_meter') return { next: 'refuse', why: 'cannot_meter' };
  if (progress.withheld !== null) {
    return { next: 'withheld', answer: withheldAnswer(on, kind) };
  }
  if (kind !== 'complete' && !relay.started) return unanswered(on, endKind);
  if (kind !== 'complete') relay.cut();
  // Whoever has left, or has its answer from another attempt, gets nothing of this one.
  else if (relay.started) await relay.finish(costHeader(call));
  return { next: 'answered' };
};

/** Sends one attempt upstream and carries the answer to the client. Its event is written when this resolves, whatever happened. */
export const exchange = (
  parts: ProxyParts,
  call: ClientCall,
  record: AttemptRecord,
  orders: AttemptOrders,
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
    relay: createClientRelay(call.res, {
      hideUsage: orders.outgoing.hideUsage,
      extra: ownHeaders(call),
      late: lateOrders(parts, call),
    }),
    control: { pause: () => undefined, resume: () => undefined, abort: () => undefined },
    orders,
    isDurable: false,
    starting: Promise.resolve(),
    releaseDrain: () => undefined,
    stall: undefined,
    ended: false,
  };
  const noteDurable = (): void => {
    on.isDurable = true;
  };
  orders.durable.then(noteDurable, () => undefined);
  const resume = (): void => goOn(on);
  call.res.on('drain', resume);
  const forgetShutdown = parts.onShutdown(() => giveUp(on, 'shutdown'));
  const { upstream, path, headers, body } = orders.outgoing;
  if (orders.client.left()) {
    // Gone while the opened record was written: what was not sent is not billed.
    end('unreachable');
    return promise;
  }
  on.control = parts.forwarder.send(
    { upstream, method: 'POST', path, headers, body },
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
  orders.client.onLeft(() => whenClientLeft(on));
  return promise;
};
