import { z } from 'zod';
import { InstantSchema } from './instant.ts';
import { UsageEventSchema } from './usage-event.ts';

/** Kinds of work a provider finishes, or states the usage of, after it has answered. */
export const OPERATIONS = [
  'response', // a stored OpenAI response: background work, or a stream that broke
  'generation', // OpenRouter's own record of a call
  'openai_batch', // also of hosts that speak like it
  'anthropic_batch',
] as const;

/**
 * Work whose usage is stated later, as the proxy that accepted it remembers it: the fact that stands until then, and where to ask.
 * Stays in its proxy's log; written together with the fact, taken away together with the fact that supersedes it. Never any text.
 */
export const PendingOperationSchema = z.strictObject({
  fact: UsageEventSchema.omit({ sequence: true }),
  operation: z.enum(OPERATIONS),
  /** The provider's id of the work. */
  id: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$/, 'expected an id that is safe in a path'),
  /** Path the work was accepted at, as it went upstream, without query. */
  path: z.string().max(500).startsWith('/'),
  /** Azure asks for it in the query of every call. */
  api_version: z
    .string()
    .regex(/^[A-Za-z0-9.-]{1,40}$/)
    .optional(),
  /** The fact states figures of our own already, which better ones would correct. Given up without another fact. */
  corrects: z.boolean(),
  /** Then it is given up. */
  deadline: InstantSchema,
  /** Result lines that are events already, while results are being read. */
  progress: z
    .strictObject({
      file: z.enum(['output', 'errors']),
      lines: z.int().min(0),
      /** Of those lines' identities in their order: a file that comes in another order is not read on from a line's number. */
      digest: z.string().regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 in hexadecimal'),
      /** The file has come in another order before: what is an event already is looked up in the log. */
      reordered: z.literal(true).optional(),
    })
    .optional(),
});
export type PendingOperation = z.infer<typeof PendingOperationSchema>;
