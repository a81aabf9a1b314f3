import { z } from 'zod';
import { QuantitySchema } from './decimal-string.ts';
import { NameSchema, UuidSchema } from './ids.ts';
import { InstantSchema } from './instant.ts';
import { ClassKeySchema, DIMENSIONS, EndingSchema, FlavourSchema, UnitSchema } from './words.ts';

const dimensionValue = z.string().min(1).max(128);

/** Canonical dimensions of a call; only `tenant` is required and it is bound by the key. */
export const DimensionsSchema = z.strictObject({
  tenant: NameSchema,
  ...(Object.fromEntries(
    DIMENSIONS.filter((name) => name !== 'tenant').map((name) => [name, dimensionValue.optional()]),
  ) as Record<
    Exclude<(typeof DIMENSIONS)[number], 'tenant'>,
    z.ZodOptional<typeof dimensionValue>
  >),
});
export type Dimensions = z.infer<typeof DimensionsSchema>;

/** Free tags: at most 16, short, in lower-case keys. */
export const TagsSchema = z
  .record(z.string().regex(/^[a-z0-9_.-]{1,64}$/), z.string().max(128))
  .refine((tags) => Object.keys(tags).length <= 16, { message: 'at most 16 tags' });

/** Token quantities by disjoint class. A class that is not there was not stated; zero is stated. */
export const ClassQuantitiesSchema = z.partialRecord(ClassKeySchema, QuantitySchema);
export const UnitQuantitiesSchema = z.partialRecord(UnitSchema, QuantitySchema);
export type ClassQuantities = z.infer<typeof ClassQuantitiesSchema>;
export type UnitQuantities = z.infer<typeof UnitQuantitiesSchema>;

/** A share of the reply that another model served (Anthropic `iterations`, advisor, fallback). */
export const UsagePartSchema = z.strictObject({
  model: z.string().min(1).max(200),
  classes: ClassQuantitiesSchema,
  units: UnitQuantitiesSchema,
});

/** Identity, time and route of one upstream call. Frozen when the attempt is opened. */
const attemptIdentity = {
  request_id: UuidSchema,
  attempt_id: UuidSchema,
  /** 1 for the first upstream call of a request, 2 for its first retry. */
  attempt_number: z.int().min(1).max(100),
  attempt_role: z.enum(['primary', 'retry', 'fallback', 'hedge']),
  /** Id of the closing fact, made together with the opened record, so that recovery writes the same fact. */
  event_id: UuidSchema,
  /** When the attempt was opened: decides partition, price, budget window and period. */
  event_ts: InstantSchema,
  proxy_id: NameSchema,
  boot_id: UuidSchema,
  key_id: NameSchema,
  credential_pool_id: NameSchema,
  byo_key: z.boolean(),
  upstream: NameSchema,
  provider: NameSchema,
  flavour: FlavourSchema,
  requested_model: z.string().min(1).max(200).optional(),
  requested_tier: z.string().max(64).optional(),
  streamed: z.boolean(),
  dimensions: DimensionsSchema,
  tags: TagsSchema,
  reservation_id: UuidSchema.optional(),
  /** What the upstream's policy makes of usage that no book prices: budgets count it at a ceiling. Left out: it is let pass. */
  unknown_price: z.literal('ceiling').optional(),
  traceparent: z.string().max(64).optional(),
};

/**
 * The opened record: on disk before the first byte goes upstream. Enough to estimate a call that never closed,
 * without its text. Stays in its proxy's log.
 */
export const AttemptRecordSchema = z.strictObject({
  ...attemptIdentity,
  /** Tokens in the prompt as counted by a tokenizer library, not by the provider. */
  estimated_input_tokens: QuantitySchema,
  /** The output limit that the request declared, if it did. */
  max_output_tokens: QuantitySchema.optional(),
});
export type AttemptRecord = z.infer<typeof AttemptRecordSchema>;

/** How a figure that no provider stated came about. */
export const EstimateSchema = z.strictObject({
  basis: z.enum(['text_seen', 'declared_maximum']),
  /** Classes whose quantity is ours. */
  classes: z.array(ClassKeySchema).min(1),
});

/** The immutable fact of one closed attempt. Carries quantities, never money. */
export const UsageEventSchema = z.strictObject({
  ...attemptIdentity,
  /** The earlier fact of the same attempt that this one replaces. */
  supersedes: UuidSchema.optional(),
  /** Gap-free per (proxy_id, boot_id). */
  sequence: z.int().min(1),
  closed_at: InstantSchema,
  /** Background and batch work: then this decides price and period. */
  provider_completed_at: InstantSchema.optional(),
  duration_ms: z.int().min(0),
  ttft_ms: z.int().min(0).optional(),
  http_status: z.int().min(100).max(599).optional(),
  finish_reason: z.string().max(64).optional(),
  error_kind: z
    .enum([
      'refused',
      'unreachable',
      'timeout',
      'cut',
      'client_left',
      // Another attempt of the same call had answered first.
      'hedge_lost',
      'crash',
      'shutdown',
      'provider',
    ])
    .optional(),
  ending: EndingSchema,
  estimate: EstimateSchema.optional(),
  /** The model the reply names; absent where it is silent. */
  model: z.string().min(1).max(200).optional(),
  /** Tier and geography as the reply states them, in lower case. */
  tier: z.string().max(64).optional(),
  geo: z.string().max(64).optional(),
  provider_request_id: z.string().max(200).optional(),
  classes: ClassQuantitiesSchema,
  units: UnitQuantitiesSchema,
  parts: z.array(UsagePartSchema).max(64).optional(),
  /** Source bytes of the provider's usage object(s), numbers not re-serialised. */
  raw_usage: z.string().max(65_536).optional(),
});
export type UsageEvent = z.infer<typeof UsageEventSchema>;
