import { z } from 'zod';
import { AmountSchema, QuantitySchema, UnitPriceSchema } from './decimal-string.ts';
import { EntryIdSchema, NameSchema, UuidSchema } from './ids.ts';
import { InstantSchema, PeriodSchema } from './instant.ts';
import { DimensionsSchema, TagsSchema } from './usage-event.ts';
import { EndingSchema, MeterSchema } from './words.ts';

/** One priced line: amount = quantity x unit price, exactly. A reversal's quantity and amount are negative. */
export const ChargeSchema = z.strictObject({
  meter: MeterSchema,
  /** The model this line was priced as; differs from the event's model only in a reply of several parts. */
  model: z.string().min(1).max(200),
  quantity: z.union([QuantitySchema, AmountSchema]),
  unit_price: UnitPriceSchema,
  amount_usd: AmountSchema,
  price_id: z.string().min(1).max(300),
});
export type Charge = z.infer<typeof ChargeSchema>;

export const UNRATED_REASONS = [
  'unknown_model', // no book names the model
  'unknown_price', // the model is known, the meter, tier or geography is not priced
  'unknown_usage', // the event states no quantities
  'pending', // the provider has not finished
  'precision', // an exact unit price would need more than 12 decimal places
] as const;

/** What a second witness says against an entry. It is charged as it is, and shows. */
export const RATING_FLAGS = [
  'stated_total_differs', // the token total the provider states is not the sum of its classes
  'stated_cost_differs', // the cost the provider states is not what the books say
] as const;

/** Rating of one event: a ledger entry to be. Derived from (event, books) alone, so a replay writes the same bytes. */
export const RatedUsageSchema = z
  .strictObject({
    entry_id: EntryIdSchema,
    event_id: UuidSchema,
    revision: z.int().min(1),
    kind: z.enum(['charge', 'reversal']),
    outcome: z.enum(['rated', 'unrated']),
    unrated_reason: z.enum(UNRATED_REASONS).optional(),
    /** What was missing, in words: names the model, meter and tier looked for. */
    unrated_detail: z.string().max(500).optional(),
    attempt_id: UuidSchema,
    request_id: UuidSchema,
    supersedes: UuidSchema.optional(),
    event_ts: InstantSchema,
    closed_at: InstantSchema,
    period: PeriodSchema,
    posting_period: PeriodSchema,
    proxy_id: NameSchema,
    boot_id: UuidSchema,
    sequence: z.int().min(1),
    provider: NameSchema,
    upstream: NameSchema,
    model: z.string().min(1).max(200),
    tier: z.string().max(64).optional(),
    geo: z.string().max(64).optional(),
    ending: EndingSchema,
    key_id: NameSchema,
    credential_pool_id: NameSchema,
    byo_key: z.boolean(),
    reservation_id: UuidSchema.optional(),
    provider_request_id: z.string().max(200).optional(),
    dimensions: DimensionsSchema,
    tags: TagsSchema,
    /** Book and version the prices came from; `openai@3`. Absent where no book was found. */
    book: z.string().max(100).optional(),
    /** Requested model, tier or geography was used because the reply was silent. */
    assumed: z.array(z.enum(['model', 'tier', 'geo'])).optional(),
    flags: z.array(z.enum(RATING_FLAGS)).min(1).optional(),
    charges: z.array(ChargeSchema),
    /** Sum of the charges; absent when unrated: an unknown price is never zero. */
    total_usd: AmountSchema.optional(),
    /** Of an unrated entry whose upstream says so: the most it can cost by any price of its provider. Budgets count it; nobody is charged it. */
    ceiling_usd: AmountSchema.optional(),
  })
  .refine((r) => (r.outcome === 'rated') === (r.total_usd !== undefined), {
    message: 'a rated entry has a total_usd, an unrated one has none',
  })
  .refine((r) => (r.outcome === 'unrated') === (r.unrated_reason !== undefined), {
    message: 'an unrated entry has an unrated_reason, a rated one has none',
  })
  .refine((r) => r.ceiling_usd === undefined || r.outcome === 'unrated', {
    message: 'only an unrated entry has a ceiling_usd',
  });
export type RatedUsage = z.infer<typeof RatedUsageSchema>;
export type UnratedReason = (typeof UNRATED_REASONS)[number];
