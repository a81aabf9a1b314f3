import { z } from 'zod';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import { priceUsage } from '../../../pricing/price-usage.ts';
import { NameSchema } from '../../../schemas/ids.ts';
import { InstantSchema } from '../../../schemas/instant.ts';
import { ClassQuantitiesSchema, UnitQuantitiesSchema } from '../../../schemas/usage-event.ts';

/** Quantities may be JSON integers here, since people write them; anything else must be a decimal string. */
const quantities = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => {
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, quantity]) => [
        key,
        Number.isSafeInteger(quantity) ? String(quantity) : quantity,
      ]),
    );
  }, schema);

const RateRequestSchema = z.strictObject({
  provider: NameSchema,
  model: z.string().min(1).max(200),
  /** The provider account that is billed, where contract prices are to hold: the id of an upstream. */
  account: NameSchema.optional(),
  /** When the usage happened; `--as-of` stands in, and overrides. */
  at: z
    .string()
    .transform((text) => (/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00.000Z` : text))
    .transform((text) => (/:\d{2}Z$/.test(text) ? text.replace(/Z$/, '.000Z') : text))
    .pipe(InstantSchema)
    .optional(),
  tier: z.string().max(64).nullish(),
  geo: z.string().max(64).nullish(),
  classes: quantities(ClassQuantitiesSchema).optional(),
  units: quantities(UnitQuantitiesSchema).optional(),
});

export interface RateCharge {
  class: string;
  quantity: string;
  unit_price: string;
  amount_usd: string;
  price_id: string;
}
/** One answer a line of input. `index` counts the requests from 0; an error carries the line of the file, from 1. */
export type RateLine =
  | { index: number; total_usd: string; book: string; charges: RateCharge[] }
  | { index: number; unrated: string; detail: string }
  | { index: number; error: { line: number; message: string } };

export interface RateFileOptions {
  lines: AsyncIterable<string>;
  books: PriceBooks;
  /** Prices valid at this instant instead of each line's own `at`. */
  asOf?: string;
  /** Prices as known at this instant; the newest loaded book when left out. */
  knownAt?: string;
}

const readRequest = (
  text: string,
): { ok: true; request: z.infer<typeof RateRequestSchema> } | { ok: false; message: string } => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, message: 'The line is not JSON; expected one object a line.' };
  }
  const parsed = RateRequestSchema.safeParse(json);
  if (parsed.success) return { ok: true, request: parsed.data };
  const problems = parsed.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || 'line'}: ${issue.message}`);
  return { ok: false, message: problems.join('; ') };
};

const rateOne = (text: string, index: number, line: number, options: RateFileOptions): RateLine => {
  const read = readRequest(text);
  if (!read.ok) return { index, error: { line, message: read.message } };
  const { provider, model, account, tier, geo, classes = {}, units = {} } = read.request;
  const at = options.asOf ?? read.request.at;
  if (at === undefined) {
    return {
      index,
      error: { line, message: 'at: no instant is given; add "at" to the line or pass --as-of.' },
    };
  }
  if (Object.keys(classes).length + Object.keys(units).length === 0) {
    const detail = 'the line states no quantity; add "classes" or "units"';
    return { index, unrated: 'unknown_usage', detail };
  }
  const priced = priceUsage(
    {
      provider,
      account,
      tier: tier ?? undefined,
      geo: geo ?? undefined,
      at,
      knownAt: options.knownAt ?? options.books.newestKnownFrom,
      parts: [{ model, classes, units }],
    },
    options.books,
  );
  if (!priced.ok) return { index, unrated: priced.reason, detail: priced.detail };
  const charges = priced.charges.map(({ meter, quantity, unit_price, amount_usd, price_id }) => ({
    class: meter,
    quantity,
    unit_price,
    amount_usd,
    price_id,
  }));
  return { index, total_usd: priced.total, book: priced.book, charges };
};

/** What would this usage cost? One answer a line, in order; blank lines are skipped, a bad line answers with its number. */
export const rateFile = async function* (options: RateFileOptions): AsyncGenerator<RateLine> {
  let index = 0;
  let line = 0;
  for await (const text of options.lines) {
    line += 1;
    if (text.trim() === '') continue;
    yield rateOne(text, index, line, options);
    index += 1;
  }
};
