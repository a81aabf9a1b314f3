import { z } from 'zod';
import { BudgetSchema } from './budget.ts';
import { NameSchema } from './ids.ts';
import { InstantSchema, PeriodSchema } from './instant.ts';
import { DIMENSIONS } from './words.ts';

/** Where a secret is to be found; the secret itself is never in a record. */
export const SecretReferenceSchema = z.union([
  z.strictObject({ env: z.string().regex(/^[A-Z][A-Z0-9_]*$/) }),
  z.strictObject({ file: z.string().min(1) }),
]);
export type SecretReference = z.infer<typeof SecretReferenceSchema>;

/**
 * Dimensions a call must name, by key or header. `refuse`: a call without one is answered 400. `pass`: it goes on and is counted
 * as unattributed. What tenant and key require adds up.
 */
export const RequirementSchema = z.strictObject({
  dimensions: z.array(z.enum(DIMENSIONS).exclude(['tenant'])).min(1),
  otherwise: z.enum(['refuse', 'pass']).default('refuse'),
});
export type Requirement = z.infer<typeof RequirementSchema>;

export const TenantSchema = z.strictObject({
  id: NameSchema,
  name: z.string().min(1).max(200).optional(),
  require: RequirementSchema.optional(),
});

export type Tenant = z.infer<typeof TenantSchema>;

/** A virtual key. Only a keyed hash of the secret is kept; the part before it finds the record. */
export const VirtualKeySchema = z.strictObject({
  id: NameSchema,
  tenant: NameSchema,
  /** The public part of `rk_<public_id>_<secret>`. */
  public_id: z.string().regex(/^[A-Za-z0-9]{12}$/),
  /** HMAC-SHA256 of the secret part under the house's pepper, hex. */
  secret_hash: z.string().regex(/^[0-9a-f]{64}$/),
  feature: NameSchema.optional(),
  /** A key that names a budget is closed until the proxy has heard of it. */
  budgets: z.array(NameSchema).max(8).default([]),
  /** Bound dimensions win over headers. */
  bind: z.record(z.string(), z.string().max(128)).default({}),
  models: z.array(z.string()).optional(),
  expires_at: InstantSchema.optional(),
  revoked: z.boolean().default(false),
  /** Status for budget blocks, for callers that cannot handle 402. */
  block_status: z.union([z.literal(402), z.literal(429), z.literal(403)]).default(402),
  require: RequirementSchema.optional(),
  /** Whether the key is still served when the proxy's log is under pressure and its mode is `degrade`; left out: refused. With too little room on the disk no key is served. */
  under_pressure: z.enum(['refuse', 'serve']).optional(),
});
export type VirtualKey = z.infer<typeof VirtualKeySchema>;

export const UpstreamSchema = z.strictObject({
  id: NameSchema.refine((id) => id !== 'api' && id !== 'v1', '"api" and "v1" are reserved'),
  provider: NameSchema,
  /** The dialect decides which flavours its paths speak and which header carries the credential. */
  dialect: z.enum(['openai', 'anthropic', 'azure', 'gemini', 'bedrock', 'cohere', 'ollama']),
  base_url: z
    .url({ protocol: /^https?$/ })
    .refine(
      (text) => !/^[^/]*\/\/[^/]*@|[?#]/.test(text),
      'no user, password, query or fragment: a secret does not belong into a record, name it under credential',
    ),
  credential: SecretReferenceSchema.optional(),
  /** Models that unified `/v1/*` routes send here; a trailing `*` matches a prefix. */
  models: z.array(z.string().min(1)).default([]),
  /** AWS region to sign for, where the address does not name it. Only read with an access key as credential. */
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d$/)
    .optional(),
  /** Private and loopback addresses are refused unless this is set. */
  allow_private: z.boolean().default(false),
  /**
   * `ask` (also when left out): usage of OpenAI streams is asked for where the caller did not, and hidden from it. `as_is`: the provider states usage
   * unasked (OpenRouter, Mistral, the Hugging Face router), so requests and streams go as they come.
   */
  stream_usage: z.enum(['ask', 'as_is']).optional(),
  /**
   * Models that no price book names: `pass` (also when left out) lets them through, and they show as unrated; `ceiling` does the same, but budgets count
   * them at the dearest price their provider has; `block` refuses them before anything is sent.
   */
  unknown_price: z.enum(['pass', 'ceiling', 'block']).optional(),
  disconnect: z.enum(['drain', 'cancel']).default('drain'),
  /** Upstream calls per request at most: 1 = no retry. Retried: connect errors, 429, 500, 502, 503, 504, 529, before the first byte. */
  attempts_max: z.int().min(1).max(10).default(3),
  timeout_ms: z.int().min(1000).max(3_600_000).default(600_000),
});
export type Upstream = z.infer<typeof UpstreamSchema>;

