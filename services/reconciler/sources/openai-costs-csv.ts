import type { Instant } from '../../../schemas/instant.ts';
import type { Meter, Modality, TokenClass, Unit } from '../../../schemas/words.ts';
import type { CsvLayout, CsvRow } from './read-csv.ts';
import { readCsv, unreadable } from './read-csv.ts';
import type { LineMeaning, ParsedLine } from './statement-source.ts';
import { NOT_MAPPED, parsedLine, utcDayOf } from './statement-source.ts';

const LAYOUT: CsvLayout = {
  what: 'an OpenAI costs export',
  required: ['start_time_iso', 'amount_value', 'amount_currency', 'line_item'],
  advice:
    'Export costs (not usage) as CSV from the usage page of the OpenAI dashboard, grouped by line item, and import that file.',
};

const TIER_PREFIX = /^(priority|flex|batch) \| (.+)$/i;

const METERS: Readonly<Record<string, TokenClass>> = {
  input: 'input_uncached',
  input_tokens: 'input_uncached',
  'cached input': 'cache_read',
  'input cached': 'cache_read',
  cached_input_tokens: 'cache_read',
  input_cached_tokens: 'cache_read',
  // One line for every lifetime; the shortest stands for all, and the comparison groups them again.
  'cache write': 'cache_write_30m',
  'cache writes': 'cache_write_30m',
  output: 'output_text',
  output_tokens: 'output_text',
};

const MODALITIES: Readonly<Record<string, Modality | 'text'>> = {
  text: 'text',
  audio: 'audio',
  image: 'image',
  video: 'video',
};

/** Tool lines name no model, or one that does not matter: the tool has a price of its own. */
const TOOLS: Readonly<Record<string, Unit>> = {
  'web search': 'web_search_requests',
  'web search calls': 'web_search_requests',
  'web search tool calls': 'web_search_requests',
  'file search calls': 'file_search_calls',
  'file search tool calls': 'file_search_calls',
  'code interpreter': 'code_interpreter_sessions',
  'code interpreter sessions': 'code_interpreter_sessions',
};

const IGNORED: ReadonlySet<string> = new Set(['long context']);

/**
 * What a `line_item` is for: `gpt-5-mini-2025-08-07, cached input`, `priority | gpt-5, output, long context`, `web search tool
 * calls`. A text with a word this table does not know is not mapped: half understood is misunderstood.
 */
export const meaningOfLineItem = (lineItem: string): LineMeaning => {
  const prefixed = TIER_PREFIX.exec(lineItem);
  const tier = prefixed?.[1]?.toLowerCase() ?? null;
  const [model = '', ...words] = (prefixed?.[2] ?? lineItem).split(',').map((part) => part.trim());
  const tool = [model, ...words].flatMap((word) => TOOLS[word.toLowerCase()] ?? []);
  if (tool.length === 1 && tool[0] !== undefined) return { model: null, meter: tool[0], tier };
  const meters: TokenClass[] = [];
  let modality: Modality | undefined;
  for (const word of words.map((text) => text.toLowerCase())) {
    const meter = METERS[word];
    const kind = MODALITIES[word];
    if (meter !== undefined) meters.push(meter);
    else if (kind !== undefined) modality = kind === 'text' ? undefined : kind;
    else if (!IGNORED.has(word)) return NOT_MAPPED;
  }
  const [meter] = meters;
  if (model === '' || meter === undefined || meters.length > 1) return NOT_MAPPED;
  const full: Meter = modality === undefined ? meter : `${meter}.${modality}`;
  return { model, meter: full, tier };
};

/** Times of an export are UTC. One without a zone would be read in this machine's, and fall into another day or month. */
const utcTime = (text: string): string =>
  /^\d{4}-\d{2}-\d{2}[T ][\d:.]+$/.test(text) ? `${text.replace(' ', 'T')}Z` : text;

const dayOf = (row: CsvRow, fileName: string): Instant => {
  const day = utcDayOf(Date.parse(utcTime(row.text('start_time_iso'))));
  if (day !== null) return day;
  throw unreadable(LAYOUT, fileName, `line ${row.lineNumber} has no time in start_time_iso`);
};

/** A day without any cost is printed as a row of nothing but times. */
const isEmptyDay = (row: CsvRow): boolean =>
  row.text('amount_value') === '' && row.text('line_item') === '';

/**
 * Reads the costs export of OpenAI, comma or tab separated. Every row with an amount becomes a line.
 * @throws ReckonerError STATEMENT_UNREADABLE.
 */
export const readOpenaiCosts = (bytes: Uint8Array, fileName: string): ParsedLine[] =>
  readCsv(bytes, LAYOUT, fileName)
    .filter((row) => !isEmptyDay(row))
    .map((row) => {
      if (row.text('amount_currency').toLowerCase() !== 'usd') {
        const found = `line ${row.lineNumber} is not in USD`;
        throw unreadable(LAYOUT, fileName, found);
      }
      const description = row.text('line_item');
      return parsedLine(
        row,
        {
          provider: 'openai',
          day: dayOf(row, fileName),
          meaning: meaningOfLineItem(description),
          amount: row.text('amount_value'),
          description,
        },
        { layout: LAYOUT, name: fileName },
      );
    });
