import type { Upstream } from '../../schemas/control-record.ts';
import type { PendingOperation } from '../../schemas/pending-operation.ts';
import type { Clock } from '../platform/clock.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { Asker } from './ask-upstream.ts';
import type { AttemptJournal } from './attempt-journal.ts';
import type { Asked } from './core/settle-operation.ts';
import { NOT_ASKED } from './core/settle-operation.ts';
import type { FollowPace } from './follow-turns.ts';
import type { ProxyMetrics } from './proxy-metrics.ts';

/** What following needs of the running proxy. */
export interface FollowerDeps extends Asker {
  log: EventLog;
  journal: AttemptJournal;
  bootId: string;
  proxyId: string;
  upstreamOf: (id: string) => Upstream | undefined;
  clock: Clock;
  logger: Logger;
  metrics: ProxyMetrics;
  pace: FollowPace;
}

/** An operation as it is known now: reading a batch moves it on. */
export interface Followed {
  operation: PendingOperation;
  /** What was said when it was asked about. */
  asked: Asked;
  /** What was said when a batch's results were asked for. */
  resultsAsked: Asked;
  /** A client has looked since it was last asked about: it may know of results that are not read yet. */
  seenByClient: boolean;
}

export const followedOf = (operation: PendingOperation): Followed => ({
  operation,
  asked: NOT_ASKED,
  resultsAsked: NOT_ASKED,
  seenByClient: false,
});

/** That there is no such work must be all that is said for so long: an hour at the usual pace. */
export const goneMsOf = (pace: FollowPace): number => 6 * pace.maxMs;
