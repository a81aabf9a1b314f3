import type { AttemptRecord } from '../../schemas/usage-event.ts';
import { toInstant } from '../platform/clock.ts';
import { newId } from '../platform/id-source.ts';
import type { ClientCall } from './client-call.ts';
import { headerOf } from './core/headers.ts';
import type { Outgoing } from './outgoing.ts';
import type { ProxyParts } from './proxy-parts.ts';

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The opened record of one attempt: who it is for, and what this upstream is asked for. */
export const openRecord = (
  parts: ProxyParts,
  call: ClientCall,
  about: { outgoing: Outgoing; number: number; role: AttemptRecord['attempt_role'] },
): AttemptRecord => {
  const { facts, key } = call;
  const { upstream, model, flavour } = about.outgoing;
  const traceparent = headerOf(call.req.headers, 'traceparent');
  return {
    request_id: call.requestId,
    attempt_id: newId(),
    attempt_number: about.number,
    attempt_role: about.role,
    event_id: newId(),
    event_ts: toInstant(parts.clock.nowMs()),
    proxy_id: parts.config.id,
    boot_id: parts.bootId,
    key_id: key.id,
    credential_pool_id: upstream.id,
    byo_key: false,
    upstream: upstream.id,
    provider: upstream.provider,
    flavour,
    ...(model === undefined ? {} : { requested_model: model }),
    ...(facts.tier === undefined ? {} : { requested_tier: facts.tier }),
    streamed: facts.streamed,
    dimensions: call.dimensions,
    tags: call.tags,
    ...(upstream.unknown_price === 'ceiling' ? { unknown_price: 'ceiling' } : {}),
    ...(traceparent && TRACEPARENT.test(traceparent) ? { traceparent } : {}),
    estimated_input_tokens: String(call.estimatedInputTokens),
    ...(facts.maxOutputTokens === undefined
      ? {}
      : { max_output_tokens: String(facts.maxOutputTokens) }),
  };
};
