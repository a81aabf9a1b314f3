import { z } from 'zod';
import { BudgetSchema } from './budget.ts';
import { NameSchema } from './ids.ts';
import { InstantSchema } from './instant.ts';

/** Where a secret is to be found; the secret itself is never in a record. */
export const SecretReferenceSchema = z.union([
  z.strictObject({ env: z.string().regex(/^[A-Z][A-Z0-9_]*$/) }),
  z.strictObject({ file: z.string().min(1) }),
]);
export type SecretReference = z.infer<typeof SecretReferenceSchema>;

export const TenantSchema = z.strictObject({
  id: NameSchema,
  name: z.string().min(1).max(200).optional(),
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
  /** Private and loopback addresses are refused unless this is set. */
  allow_private: z.boolean().default(false),
  /**
   * `ask` (also when left out): usage of OpenAI streams is asked for where the caller did not, and hidden from it. `as_is`: the provider states usage
   * unasked (OpenRouter, Mistral, the Hugging Face router), so requests and streams go as they come.
   */
  stream_usage: z.enum(['ask', 'as_is']).optional(),
  disconnect: z.enum(['drain', 'cancel']).default('drain'),
  /** Upstream calls per request at most: 1 = no retry. Retried: connect errors, 429, 500, 502, 503, 504, 529, before the first byte. */
  attempts_max: z.int().min(1).max(10).default(3),
  timeout_ms: z.int().min(1000).max(3_600_000).default(600_000),
});
export type Upstream = z.infer<typeof UpstreamSchema>;

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
]);
export type ControlRecord = z.infer<typeof ControlRecordSchema>;
