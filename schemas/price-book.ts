import { z } from 'zod';
import { UnitPriceSchema } from './decimal-string.ts';
import { NameSchema } from './ids.ts';
import { InstantSchema } from './instant.ts';
import { MeterSchema } from './words.ts';

/**
 * When a price applies beyond model and meter. Everything named must hold; what is not named does not matter,
 * but for `tier` and `geo`: an entry that names none is the price of the standard tier and of no geography surcharge.
 */
export const PriceConditionsSchema = z.strictObject({
  /** Served tier as the provider says it, lower case: `batch`, `flex`, `priority`. */
  tier: z.array(z.string().min(1).max(64)).min(1).optional(),
  /** Geography as the provider says it: `us`. */
  geo: z.array(z.string().min(1).max(64)).min(1).optional(),
  /** A context cliff: the whole request is priced by this entry when its total input, cached included, is beyond. */
  context: z
    .strictObject({ operator: z.enum(['>', '>=', '<', '<=']), input_tokens: z.int().min(1) })
    .optional(),
});

/** One price of one meter of one model, with both its times. Immutable; a change and a correction both append. */
export const PriceSchema = z.strictObject({
  price_id: z.string().min(1).max(300),
  /** Exactly the name the provider's reply carries. A dated snapshot is a model of its own. */
  model: z.string().min(1).max(200),
  meter: MeterSchema,
  when: PriceConditionsSchema.optional(),
  unit_price: UnitPriceSchema,
  /** When it is valid: half-open. */
  valid_from: InstantSchema,
  valid_to: InstantSchema.optional(),
  /** When we knew it. Of two prices valid at an instant the one known later wins. */
  known_from: InstantSchema,
  source: z.string().min(1).max(500),
  retrieved_at: z.string().regex(/^\d{4}-\d{2}-\d{2}$/),
});
export type Price = z.infer<typeof PriceSchema>;

/** Names that stand for a model: each by an explicit, sourced entry, never by prefix or by dropping a date. */
export const ModelAliasSchema = z.strictObject({
  alias: z.string().min(1).max(200),
  model: z.string().min(1).max(200),
  source: z.string().min(1).max(500),
});

/** One version of one provider's book: what it adds to the version before. Never edited once published. */
export const PriceBookSchema = z.strictObject({
  provider: NameSchema,
  version: z.int().min(1),
  currency: z.literal('USD'),
  known_from: InstantSchema,
  note: z.string().max(500).optional(),
  /** Value that replies use for the standard tier: `default` at OpenAI, `standard` at Anthropic. */
  standard_tiers: z.array(z.string()).min(1),
  /** Values that replies use for "no geography surcharge". */
  standard_geos: z.array(z.string()),
  aliases: z.array(ModelAliasSchema),
  prices: z.array(PriceSchema),
});
export type PriceBook = z.infer<typeof PriceBookSchema>;
