import { z } from 'zod';
import { UnitPriceSchema } from '../../../schemas/decimal-string.ts';
import { NameSchema } from '../../../schemas/ids.ts';
import { ModelAliasSchema } from '../../../schemas/price-book.ts';
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
  /** Tiers and geographies sold at an exact factor of the standard price. */
  multiply: z.array(
    z.strictObject({
      models: modelIds,
      tier: values.optional(),
      geo: values.optional(),
      meters,
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
