import type { Meter } from '../../../schemas/words.ts';
import type { CellName } from './cell.ts';

/** What the ledger charges for one event, model and meter, reversals taken off. */
export interface LedgerCharge {
  event_id: string;
  attempt_id: string;
  /** Empty where the provider never answered. */
  provider_request_id: string;
  model: string;
  meter: Meter;
  quantity: string;
  amount_usd: string;
}

/** An event whose usage the provider did not state to us, or that carries no charge. */
export interface LedgerEvent {
  event_id: string;
  attempt_id: string;
  provider_request_id: string;
  model: string;
  /** Estimated, partial, unknown, pending, unrated or written by crash recovery: a difference is expected. */
  flagged: boolean;
}

/** One side of one meter. */
export interface Sum {
  quantity: bigint;
  amount: bigint;
}

export interface Line {
  readonly cell: CellName;
  readonly model: string;
  readonly meter: string;
  readonly ledger: Sum;
  readonly provider: Sum;
}

/** All that both sides say of one provider request. */
export interface Call {
  readonly id: string;
  readonly events: Map<string, LedgerEvent>;
  readonly charged: Set<string>;
  readonly lines: Map<string, Line>;
  billed: boolean;
}

/** Events without the provider's id stand alone, under an id nobody else can have. */
export const callId = (event: { provider_request_id: string; event_id: string }): string =>
  event.provider_request_id === '' ? `\n${event.event_id}` : event.provider_request_id;

export const isUnidentified = (call: Call): boolean => call.id.startsWith('\n');
