import type { StatementItem } from '../../../schemas/statement-line.ts';
import type { Meter } from '../../../schemas/words.ts';
import type { ReconciliationInput } from '../../../services/reconciler/core/build-report.ts';
import { buildReport } from '../../../services/reconciler/core/build-report.ts';
import type { LedgerCharge, LedgerEvent } from '../../../services/reconciler/core/call.ts';
import type { LedgerSum } from '../../../services/reconciler/core/cell-facts.ts';
import type {
  StatementFile,
  StatementSum,
} from '../../../services/reconciler/core/effective-lines.ts';

export const MODEL = 'gpt-4o-mini-2024-07-18';

export const sum = (
  meter: Meter,
  amount_usd: string,
  rest: Partial<LedgerSum> = {},
): LedgerSum => ({
  model: MODEL,
  meter,
  quantity: '100',
  amount_usd,
  flagged_usd: '0',
  flagged_events: 0,
  largest_stated_usd: amount_usd,
  ...rest,
});

export const line = (
  meter: Meter | null,
  amount_usd: string,
  rest: Partial<StatementSum> = {},
): StatementSum => ({
  statement_id: 'a'.repeat(64),
  day_start: '2026-11-03T00:00:00.000Z',
  model: meter === null ? null : MODEL,
  meter,
  quantity: null,
  amount_usd,
  lines: 1,
  description: '',
  ...rest,
});

export const file = (rest: Partial<StatementFile> = {}): StatementFile => ({
  statement_id: 'a'.repeat(64),
  file_name: 'costs-2026-11.csv',
  lines: 4,
  imported_at: '2026-12-02T08:00:00.000Z',
  amount_places: 18,
  ...rest,
});

export const input = (rest: Partial<ReconciliationInput>): ReconciliationInput => ({
  run_id: 'run-1',
  run_at: '2026-12-02T09:00:00.000Z',
  provider: 'openai',
  period: '2026-11',
  tolerance_usd: '0',
  ledger: [],
  unrated: [],
  statements: { files: [file()], sums: [] },
  ...rest,
});

export const report = (
  ledger: LedgerSum[],
  sums: StatementSum[],
  rest: Partial<ReconciliationInput> = {},
) => buildReport(input({ ledger, statements: { files: [file()], sums }, ...rest }));

export const charge = (
  request: string,
  meter: Meter,
  rest: Partial<LedgerCharge> = {},
): LedgerCharge => ({
  event_id: `event-${request}`,
  attempt_id: `attempt-${request}`,
  provider_request_id: request,
  model: MODEL,
  meter,
  quantity: '10',
  amount_usd: '0.10',
  ...rest,
});
export const item = (
  request: string,
  meter: Meter,
  rest: Partial<StatementItem> = {},
): StatementItem => ({
  provider: 'openai',
  provider_request_id: request,
  model: MODEL,
  meter,
  quantity: '10',
  amount_usd: '0.1',
  ...rest,
});
export const flagged = (request: string, rest: Partial<LedgerEvent> = {}): LedgerEvent => ({
  event_id: `event-${request}`,
  attempt_id: `attempt-${request}`,
  provider_request_id: request,
  model: MODEL,
  flagged: true,
  ...rest,
});

/** A report whose ledger and statement sums are those of the calls. */
export const ofCalls = (
  charges: LedgerCharge[],
  items: StatementItem[],
  rest: { events?: LedgerEvent[]; sums?: StatementSum[] } = {},
) =>
  report(
    charges.map((c) => sum(c.meter, c.amount_usd, { quantity: c.quantity, model: c.model })),
    rest.sums ?? items.map((i) => line(i.meter, i.amount_usd, { model: i.model })),
    { calls: { items, charges, events: rest.events ?? [] } },
  );
