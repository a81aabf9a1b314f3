import type { ClosingFact } from './attempt-journal.ts';
import type { ClientCall } from './client-call.ts';
import { COST_HEADER, costOfAttempt, takesTrailers } from './core/call-cost.ts';
import { headerOf } from './core/headers.ts';
import type { LateOrders } from './late-head.ts';
import type { ProxyParts } from './proxy-parts.ts';

/** What a closed attempt costs by the books in force here; undefined where that is not known. */
export const attemptCost = (parts: ProxyParts, fact: ClosingFact): string | undefined => {
  // Nobody will rate what no log has.
  if (parts.journal === parts.unrecorded) return undefined;
  try {
    return costOfAttempt(fact, parts.books());
  } catch (error) {
    // A figure to be shown is not worth a call: the event is written, and the rater says what is wrong.
    parts.logger.error({ error: (error as Error).name }, 'an attempt could not be rated');
    return undefined;
  }
};

/** The header that says what a call has cost, once that is known to the last digit; none before. */
export const costHeader = ({ cost }: ClientCall): Record<string, string> => {
  const usd = cost.usd();
  return usd === undefined ? {} : { [COST_HEADER]: usd };
};

/** How an answer's relay is to tell the cost of its call. */
export const lateOrders = (parts: ProxyParts, call: ClientCall): LateOrders | undefined => {
  // No shape of usage is known there, so no cost will be.
  if (call.route.flavour === 'passthrough') return undefined;
  const { req, key, held, facts } = call;
  return {
    trailer: takesTrailers(req.httpVersion, headerOf(req.headers, 'te')) ? COST_HEADER : null,
    streamed: facts.streamed,
    hold: (bytes) => held.take(key.id, bytes) === null,
    nowMs: parts.clock.monotonicMs,
  };
};
