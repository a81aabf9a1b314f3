import type { IncomingMessage, ServerResponse } from 'node:http';
import type { VirtualKey } from '../../schemas/control-record.ts';
import type { Dimensions } from '../../schemas/usage-event.ts';
import type { HeldBody } from './body-room.ts';
import type { CallCost } from './core/call-cost.ts';
import type { Chain } from './core/chain.ts';
import type { RequestFacts } from './core/request-facts.ts';
import type { Dialect, Route } from './core/route.ts';

/** One admitted call of one client, ready to go upstream. */
export interface ClientCall {
  requestId: string;
  req: IncomingMessage;
  res: ServerResponse;
  client: ClientPresence;
  route: Route;
  dialect: Dialect;
  key: VirtualKey;
  /** Where it may go. */
  chain: Chain;
  facts: RequestFacts;
  dimensions: Dimensions;
  tags: Record<string, string>;
  /** As it came. */
  body: Buffer | null;
  /** The body as text where it is a JSON object in UTF-8 and the call is metered. */
  source: string | null;
  estimatedInputTokens: number;
  /** The memory its body takes, and its answer's while that waits. */
  held: HeldBody;
  cost: CallCost;
  /** Left of the tightest budget, USD. */
  remainingUsd?: string;
}

/** Whether the client is still there. */
export interface ClientPresence {
  left(): boolean;
  /** Called at once when the client has left already. */
  onLeft(listener: () => void): void;
}

/** Watches the client's connection. An answer that was sent completely is not leaving. */
export const watchClient = (res: ServerResponse): ClientPresence => {
  const listeners: (() => void)[] = [];
  let left = false;
  res.on('close', () => {
    if (res.writableFinished) return;
    left = true;
    for (const listener of listeners.splice(0)) listener();
  });
  return {
    left: () => left,
    onLeft: (listener) => {
      if (left) listener();
      else listeners.push(listener);
    },
  };
};

/** Headers the proxy adds to every answer of a call. */
export const ownHeaders = (call: {
  requestId: string;
  remainingUsd?: string;
}): Record<string, string> => ({
  'x-reckoner-request-id': call.requestId,
  ...(call.remainingUsd === undefined
    ? {}
    : { 'x-reckoner-budget-remaining-usd': call.remainingUsd }),
});