/** An upstream that may serve a call, and how large its share is among its equals. */
export const RouteTargetSchema = z.strictObject({
  upstream: NameSchema,
  weight: z.int().min(1).max(1000).default(1),
  /** The model to ask this upstream for, where it goes by another name there. */
  model: z.string().min(1).max(200).optional(),
});

/**
 * Several upstreams of one dialect behind one name: the same model at several places or under several credentials (one step, many
 * targets), and what to turn to when they fail (the next step). Reached as `/<route>/…` and, for its models, by the unified `/v1/*`.
 */
export const RouteSchema = z.strictObject({
  id: NameSchema.refine((id) => id !== 'api' && id !== 'v1', '"api" and "v1" are reserved'),
  /** Models that unified `/v1/*` routes send here; a trailing `*` matches a prefix. A route wins over an upstream that names the same. */
  models: z.array(z.string().min(1)).default([]),
  /** How a target of a step is chosen: by weight, or the one that answered fastest of late. */
  strategy: z.enum(['weighted', 'least_latency']).default('weighted'),
  /**
   * Tried in order; the next one when the targets of the one before failed. `attempts_max`: upstream calls per request in this step;
   * left out, each target once, and in the last step as many as the route has left.
   */
  steps: z
    .array(
      z.strictObject({
        targets: z.array(RouteTargetSchema).min(1).max(16),
        attempts_max: z.int().min(1).max(10).optional(),
      }),
    )
    .min(1)
    .max(8),
  /** Upstream calls per request at most, over all steps, the hedge included. An upstream's own `attempts_max` holds as well. */
  attempts_max: z.int().min(1).max(10).default(4),
  /** No byte of an answer for so long: a second attempt (`hedge`) goes to another target; the first to answer wins. Left out: never. */
  hedge_after_ms: z.int().min(50).max(600_000).optional(),
});
export type Route = z.infer<typeof RouteSchema>;

/** Tenant -> customer of a billing destination. */
export const BillingMappingSchema = z.discriminatedUnion('destination', [
  z.strictObject({
    id: NameSchema,
    destination: z.literal('stripe'),
    tenant: NameSchema,
    customer: z.string().min(1).max(100),
    event_name: z.string().min(1).max(100),
  }),
  z.strictObject({
    id: NameSchema,
    destination: z.literal('chargebee'),
    tenant: NameSchema,
    subscription: z.string().min(1).max(50),
    item_price: z.string().min(1).max(100),
  }),
]);
export type BillingMapping = z.infer<typeof BillingMappingSchema>;

/** What was not settled in a month when it was looked at. */
export const OpenItemsSchema = z.strictObject({
  /** Events without a price. */
  unrated: z.int().min(0),
  /** Records set aside because they could not be believed. */
  quarantined: z.int().min(0),
  /** Archived events the ledger has no entry of yet. */
  not_rated_yet: z.int().min(0),
});
export type OpenItems = z.infer<typeof OpenItemsSchema>;

/** A word about an accounting month. The newest is in force; every one stays in the history: who, when, why. */
export const PeriodStateSchema = z.strictObject({
  /** The month. */
  id: PeriodSchema,
  state: z.enum(['open', 'closed']),
  by: z.string().min(1).max(100),
  at: InstantSchema,
  reason: z.string().min(1).max(500),
  open_items: OpenItemsSchema,
});
export type PeriodState = z.infer<typeof PeriodStateSchema>;

/** The newest record of each `kind/id` is in force; `deleted` is the tombstone that says so. */
export const ControlRecordSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('tenant'),
    id: NameSchema,
    deleted: z.boolean(),
    body: TenantSchema,
  }),
  z.strictObject({
    kind: z.literal('key'),
    id: NameSchema,
    deleted: z.boolean(),
    body: VirtualKeySchema,
  }),
  z.strictObject({
    kind: z.literal('upstream'),
    id: NameSchema,
    deleted: z.boolean(),
    body: UpstreamSchema,
  }),
  z.strictObject({
    kind: z.literal('route'),
    id: NameSchema,
    deleted: z.boolean(),
    body: RouteSchema,
  }),
  z.strictObject({
    kind: z.literal('budget'),
    id: NameSchema,
    deleted: z.boolean(),
    body: BudgetSchema,
  }),
  z.strictObject({
    kind: z.literal('mapping'),
    id: NameSchema,
    deleted: z.boolean(),
    body: BillingMappingSchema,
  }),
  z.strictObject({
    kind: z.literal('period'),
    id: PeriodSchema,
    deleted: z.boolean(),
    body: PeriodStateSchema,
  }),
]);
export type ControlRecord = z.infer<typeof ControlRecordSchema>;
