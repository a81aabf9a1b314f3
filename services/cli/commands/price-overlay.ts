import { z } from 'zod';
import { UnitPriceSchema } from '../../../schemas/decimal-string.ts';
import { NameSchema } from '../../../schemas/ids.ts';
import { InstantSchema } from '../../../schemas/instant.ts';
import {
  AllowanceSchema,
  ModelAliasSchema,
  PassThroughSchema,
  PriceConditionsSchema,
} from '../../../schemas/price-book.ts';
import { MeterSchema, TOKEN_CLASSES } from '../../../schemas/words.ts';

const values = z.array(z.string().min(1).max(64)).min(1);
const provenance = {
  source: z.string().min(1).max(500),
  retrieved_at: z.string().regex(/^\d{4}-\d{2}-\d{2}$/),
};
const modelIds = z.array(z.string().min(1)).min(1);
const meters = z.array(MeterSchema).min(1);

/**
 * What people add to an imported book, each line with its source: names the source only matches by prefix, tiers and geographies,
 * prices it lacks. Models are named by the source's own ids.
 */
export const PriceOverlaySchema = z.strictObject({
  provider: NameSchema,
  note: z.string().max(500),
  standard_tiers: z.array(z.string()).min(1),
  standard_geos: z.array(z.string()),
  /** The provider's id in the source where it is not ours; null for a book that people write alone. */
  source_provider: z.string().nullable().optional(),
  /** Models taken from another provider of the source, which sells them here at the same price. */
  include: z
    .array(z.strictObject({ source_provider: z.string(), models: modelIds, ...provenance }))
    .optional(),
  /** Cliffs that the vendor states as "at or above"; the source writes them one token lower. */
  cliffs_at_or_above: z.array(z.int().min(1)).optional(),
  /** Cliffs that the vendor states as "more than", though the source writes them one token lower. */
  cliffs_above: z.array(z.int().min(1)).optional(),
  /** Price keys that cannot be a price of ours, each with the reason. */
  drop: z
    .array(z.strictObject({ models: modelIds, keys: modelIds, reason: z.string().min(1) }))
    .optional(),
  allowances: z.array(AllowanceSchema).optional(),
  /** Calls that cost what the provider says they cost. */
  pass_through: z.array(PassThroughSchema).min(1).optional(),
  /**
   * Prices stated in full, beside or instead of the source's: by the names they are sold under, with hours, dates, fees a
   * request, and claims of an open conflict.
   */
  state: z
    .array(
      z.strictObject({
        names: modelIds,
        ...PriceConditionsSchema.shape,
        per_million: z.partialRecord(MeterSchema, UnitPriceSchema).optional(),
        unit_price: z.partialRecord(MeterSchema, UnitPriceSchema).optional(),
        valid_from: InstantSchema.optional(),
        valid_to: InstantSchema.optional(),
        per_request: z.literal(true).optional(),
        claim: z.string().min(1).max(200).optional(),
        ...provenance,
      }),
    )
    .optional(),
  /** Which class the source's undivided cache-write price is of. */
  cache_write_meter: z.enum(TOKEN_CLASSES),
  exclude: z.array(z.strictObject({ model: z.string(), reason: z.string() })),
  names: z.array(z.strictObject({ model: z.string(), names: modelIds, ...provenance })),
  aliases: z.array(ModelAliasSchema),
  /** Prices of standard service beside the source's. */
  add: z.array(
    z.strictObject({
      models: modelIds,
      unit_price: z.partialRecord(MeterSchema, UnitPriceSchema),
      ...provenance,
    }),
  ),
  /**
   * What is sold at an exact factor of the standard price: a tier, a geography, or, with `as`, another meter. Rules without tier
   * and geography come first and are themselves multiplied.
   */
  multiply: z.array(
    z.strictObject({
      models: modelIds,
      tier: values.optional(),
      geo: values.optional(),
      meters,
      as: MeterSchema.optional(),
      by: UnitPriceSchema,
      ...provenance,
    }),
  ),
  /** Tiers and geographies with a price list of their own; USD per million tokens. */
  set: z.array(
    z.strictObject({
      models: modelIds,
      tier: values.optional(),
      geo: values.optional(),
      per_million: z.partialRecord(MeterSchema, UnitPriceSchema),
      ...provenance,
    }),
  ),
});
export type PriceOverlay = z.infer<typeof PriceOverlaySchema>;
