import { costHeader } from './call-cost.ts';
import type { ClientCall } from './client-call.ts';
import { ownHeaders } from './client-call.ts';
import type { Refusal } from './core/answers.ts';
import { UNREACHABLE } from './core/answers.ts';
import type { Choice } from './core/targets.ts';
import type { AttemptEnd, WithheldAnswer } from './exchange.ts';
import { exchange } from './exchange.ts';
import { openRecord } from './open-record.ts';
import { outgoingFor } from './outgoing.ts';
import type { ProxyParts } from './proxy-parts.ts';
import { passOn, refuse } from './respond.ts';
import type { Leg, Trip } from './trip.ts';
import { createTrip } from './trip.ts';

export const CANNOT_METER: Refusal = {
  status: 503,
  code: 'cannot_meter',
  message: 'The call cannot be metered right now, so it was not made. Try again shortly.',
  retryAfterS: 5,
};

type Failure = Extract<AttemptEnd, { next: 'refuse' }>['why'];

const REFUSALS: Record<Failure, Refusal> = {
  unreachable: UNREACHABLE,
  timeout: {
    status: 504,
    code: 'upstream_timeout',
    message: 'The upstream did not answer in time. The call may have been billed.',
  },
  cannot_meter: CANNOT_METER,
};

/** Waits, but no longer than the client does. */
const waitUnlessLeft = (call: ClientCall, waitMs: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, waitMs);
    call.client.onLeft(() => {
      clearTimeout(timer);
      resolve();
    });
  });

/** One attempt: opened record stored, call made, event written. */
const attempt = async (parts: ProxyParts, call: ClientCall, leg: Leg): Promise<AttemptEnd> => {
  const { target, role } = leg.choice;
  // Before the attempt is opened: what cannot be signed is no attempt.
  const outgoing = await outgoingFor(parts, call, target);
  const record = openRecord(parts, call, { outgoing, number: leg.number, role });
  const opened = parts.journal.open(record);
  call.cost.opened();
  let using = parts;
  try {
    await opened.stored;
  } catch {
    if (!parts.pressure.failsOpen) return { next: 'refuse', why: 'cannot_meter' };
    using = { ...parts, journal: parts.unrecorded };
  }
  const durable = using === parts ? opened.durable : Promise.resolve();
  const { client, withhold } = leg;
  return exchange(using, call, record, { outgoing, durable, client, withhold });
};

const run = async (parts: ProxyParts, call: ClientCall, leg: Leg): Promise<AttemptEnd> => {
  try {
    return await attempt(parts, call, leg);
  } finally {
    leg.over();
  }
};

/** A hedge that fails inside the proxy is one that could not be made: the attempt beside it goes on. */
const runBeside = (parts: ProxyParts, call: ClientCall, leg: Leg): Promise<AttemptEnd> =>
  run(parts, call, leg).catch((error: unknown) => {
    parts.logger.error({ error: (error as Error).name }, 'a hedge failed inside the proxy');
    return { next: 'refuse', why: 'unreachable' };
  });

/** No attempt was answered: the last answer of a provider as it came, else one of our own. */
const unanswered = (
  parts: ProxyParts,
  call: ClientCall,
  about: { why: Failure; answer: WithheldAnswer | null },
): void => {
  if (call.client.left()) return;
  const { why, answer } = about;
  if (answer && why !== 'cannot_meter') {
    passOn(call.res, answer, { ...ownHeaders(call), ...costHeader(call) });
    return;
  }
  parts.metrics.refusals.inc({ code: REFUSALS[why].code });
  refuse(call.res, REFUSALS[why], { ...call, extra: costHeader(call) });
};

/**
 * One attempt, and a second beside it where the chain says so and the first has shown nothing for that long. Resolves when both are
 * over: who loses is read to its end or given up as its upstream says, while the client has its answer.
 */
const attemptsAt = async (
  parts: ProxyParts,
  call: ClientCall,
  trip: Trip,
  choice: Choice,
): Promise<AttemptEnd[]> => {
  const leg = trip.begin(choice);
  const ends = [run(parts, call, leg)];
  const { hedgeAfterMs } = call.chain;
  if (hedgeAfterMs === undefined) return Promise.all(ends);
  const timer = setTimeout(() => {
    const hedge = leg.waiting() && !call.client.left() ? trip.hedge() : null;
    if (hedge) ends.push(runBeside(parts, call, trip.begin(hedge)));
  }, hedgeAfterMs);
  await ends[0]?.catch(() => undefined);
  clearTimeout(timer);
  return Promise.all(ends);
};

/** Serves an admitted call: attempts until one is answered, the bounds are reached or the client has left. */
export const serveMetered = async (parts: ProxyParts, call: ClientCall): Promise<void> => {
  const trip = createTrip(parts, call);
  let answer: WithheldAnswer | null = null;
  let why: Failure = 'unreachable';
  for (let choice = trip.next(); choice; choice = trip.next()) {
    if (choice.waitMs > 0) await waitUnlessLeft(call, choice.waitMs);
    if (call.client.left()) return;
    const ends = await attemptsAt(parts, call, trip, choice);
    if (ends.some((end) => end.next === 'answered')) return;
    for (const end of ends) {
      if (end.next === 'withheld') answer = end.answer ?? answer;
      else if (end.next === 'refuse') why = end.why;
    }
    if (why === 'cannot_meter') break;
  }
  unanswered(parts, call, { why, answer });
};
