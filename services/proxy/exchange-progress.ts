import type { IncomingHttpHeaders } from 'node:http';
import type { PendingOperation } from '../../schemas/pending-operation.ts';
import type { AttemptRecord, UnitQuantities } from '../../schemas/usage-event.ts';
import { toInstant } from '../platform/clock.ts';
import type { ClosingFact } from './attempt-journal.ts';
import type { BodyDecoder } from './body-decoder.ts';
import { createBodyDecoder } from './body-decoder.ts';
import { closeAttempt, isBilledRefusal } from './core/close-attempt.ts';
import { mayFollow, operationOf } from './core/follow-plan.ts';
import { headerOf } from './core/headers.ts';
import type { FailureKind } from './forward.ts';
import type { ProxyParts } from './proxy-parts.ts';
import type { ReplyMeter } from './reply-meter.ts';
import { createReplyMeter } from './reply-meter.ts';
import { countTextTokens } from './token-count.ts';

/** How the reading of an answer came to its end. */
export type EndKind = 'complete' | FailureKind | 'client_left' | 'shutdown';

/** What one exchange has seen so far. */
export interface Progress {
  startedMs: number;
  status: number | undefined;
  headers: IncomingHttpHeaders;
  ttftMs: number | undefined;
  meter: ReplyMeter;
  decoder: BodyDecoder;
  /** The answer is not for the client, since another attempt follows: what came of it. Null: it is. */
  withheld: Buffer[] | null;
  bytesForNobody: number;
  /** Why we broke the connection to the upstream ourselves. */
  gaveUp: 'client_left' | 'shutdown' | 'cannot_meter' | null;
}

export const newProgress = (parts: ProxyParts, record: AttemptRecord): Progress => {
  const meter = createReplyMeter(record.flavour, undefined);
  return {
    startedMs: parts.clock.monotonicMs(),
    status: undefined,
    headers: {},
    ttftMs: undefined,
    meter,
    decoder: createBodyDecoder(undefined, meter.feed),
    withheld: null,
    bytesForNobody: 0,
    gaveUp: null,
  };
};

/** The answer's head is here: from now on its bytes are read as what it says they are. */
export const noteHead = (
  progress: Progress,
  record: AttemptRecord,
  head: { status: number; headers: IncomingHttpHeaders; asked?: UnitQuantities | undefined },
): void => {
  progress.status = head.status;
  progress.headers = head.headers;
  progress.meter = createReplyMeter(record.flavour, head.headers['content-type'], {
    head,
    asked: head.asked,
  });
  progress.decoder = createBodyDecoder(head.headers['content-encoding'], progress.meter.feed);
};

const REQUEST_ID_HEADERS = ['x-request-id', 'request-id', 'apim-request-id', 'x-amzn-requestid'];

/** How programs write an id they do not have. Kept as one, it would be shared by all such calls. */
const NO_ID = /^(|null|none|nil|undefined)$/i;

const providerRequestId = (headers: IncomingHttpHeaders): string | undefined => {
  for (const name of REQUEST_ID_HEADERS) {
    const id = headerOf(headers, name);
    if (id !== undefined && !NO_ID.test(id) && id.length <= 200) return id;
  }
  return undefined;
};

/** Work behind the fact that its provider will say more about: what to remember of it, or null. */
export const operationBehind = (
  progress: Progress,
  fact: ClosingFact,
  about: { target: string; stored: boolean },
): PendingOperation | null =>
  mayFollow(fact.ending) ? operationOf(fact, progress.meter.statement(), about) : null;

/** The closing fact of the exchange. Text seen is counted only where the provider's own figures are missing. */
export const factOf = (
  parts: ProxyParts,
  record: AttemptRecord,
  progress: Progress,
  about: { kind: EndKind; clientLeft: boolean; hedgeLost: boolean; onAzure: boolean },
): ClosingFact => {
  const { meter, status } = progress;
  const { onAzure, ...ending } = about;
  const statement = meter.overflown()
    ? { ...meter.statement(), completeness: 'unreadable' as const }
    : meter.statement();
  const { completeness } = statement;
  const needsCount = completeness !== 'full' && completeness !== 'unreadable';
  const requestId = providerRequestId(progress.headers);
  if (completeness === 'unreadable') {
    parts.metrics.unreadable.inc({ flavour: record.flavour });
    parts.logger.warn(
      { event_id: record.event_id, upstream: record.upstream, flavour: record.flavour },
      'the usage a reply states could not be read',
    );
  }
  return closeAttempt(record, statement, {
    ...ending,
    billedRefusal: isBilledRefusal(onAzure, status, statement.finishReason),
    closedAt: toInstant(parts.clock.nowMs()),
    durationMs: Math.round(parts.clock.monotonicMs() - progress.startedMs),
    outputTokensSeen: needsCount ? countTextTokens(meter.textSeen()) : 0,
    streamSeen: meter.streamSeen(),
    ...(status === undefined ? {} : { httpStatus: status }),
    ...(requestId === undefined ? {} : { providerRequestId: requestId }),
    ...(progress.ttftMs === undefined ? {} : { ttftMs: Math.round(progress.ttftMs) }),
  });
};
