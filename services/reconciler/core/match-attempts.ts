import { formatAmount, scaledAmount } from '../../../pricing/money.ts';
import type { StatementItem } from '../../../schemas/statement-line.ts';
import type { Meter } from '../../../schemas/words.ts';
import type { Call, LedgerCharge, LedgerEvent, Line, Sum } from './call.ts';
import { callId, isUnidentified } from './call.ts';
import type { CellName, CellNaming } from './cell.ts';
import { cellKey } from './cell.ts';
import { pairUnidentified } from './pair-unidentified.ts';

export type DifferenceKind =
  | 'missing_event' // they bill it, we have no event
  | 'extra_event' // we charge it, they do not bill it
  | 'other_month' // they bill it, we charge it in the month beside, with the same figures
  | 'charged_twice' // two effective events for one call of theirs
  | 'wrong_class' // the same number of tokens, split over meters otherwise
  | 'quantity'
  | 'price'; // the same quantities, another amount

/** One meter of one attempt on both sides. Quantities in the meter's unit, amounts in USD. */
export interface MeterDifference {
  model: string;
  meter: string;
  ledger_quantity: string;
  provider_quantity: string;
  ledger_usd: string;
  provider_usd: string;
}

export interface AttemptDifference {
  kind: DifferenceKind;
  /** The event's own ending says that the provider did not state its usage: the difference is explained. */
  flagged: boolean;
  /** Ours; absent for a missing event. Of a call charged twice the attempt recorded last. */
  attempt_id?: string;
  event_ids: string[];
  provider_request_id: string;
  /** Only the meters that differ. */
  meters: MeterDifference[];
  ledger_usd: string;
  provider_usd: string;
  delta_usd: string;
}

/** The kind, finer where that gives the cause another name: input that is only split over cached and uncached otherwise. */
export type CallKind = DifferenceKind | 'wrong_cache';

const isCachedOrNot = (meter: string): boolean =>
  meter.startsWith('input_uncached') || meter.startsWith('cache_');

export const callKindOf = (difference: Pick<AttemptDifference, 'kind' | 'meters'>): CallKind =>
  difference.kind === 'wrong_class' && difference.meters.every(({ meter }) => isCachedOrNot(meter))
    ? 'wrong_cache'
    : difference.kind;

/** What attempts add to the delta of one cell, as counts of 10^-18 USD. */
export interface CellContribution {
  readonly cell: CellName;
  readonly kind: CallKind;
  readonly flagged: boolean;
  readonly amount: bigint;
}

export interface MatchResult {
  matched: number;
  differences: AttemptDifference[];
  contributions: CellContribution[];
}

type Calls = Map<string, Call>;

const callOf = (calls: Calls, id: string): Call => {
  const call = calls.get(id) ?? {
    id,
    events: new Map(),
    charged: new Set(),
    lines: new Map(),
    billed: false,
  };
  calls.set(id, call);
  return call;
};

interface Naming {
  cell: CellNaming;
  /** Whether the provider's record tells reasoning from other output; statements do not. */
  splitsOutput: boolean;
}

const lineOf = (call: Call, naming: Naming, model: string, meter: Meter): Line => {
  const cell = naming.cell(model, meter);
  const compared = naming.splitsOutput ? meter : cell.meter;
  const key = `${cell.model}\n${compared}`;
  const line = call.lines.get(key) ?? {
    cell,
    model: cell.model,
    meter: compared,
    ledger: { quantity: 0n, amount: 0n },
    provider: { quantity: 0n, amount: 0n },
  };
  call.lines.set(key, line);
  return line;
};

const addTo = (sum: Sum, quantity: string, amount: string): void => {
  sum.quantity += scaledAmount(quantity);
  sum.amount += scaledAmount(amount);
};

const collect = (
  ledger: { charges: readonly LedgerCharge[]; events: readonly LedgerEvent[] },
  items: readonly StatementItem[],
  naming: Naming,
): Calls => {
  const calls: Calls = new Map();
  for (const charge of ledger.charges) {
    const call = callOf(calls, callId(charge));
    const { event_id, attempt_id, provider_request_id, model } = charge;
    call.charged.add(event_id);
    if (!call.events.has(event_id)) {
      call.events.set(event_id, {
        event_id,
        attempt_id,
        provider_request_id,
        model,
        flagged: false,
      });
    }
    addTo(lineOf(call, naming, model, charge.meter).ledger, charge.quantity, charge.amount_usd);
  }
  for (const event of ledger.events) callOf(calls, callId(event)).events.set(event.event_id, event);
  for (const item of items) {
    const call = callOf(calls, item.provider_request_id);
    call.billed = true;
    addTo(lineOf(call, naming, item.model, item.meter).provider, item.quantity, item.amount_usd);
  }
  return calls;
};

const differs = (line: Line): boolean =>
  line.ledger.quantity !== line.provider.quantity || line.ledger.amount !== line.provider.amount;

const sumOf = (lines: readonly Line[], pick: (line: Line) => bigint): bigint =>
  lines.reduce((sum, line) => sum + pick(line), 0n);

const kindOf = (call: Call, lines: readonly Line[]): DifferenceKind => {
  if (call.events.size === 0) return 'missing_event';
  if (!call.billed) return 'extra_event';
  if (call.charged.size > 1) return 'charged_twice';
  if (lines.every((line) => line.ledger.quantity === line.provider.quantity)) return 'price';
  const ours = sumOf(lines, (line) => line.ledger.quantity);
  const theirs = sumOf(lines, (line) => line.provider.quantity);
  return ours === theirs ? 'wrong_class' : 'quantity';
};

