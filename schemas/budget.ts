import { z } from 'zod';
import { AmountSchema } from './decimal-string.ts';
import { NameSchema, UuidSchema } from './ids.ts';
import { InstantSchema } from './instant.ts';

/** A spending limit of one tenant for one calendar window in UTC, by `event_ts`. */
export const BudgetSchema = z.strictObject({
  id: NameSchema,
  tenant: NameSchema,
  limit_usd: AmountSchema.refine((v) => !v.startsWith('-'), 'a limit is not negative'),
  window: z.enum(['day', 'month', 'total']).default('month'),
  /** Share of the limit at which a warning is signalled. */
  warn_at_percent: z.int().min(1).max(100).default(80),
});
export type Budget = z.infer<typeof BudgetSchema>;

/**
 * The newest word about one scope. Versions grow; a proxy keeps the greatest it has seen, so stale and reordered
 * signals are harmless.
 */
export const BudgetSignalSchema = z.strictObject({
  scope: z.string().regex(/^budget\/[^/]+$/, 'expected a scope such as budget/acme'),
  budget_id: NameSchema,
  tenant: NameSchema,
  version: z.int().min(1),
  state: z.enum(['clear', 'warn', 'block']),
  /** First instant of the window the state is about; absent for `total`. */
  window_start: InstantSchema.optional(),
  resets_at: InstantSchema.optional(),
  limit_usd: AmountSchema,
  spent_usd: AmountSchema,
  /** The event whose settlement caused this signal, and when its attempt closed: the signal's lag is measured from there. */
  cause: z.strictObject({ event_id: UuidSchema, closed_at: InstantSchema }).optional(),
  issued_at: InstantSchema,
});
export type BudgetSignal = z.infer<typeof BudgetSignalSchema>;
