import type { AttemptRecord } from '../../schemas/usage-event.ts';
import { toInstant } from '../platform/clock.ts';
import { newId } from '../platform/id-source.ts';
import type { ClientCall } from './client-call.ts';
import type { Refusal } from './core/answers.ts';
import { headerOf } from './core/headers.ts';
import type { AttemptEnd } from './exchange.ts';
import { exchange } from './exchange.ts';
import { outgoingCall } from './outgoing-call.ts';
import type { ProxyParts } from './proxy-parts.ts';
import { refuse } from './respond.ts';

export const CANNOT_METER: Refusal = {
  status: 503,
  code: 'cannot_meter',
  message: 'The call cannot be metered right now, so it was not made. Try again shortly.',
  retryAfterS: 5,
};

const REFUSALS: Record<Extract<AttemptEnd, { next: 'refuse' }>['why'], Refusal> = {
  unreachable: {
    status: 502,
    code: 'upstream_unreachable',
    message: 'The upstream could not be reached or broke the connection before it answered.',
  },
  timeout: {
    status: 504,
    code: 'upstream_timeout',
    message: 'The upstream did not answer in time. The call may have been billed.',
  },
  cannot_meter: CANNOT_METER,
};

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

const openRecord = (parts: ProxyParts, call: ClientCall, number: number): AttemptRecord => {
  const { facts, key, upstream } = call;
  const traceparent = headerOf(call.req.headers, 'traceparent');
  return {
    request_id: call.requestId,
    attempt_id: newId(),
    attempt_number: number,
    attempt_role: number === 1 ? 'primary' : 'retry',
    event_id: newId(),
    event_ts: toInstant(parts.clock.nowMs()),
    proxy_id: parts.config.id,
    boot_id: parts.bootId,
    key_id: key.id,
    credential_pool_id: upstream.id,
    byo_key: false,
    upstream: upstream.id,
    provider: upstream.provider,
    flavour: call.route.flavour ?? 'passthrough',
    ...(facts.model === undefined ? {} : { requested_model: facts.model }),
    ...(facts.tier === undefined ? {} : { requested_tier: facts.tier }),
    streamed: facts.streamed,
    dimensions: call.dimensions,
    tags: call.tags,
    ...(traceparent && TRACEPARENT.test(traceparent) ? { traceparent } : {}),
    estimated_input_tokens: String(call.estimatedInputTokens),
    ...(facts.maxOutputTokens === undefined
      ? {}
      : { max_output_tokens: String(facts.maxOutputTokens) }),
  };
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
const attempt = async (
  parts: ProxyParts,
  call: ClientCall,
  number: number,
): Promise<AttemptEnd> => {
  const { upstream, body } = call;
  // Before the attempt is opened: what cannot be signed is no attempt.
  const outgoing = await outgoingCall(parts, call, { upstream, method: 'POST', body });
  const record = openRecord(parts, call, number);
  const opened = parts.journal.open(record);
  let using = parts;
  try {
    await opened.stored;
  } catch {
    if (!parts.pressure.failsOpen) return { next: 'refuse', why: 'cannot_meter' };
    using = { ...parts, journal: parts.unrecorded };
  }
  const mayRetry = number < upstream.attempts_max;
  const durable = using === parts ? opened.durable : Promise.resolve();
  return exchange(using, call, record, { durable, mayRetry, ...outgoing });
};

/** Serves an admitted call: attempts until one is answered, the bound is reached or the client has left. */
export const serveMetered = async (parts: ProxyParts, call: ClientCall): Promise<void> => {
  for (let number = 1; !call.client.left(); number += 1) {
    const end = await attempt(parts, call, number);
    if (end.next === 'answered') return;
    if (end.next === 'refuse') {
      if (call.client.left()) return;
      parts.metrics.refusals.inc({ code: REFUSALS[end.why].code });
      return refuse(call.res, REFUSALS[end.why], call);
    }
    await waitUnlessLeft(call, end.waitMs);
  }
};
