import { multiplyExact } from '../../../pricing/money.ts';
import { createPriceBooks } from '../../../pricing/price-books.ts';
import type { Meter } from '../../../schemas/words.ts';
import type { ReconciliationInput } from '../../../services/reconciler/core/build-report.ts';
import { buildReport } from '../../../services/reconciler/core/build-report.ts';
import type { LedgerCharge, LedgerEvent } from '../../../services/reconciler/core/call.ts';
import type { CauseName } from '../../../services/reconciler/core/causes.ts';
import { freeCredits, listPrices } from '../../../services/reconciler/core/list-prices.ts';
import type { LedgerSlice } from '../../../services/reconciler/core/repricing.ts';
import { readAnthropicCosts } from '../../../services/reconciler/sources/anthropic-cost-csv.ts';
import { readItemsCsv } from '../../../services/reconciler/sources/items-csv.ts';
import { readOpenaiCosts } from '../../../services/reconciler/sources/openai-costs-csv.ts';
import { zoneDaysOf } from '../../../services/reconciler/zone-days.ts';
import { book, price } from '../pricing/pricing-fixtures.ts';
import { file, sum } from './report-inputs.ts';

export const MODEL = 'gpt-5-mini-2025-08-07';
export const SMALL = 'gpt-5-nano-2025-08-07';
export const CLAUDE = 'claude-haiku-4-5';

/** USD a token, by tier: [input, cached, output]. Batch is half, priority double; the hour's cache write is dearer than that of five minutes. */
export const PRICES: Readonly<Record<string, Partial<Record<Meter, string>>>> = {
  '': {
    input_uncached: '0.000002',
    cache_read: '0.0000002',
    cache_write_5m: '0.0000025',
    cache_write_1h: '0.000004',
    output_text: '0.00001',
  },
  batch: { input_uncached: '0.000001', cache_read: '0.0000001', output_text: '0.000005' },
  priority: { input_uncached: '0.000004', cache_read: '0.0000004', output_text: '0.00002' },
};

const KNOWN = { known_from: '2026-01-01T00:00:00.000Z', valid_from: '2026-01-01T00:00:00.000Z' };

/** Books of both providers with those prices; 10 searches a day are free. */
export const BOOKS = createPriceBooks(
  [['openai', [MODEL, SMALL]] as const, ['anthropic', [CLAUDE]] as const].map(
    ([provider, models]) =>
      book(
        [
          ...models.flatMap((model) => [
            ...Object.entries(PRICES).flatMap(([tier, meters]) =>
              Object.entries(meters).map(([meter, unit]) => {
                const when = tier === '' ? {} : { when: { tier: [tier] } };
                return price(meter, unit, { ...KNOWN, model, ...when });
              }),
            ),
            price('web_search_requests', '0.01', { ...KNOWN, model }),
          ]),
        ],
        {
          provider,
          known_from: KNOWN.known_from,
          allowances: [
            {
              meter: 'web_search_requests',
              quantity: '10',
              per: 'day',
              valid_from: KNOWN.valid_from,
              source: 'https://example.test/free',
              retrieved_at: '2026-01-01',
            },
          ],
        },
      ),
  ),
);

/** A call of ours, priced by the list. */
export interface OwnCall {
  /** When it began, UTC. */
  at: string;
  use: Partial<Record<Meter, string>>;
  model?: string;
  tier?: string;
  /** The provider's id, where its record per call is compared. */
  id?: string;
  ending?: 'estimated';
}

