import type { ClientCall } from './client-call.ts';
import { ownHeaders } from './client-call.ts';
import { createClientRelay } from './client-relay.ts';
import type { Refusal } from './core/answers.ts';
import { UNREACHABLE } from './core/answers.ts';
import { firstTarget } from './core/chain.ts';
import { requestHeadFor } from './outgoing.ts';
import type { ProxyParts } from './proxy-parts.ts';
import { refuse } from './respond.ts';

const TIMED_OUT: Refusal = {
  status: 504,
  code: 'upstream_timeout',
  message: 'The upstream did not answer in time.',
};

const STILL_READ: Refusal = {
  status: 503,
  code: 'cannot_meter',
  message: 'What the work cost is still being read, so nothing was deleted. Try again shortly.',
  retryAfterS: 5,
};

/** Passes on a call that no provider bills: no records, no event, only a count. */
export const serveUnmetered = async (parts: ProxyParts, call: ClientCall): Promise<void> => {
  parts.metrics.notMetered.inc();
  // A caller that looks whether its work is done shows that it may be.
  const looked = /\/(?:responses|batches)\/([^/]+)$/.exec(call.route.path)?.[1];
  if (looked !== undefined) parts.follower.wake(looked);
  const relay = createClientRelay(call.res, { hideUsage: false, extra: ownHeaders(call) });
  const { upstream } = firstTarget(call.chain);
  const deletes = call.req.method === 'DELETE';
  if (deletes && !(await parts.follower.beforeDeletion(upstream.id, call.route.path))) {
    refuse(call.res, STILL_READ, call);
    return;
  }
  const body = call.body && call.body.length > 0 ? call.body : null;
  const method = call.req.method ?? 'GET';
  const head = await requestHeadFor(parts, call, { upstream, method, body });
  const { promise, resolve } = Promise.withResolvers<void>();
  const control = parts.forwarder.send(
    { upstream, ...head, body },
    {
      onStart: relay.start,
      onData: (chunk) => {
        if (!relay.write(chunk)) control.pause();
      },
      onEnd: () => void relay.finish().then(resolve),
      onFailure: (kind) => {
        if (relay.started) relay.cut();
        else refuse(call.res, kind === 'timeout' ? TIMED_OUT : UNREACHABLE, call);
        resolve();
      },
    },
  );
  call.res.on('drain', () => control.resume());
  call.client.onLeft(() => control.abort());
  return promise;
};
