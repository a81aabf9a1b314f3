import { addAmounts } from '../../pricing/money.ts';

/** A call as the ledger and the archive hold it. */
export interface Row {
  provider: string;
  id: string;
  request?: string;
  model?: string;
  ending?: string;
  error?: string;
  byoKey?: boolean;
  revision?: number;
  kind?: 'charge' | 'reversal';
  /** meter -> [quantity, unit price, amount] */
  charges?: Record<string, [string, string, string]>;
  day?: string;
  /** Time of the day, UTC. */
  time?: string;
  tier?: string;
}

export const ENTRY_COLUMNS =
  'entry_id event_id revision kind outcome unrated_reason event_ts closed_at period posting_period tenant byo_key provider upstream model tier ending attempt_id provider_request_id charge_meters charge_models charge_quantities charge_unit_prices charge_amounts charge_price_ids total_usd'.split(
    ' ',
  );
export const USAGE_COLUMNS =
  'event_id attempt_id request_id event_ts closed_at tenant byo_key provider upstream requested_model model ending error_kind provider_request_id'.split(
    ' ',
  );

export const entryOf = (row: Row): unknown[] => {
  const { id, revision = 1, kind = 'charge', charges, model = 'gpt-4o-mini-2024-07-18' } = row;
  const lines = Object.entries(charges ?? {});
  const at = `${row.day ?? '2026-11-03'} ${row.time ?? '12:00'}:00.000`;
  return [
    `${id}/${revision}/${kind}`,
    id,
    revision,
    kind,
    charges ? 'rated' : 'unrated',
    charges ? '' : 'unknown_usage',
    at,
    at,
    at.slice(0, 7),
    at.slice(0, 7),
    'acme',
    row.byoKey ?? false,
    row.provider,
    row.provider,
    model,
    row.tier ?? '',
    row.ending ?? 'reported',
    `attempt-${id}`,
    row.request ?? '',
    lines.map(([meter]) => meter),
    lines.map(() => model),
    lines.map(([, [quantity]]) => quantity),
    lines.map(([, [, price]]) => price),
    lines.map(([, [, , amount]]) => amount),
    lines.map(([meter]) => meter),
    charges ? addAmounts(lines.map(([, [, , amount]]) => amount)) : null,
  ];
};

export const usageOf = (row: Row): unknown[] => {
  const model = row.model ?? 'gpt-4o-mini-2024-07-18';
  const at = `${row.day ?? '2026-11-03'} 12:00:00.000`;
  return [
    row.id,
    `attempt-${row.id}`,
    `request-${row.id}`,
    at,
    at,
    'acme',
    row.byoKey ?? false,
    row.provider,
    row.provider,
    model,
    row.error === 'crash' ? '' : model,
    row.ending ?? 'reported',
    row.error ?? '',
    row.request ?? '',
  ];
};
