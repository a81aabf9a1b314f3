import { z } from 'zod';
import { AmountSchema, QuantitySchema } from './decimal-string.ts';
import { NameSchema } from './ids.ts';
import { InstantSchema, PeriodSchema } from './instant.ts';
import { MeterSchema } from './words.ts';

/** One line of what a provider says we owe, in our words. Amounts in USD, whatever unit the file used. */
export const StatementLineSchema = z.strictObject({
  provider: NameSchema,
  /** sha256 of the file the line came from, and its line number there (the header is line 1). */
  statement_id: z.string().regex(/^[0-9a-f]{64}$/),
  line_number: z.int().min(2),
  period: PeriodSchema,
  day_start: InstantSchema,
  /** Null where the text of the line could not be mapped: then it stays in the unmapped bucket, never dropped. */
  model: z.string().min(1).max(200).nullable(),
  meter: MeterSchema.nullable(),
  tier: z.string().max(64).nullable(),
  quantity: QuantitySchema.nullable(),
  amount_usd: AmountSchema,
  /** The line's own text, for people. */
  description: z.string().max(500),
});
export type StatementLine = z.infer<typeof StatementLineSchema>;

/** A provider's own record of one call, where it gives such (OpenRouter's activity file is one). */
export const StatementItemSchema = z.strictObject({
  provider: NameSchema,
  provider_request_id: z.string().min(1).max(200),
  model: z.string().min(1).max(200),
  meter: MeterSchema,
  quantity: QuantitySchema,
  amount_usd: AmountSchema,
});
export type StatementItem = z.infer<typeof StatementItemSchema>;