/** One month of one provider: what it says, what we have, and what the difference must be called. */
export interface Month {
  provider: 'openai' | 'anthropic';
  statement: string;
  calls: readonly OwnCall[];
  /** The provider's record per call. */
  items?: string;
  /** Class, amount, and whether it is accepted, as the report lists them. */
  causes: readonly (readonly [CauseName, string, 'accepted' | 'to decide'])[];
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const PERIOD = '2026-11';

const chargesOf = (calls: readonly OwnCall[]): (LedgerSlice & { call: OwnCall })[] =>
  calls.flatMap((call) =>
    Object.entries(call.use).map(([meter, quantity]) => {
      const unit_price =
        meter === 'web_search_requests'
          ? '0.01'
          : (PRICES[call.tier ?? '']?.[meter as Meter] ?? '');
      const product = multiplyExact(quantity, unit_price);
      if (!product.ok) throw new Error(`no price of ${meter} at ${call.tier}`);
      return {
        call,
        model: call.model ?? MODEL,
        meter: meter as Meter,
        tier: call.tier ?? 'default',
        unit_price,
        quantity,
        amount_usd: product.amount,
      };
    }),
  );

const statementsOf = ({ provider, statement }: Month): ReconciliationInput['statements'] => {
  const read = provider === 'openai' ? readOpenaiCosts : readAnthropicCosts;
  const lines = read(bytes(statement), 'statement.csv');
  return {
    files: [
      file({
        lines: lines.length,
        amount_places: Math.max(...lines.map(({ amountPlaces }) => amountPlaces)),
      }),
    ],
    sums: lines
      .filter(({ line }) => line.period === PERIOD)
      .map(({ line }) => ({
        statement_id: file().statement_id,
        day_start: line.day_start,
        model: line.model,
        meter: line.meter,
        tier: line.tier,
        quantity: line.quantity,
        amount_usd: line.amount_usd,
        lines: 1,
        description: line.meter === null ? line.description : '',
      })),
  };
};

const callsOf = (charges: ReturnType<typeof chargesOf>, { items, calls }: Month) => {
  if (items === undefined) return {};
  const ledger = charges.map(
    ({ call, tier: _tier, unit_price: _price, ...charge }): LedgerCharge & { at: string } => ({
      ...charge,
      event_id: `event-${call.id ?? call.at}`,
      attempt_id: `attempt-${call.id ?? call.at}`,
      provider_request_id: call.id ?? '',
      at: call.at,
    }),
  );
  const events = calls
    .filter(({ ending }) => ending !== undefined)
    .map(
      ({ id = '', model = MODEL, at }): LedgerEvent => ({
        event_id: `event-${id || at}`,
        attempt_id: `attempt-${id || at}`,
        provider_request_id: id,
        model,
        flagged: true,
      }),
    );
  const inMonth = ({ at }: { at: string }): boolean => at.startsWith(PERIOD);
  return {
    calls: {
      items: readItemsCsv(bytes(items), 'items.csv'),
      charges: ledger.filter(inMonth),
      beside: ledger.filter((charge) => !inMonth(charge)),
      events,
    },
  };
};

/** The report of a month, as the service makes it of the same files and charges. */
export const reportOf = (month: Month) => {
  const charges = chargesOf(month.calls);
  const inMonth = charges.filter(({ call }) => call.at.startsWith(PERIOD));
  const slices = inMonth.map(({ call: _, ...slice }) => slice);
  const quarters = charges.map(({ call, ...slice }) => ({ ...slice, quarter_start: call.at }));
  const at = ['2026-11-01T00:00:00.000Z', '2026-11-30T00:00:00.000Z'];
  const { provider } = month;
  return buildReport({
    run_id: 'run-1',
    run_at: '2026-12-03T09:00:00.000Z',
    provider,
    period: PERIOD,
    tolerance_usd: '0',
    ledger: inMonth.map(({ call, model, meter, quantity, amount_usd }) =>
      sum(meter, amount_usd, {
        model,
        quantity,
        flagged_usd: call.ending ? amount_usd : '0',
        flagged_events: call.ending ? 1 : 0,
        largest_stated_usd: call.ending ? '0' : amount_usd,
      }),
    ),
    unrated: [],
    statements: statementsOf(month),
    ...callsOf(charges, month),
    priced: {
      slices,
      quarters,
      zones: zoneDaysOf(PERIOD),
      prices: listPrices(BOOKS, slices, { provider, at }),
      credits: freeCredits(BOOKS, quarters, { provider, period: PERIOD }),
    },
  });
};
