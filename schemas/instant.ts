import { z } from 'zod';

/** An instant in UTC with exactly milliseconds, `2026-11-21T20:15:00.123Z`: one spelling, sortable as text. */
export const InstantSchema = z
  .string()
  .regex(
    /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/,
    'expected a UTC instant with milliseconds such as 2026-11-21T20:15:00.123Z',
  );
/**
 * An instant that bounds what is asked for. Of the calendar and not before 1970: the warehouse refuses the 31st of February, and reads the
 * year 0 as this year.
 */
export const BoundInstantSchema = InstantSchema.refine((text) => {
  const ms = Date.parse(text);
  return ms >= 0 && new Date(ms).toISOString() === text;
}, 'expected an instant of the calendar, not before 1970');
/** An accounting month, `2026-11`. The month of `event_ts` in UTC. */
export const PeriodSchema = z
  .string()
  .regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'expected an accounting month such as 2026-11');

export type Instant = z.infer<typeof InstantSchema>;
export type Period = z.infer<typeof PeriodSchema>;

/** The accounting month an instant lies in. */
export const periodOf = (instant: Instant): Period => instant.slice(0, 7);
