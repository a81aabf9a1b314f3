import type { Instant } from '../../../schemas/instant.ts';
import type { Meter } from '../../../schemas/words.ts';
import type { CsvLayout, CsvRow } from './read-csv.ts';
import { readCsv, unreadable } from './read-csv.ts';
import type { LineMeaning, ParsedLine } from './statement-source.ts';
import { NOT_MAPPED, parsedLine, utcDayOf } from './statement-source.ts';

const LAYOUT: CsvLayout = {
  what: 'an Anthropic cost export',
  required: ['usage_date_utc', 'model', 'token_type', 'cost_usd'],
  advice:
    'Export cost (not usage) as CSV from the cost page of the Claude Console, and import that file.',
};

/** Token types of the CSV, then those of the cost API that some exports carry. */
const TOKEN_TYPES: Readonly<Record<string, Meter>> = {
  input_no_cache: 'input_uncached',
  input_cache_read: 'cache_read',
  input_cache_write_5m: 'cache_write_5m',
  input_cache_write_1h: 'cache_write_1h',
  output: 'output_text',
  uncached_input_tokens: 'input_uncached',
  cache_read_input_tokens: 'cache_read',
  'cache_creation.ephemeral_5m_input_tokens': 'cache_write_5m',
  'cache_creation.ephemeral_1h_input_tokens': 'cache_write_1h',
  output_tokens: 'output_text',
};

/** Costs that are not for tokens. */
const COST_TYPES: Readonly<Record<string, Meter>> = {
  web_search: 'web_search_requests',
  code_execution: 'code_execution_hours',
  session_usage: 'session_hours',
};

const TIERS: ReadonlySet<string> = new Set(['batch', 'priority', 'flex', 'priority_on_demand']);

/**
 * The model id behind a display name: `Claude Haiku 4.5` is `claude-haiku-4-5`, `Claude 3.5 Sonnet 2024-10-22` is
 * `claude-3-5-sonnet-20241022`. An id stays as it is.
 */
export const modelOfDisplayName = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replace(/(\d{4})-(\d{2})-(\d{2})$/, '$1$2$3')
    .replace(/[\s.]+/g, '-');

/** What a row is for, by its cost type, token type, model and usage type. */
export const meaningOfCost = (row: Pick<CsvRow, 'text'>): LineMeaning => {
  const usageType = row.text('usage_type').toLowerCase();
  const tier = TIERS.has(usageType) ? usageType : null;
  const unit = COST_TYPES[row.text('cost_type').toLowerCase()];
  if (unit !== undefined) return { model: null, meter: unit, tier };
  const meter = TOKEN_TYPES[row.text('token_type').toLowerCase()];
  const model = modelOfDisplayName(row.text('model'));
  return meter === undefined || model === '' ? NOT_MAPPED : { model, meter, tier };
};

const dayOf = (row: CsvRow, fileName: string): Instant => {
  const text = row.text('usage_date_utc');
  const day = /^\d{4}-\d{2}-\d{2}$/.test(text) ? utcDayOf(Date.parse(text)) : null;
  if (day !== null) return day;
  throw unreadable(LAYOUT, fileName, `line ${row.lineNumber} has no date in usage_date_utc`);
};

const SAID = ['model', 'usage_type', 'context_window', 'token_type', 'cost_type'] as const;

/**
 * Reads the cost export of the Claude Console. Amounts are USD here; the API of the same name states cents.
 * @throws ReckonerError STATEMENT_UNREADABLE.
 */
export const readAnthropicCosts = (bytes: Uint8Array, fileName: string): ParsedLine[] =>
  readCsv(bytes, LAYOUT, fileName).map((row) =>
    parsedLine(
      row,
      {
        provider: 'anthropic',
        day: dayOf(row, fileName),
        meaning: meaningOfCost(row),
        amount: row.text('cost_usd'),
        description: SAID.map((column) => row.text(column))
          .filter((text) => text !== '')
          .join(', '),
      },
      { layout: LAYOUT, name: fileName },
    ),
  );
