import { stringify } from 'csv-stringify/sync';
import { type AccountBook, type DayLine, itemOf } from './account-book.ts';
import { picoOfUsd, usdOfPico } from './exact-usd.ts';
import {
  findModel,
  METERS,
  type Meter,
  PROVIDERS,
  type Provider,
  picoAmount,
  unbatched,
} from './price-list.ts';

const DAY_MS = 86_400_000;
const ROWS_A_BATCH = 2_000;

/** OpenAI's cost export shows reasoning inside output and knows no cache writes for these models. */
const OPENAI_LINES: readonly { words: string; meters: readonly Meter[] }[] = [
  { words: 'input', meters: ['input_uncached'] },
  { words: 'cached input', meters: ['cache_read'] },
  { words: 'output', meters: ['output_text', 'output_reasoning'] },
];

/** Anthropic's cost export, likewise with thinking inside output. */
const ANTHROPIC_LINES: readonly { words: string; meters: readonly Meter[] }[] = [
  { words: 'input_no_cache', meters: ['input_uncached'] },
  { words: 'input_cache_read', meters: ['cache_read'] },
  { words: 'input_cache_write_5m', meters: ['cache_write_5m'] },
  { words: 'input_cache_write_1h', meters: ['cache_write_1h'] },
  { words: 'output', meters: ['output_text', 'output_reasoning'] },
];

const picoOf = (line: DayLine, meters: readonly Meter[]): bigint =>
  meters
    .filter((meter) => line.quantities[meter] > 0)
    .reduce((sum, meter) => sum + picoAmount(line, meter, line.quantities[meter]), 0n);

/** One entry for every line of a day and model that has an amount. */
const priced = (lines: readonly DayLine[], kinds: typeof OPENAI_LINES) =>
  lines.flatMap((line) =>
    kinds
      .map(({ words, meters }) => ({ line, words, pico: picoOf(line, meters) }))
      .filter(({ pico }) => pico > 0n),
  );

const isoSecond = (epochMs: number): string =>
  new Date(epochMs).toISOString().replace('.000Z', '+00:00');

/** What is added, unjustly, to the first line of a statement: the demo's sabotage. USD. */
export type Tampering = Readonly<Record<Provider, string>>;
export const HONEST = Object.fromEntries(PROVIDERS.map((name) => [name, '0'])) as Tampering;

const tampered = (pico: bigint, row: number, addedUsd: string): string =>
  usdOfPico(row === 0 ? pico + picoOfUsd(addedUsd) : pico);

/** `gpt-4o-mini-2024-07-18, input`; other tiers than the standard one stand in front. */
const openaiLineItem = (model: string, words: string): string => {
  const { name, inBatch } = unbatched(model);
  return `${inBatch ? 'batch | ' : ''}${name}, ${words}`;
};

/** OpenAI's "costs" export: a row for every UTC day, model and kind of token, amounts unrounded. */
export const openaiStatement = (book: AccountBook, tampering: Tampering): string =>
  stringify(
    priced(book.dayLines('openai'), OPENAI_LINES).map(({ line, words, pico }, row) => ({
      start_time: line.dayStartMs / 1000,
      end_time: (line.dayStartMs + DAY_MS) / 1000,
      start_time_iso: isoSecond(line.dayStartMs),
      end_time_iso: isoSecond(line.dayStartMs + DAY_MS),
      amount_value: tampered(pico, row, tampering.openai),
      amount_currency: 'usd',
      line_item: openaiLineItem(line.model, words),
      project_id: 'proj_sandbox',
      organization_id: 'org-sandbox',
      organization_name: 'Sandbox',
    })),
    { header: true, columns: OPENAI_COLUMNS },
  );

const OPENAI_COLUMNS = [
  'start_time',
  'end_time',
  'start_time_iso',
  'end_time_iso',
  'amount_value',
  'amount_currency',
  'line_item',
  'project_id',
  'organization_id',
  'organization_name',
];

/** Anthropic's cost export: a row for every UTC day, model and token type, in USD, unrounded; models under their display names. */
export const anthropicStatement = (book: AccountBook, tampering: Tampering): string =>
  stringify(
    priced(book.dayLines('anthropic'), ANTHROPIC_LINES).map(({ line, words, pico }, row) => ({
      usage_date_utc: new Date(line.dayStartMs).toISOString().slice(0, 10),
      model: findModel('anthropic', unbatched(line.model).name)?.statementName ?? line.model,
      workspace: 'Default',
      api_key: 'sandbox',
      usage_type: unbatched(line.model).inBatch ? 'batch' : 'message',
      context_window: '≤ 200k',
      token_type: words,
      cost_usd: tampered(pico, row, tampering.anthropic),
      list_price_usd: usdOfPico(pico),
      cost_type: 'token',
      inference_geo: 'not_available',
      speed: '',
      api_key_id: 'apikey_sandbox',
      api_key_status: 'active',
    })),
    { header: true, columns: ANTHROPIC_COLUMNS },
  );

const ANTHROPIC_COLUMNS = [
  'usage_date_utc',
  'model',
  'workspace',
  'api_key',
  'usage_type',
  'context_window',
  'token_type',
  'cost_usd',
  'list_price_usd',
  'cost_type',
  'inference_geo',
  'speed',
  'api_key_id',
  'api_key_status',
];

/** The statement of a provider whose export we do not imitate: a row for every UTC day, model and meter, unrounded. */
export const plainStatement = (
  provider: Provider,
  book: AccountBook,
  tampering: Tampering,
): string =>
  stringify(
    priced(
      book.dayLines(provider),
      METERS.map((meter) => ({ words: meter, meters: [meter] })),
    ).map(({ line, words, pico }, row) => ({
      day: new Date(line.dayStartMs).toISOString().slice(0, 10),
      provider,
      model: unbatched(line.model).name,
      meter: words,
      quantity: line.quantities[words as Meter],
      amount_usd: tampered(pico, row, tampering[provider]),
    })),
    { header: true, columns: ['day', 'provider', 'model', 'meter', 'quantity', 'amount_usd'] },
  );

/**
 * The itemised bill in batches: a row for every attempt and meter. Attempts without charge have no row. Nothing needs quotes here:
 * ids, names and digits are all the sandbox's own.
 */
export function* itemsCsv(book: AccountBook): Generator<string> {
  yield 'provider,provider_request_id,model,meter,quantity,amount_usd\n';
  let rows: string[] = [];
  for (const attempt of book.attempts()) {
    const { provider, provider_request_id, model, quantities, amounts } = itemOf(attempt);
    const { name } = unbatched(model ?? '');
    for (const meter of METERS) {
      const quantity = quantities[meter];
      if (quantity === undefined) continue;
      rows.push(
        `${provider},${provider_request_id},${name},${meter},${quantity},${amounts[meter]}\n`,
      );
    }
    if (rows.length >= ROWS_A_BATCH) {
      yield rows.join('');
      rows = [];
    }
  }
  yield rows.join('');
}