/** An ending excuses quantities; it never excuses a price, nor one call charged twice. */
const isFlagged = (call: Call, kind: DifferenceKind): boolean =>
  kind !== 'price' &&
  kind !== 'charged_twice' &&
  [...call.events.values()].some((event) => event.flagged);

const describe = (call: Call): { difference: AttemptDifference; lines: Line[] } | null => {
  const lines = [...call.lines.values()].filter(differs);
  if (lines.length === 0) return null;
  const kind = kindOf(call, lines);
  const ours = sumOf(lines, (line) => line.ledger.amount);
  const theirs = sumOf(lines, (line) => line.provider.amount);
  const charged = [...call.charged].sort().at(-1) ?? [...call.events.keys()].sort().at(-1);
  const attempt = charged === undefined ? undefined : call.events.get(charged)?.attempt_id;
  const difference: AttemptDifference = {
    kind,
    flagged: isFlagged(call, kind),
    ...(attempt === undefined ? {} : { attempt_id: attempt }),
    event_ids: [...call.events.keys()].sort(),
    provider_request_id: isUnidentified(call) ? '' : call.id,
    meters: lines.map((line) => ({
      model: line.model,
      meter: line.meter,
      ledger_quantity: formatAmount(line.ledger.quantity),
      provider_quantity: formatAmount(line.provider.quantity),
      ledger_usd: formatAmount(line.ledger.amount),
      provider_usd: formatAmount(line.provider.amount),
    })),
    ledger_usd: formatAmount(ours),
    provider_usd: formatAmount(theirs),
    delta_usd: formatAmount(theirs - ours),
  };
  return { difference, lines };
};

/** Calls of the months beside, by the provider's id. */
const groupById = (charges: readonly LedgerCharge[]): Map<string, LedgerCharge[]> => {
  const byId = new Map<string, LedgerCharge[]>();
  for (const charge of charges) {
    if (charge.provider_request_id === '') continue;
    const known = byId.get(charge.provider_request_id);
    if (known) known.push(charge);
    else byId.set(charge.provider_request_id, [charge]);
  }
  return byId;
};

/** The same call with what the month beside charges for it. Only where nothing differs is it that call. */
const isOfOtherMonth = (call: Call, charges: readonly LedgerCharge[], naming: Naming): boolean => {
  const whole: Call = { ...call, lines: new Map() };
  for (const [key, line] of call.lines) {
    whole.lines.set(key, { ...line, ledger: { quantity: 0n, amount: 0n } });
  }
  for (const { model, meter, quantity, amount_usd } of charges) {
    addTo(lineOf(whole, naming, model, meter).ledger, quantity, amount_usd);
  }
  const events = new Set(charges.map(({ event_id }) => event_id));
  return events.size === 1 && ![...whole.lines.values()].some(differs);
};

/** What needs somebody comes first; then in the order of the provider's ids, so that runs can be compared. */
const faultsFirst = (a: AttemptDifference, b: AttemptDifference): number => {
  if (a.flagged !== b.flagged) return a.flagged ? 1 : -1;
  if (a.provider_request_id !== b.provider_request_id) {
    return a.provider_request_id < b.provider_request_id ? -1 : 1;
  }
  return (a.event_ids[0] ?? '') < (b.event_ids[0] ?? '') ? -1 : 1;
};

/**
 * Compares our attempts with the provider's own record of each call and names every difference. A call of theirs that we
 * cannot find and a flagged attempt of ours that has no id of theirs are taken for the same call where model and size fit:
 * after a crash nobody told us the id.
 * @param ledger charges of the period net of reversals, and the events that are flagged or carry no charge. `beside`: charges of
 * the first and last days of the months beside, where a call at midnight may have been counted.
 */
export const matchAttempts = (
  ledger: {
    charges: readonly LedgerCharge[];
    events: readonly LedgerEvent[];
    beside?: readonly LedgerCharge[];
  },
  items: readonly StatementItem[],
  cell: CellNaming,
): MatchResult => {
  const splitsOutput = items.some((item) => item.meter.startsWith('output_reasoning'));
  const naming = { cell, splitsOutput };
  const beside = groupById(ledger.beside ?? []);
  const calls = pairUnidentified([...collect(ledger, items, naming).values()]);
  const result: MatchResult = { matched: 0, differences: [], contributions: [] };
  for (const call of calls) {
    const described = describe(call);
    if (described === null) {
      if (call.billed) result.matched += 1;
      continue;
    }
    const elsewhere = beside.get(call.id);
    if (
      described.difference.kind === 'missing_event' &&
      elsewhere &&
      isOfOtherMonth(call, elsewhere, naming)
    ) {
      described.difference.kind = 'other_month';
    }
    const { flagged } = described.difference;
    const kind = callKindOf(described.difference);
    result.differences.push(described.difference);
    const perCell = new Map<string, { cell: CellName; amount: bigint }>();
    for (const line of described.lines) {
      const key = cellKey(line.cell);
      const before = perCell.get(key)?.amount ?? 0n;
      perCell.set(key, {
        cell: line.cell,
        amount: before + line.provider.amount - line.ledger.amount,
      });
    }
    for (const part of perCell.values()) result.contributions.push({ ...part, kind, flagged });
  }
  result.differences.sort(faultsFirst);
  return result;
};
