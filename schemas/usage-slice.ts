import { z } from 'zod';
import { NameSchema } from './ids.ts';
import { BoundInstantSchema, PeriodSchema } from './instant.ts';

/** Names and times that say which usage is meant; a request may have fields of its own beside them. */
export const usageSliceShape = {
  /** Accounting month. */
  period: PeriodSchema.optional(),
  /** First instant. What decides is what decides price and period: completion at the provider, else the opening of the attempt. */
  from: BoundInstantSchema.optional(),
  /** First instant that is not in it. */
  to: BoundInstantSchema.optional(),
  tenant: NameSchema.optional(),
  provider: NameSchema.optional(),
  /** The model that answered or that was asked for. */
  model: z.string().min(1).max(200).optional(),
};

type Times = { period?: string | undefined; from?: string | undefined; to?: string | undefined };

/** Refuses a slice whose end is not after its beginning, and one of a month and instants at once. */
export const inOrder = <Schema extends z.ZodType<Times>>(schema: Schema): Schema =>
  schema
    .refine(({ from, to }) => from === undefined || to === undefined || from < to, {
      message: 'expected "from" to be before "to"',
      path: ['from'],
    })
    .refine(({ period, from, to }) => period === undefined || (from ?? to) === undefined, {
      message: 'expected a period or instants, not both',
      path: ['period'],
    });

/** Which usage: everything where nothing is named. Accounting month, or instants (half-open). */
export const UsageSliceSchema = inOrder(z.strictObject(usageSliceShape));
export type UsageSlice = z.infer<typeof UsageSliceSchema>;
