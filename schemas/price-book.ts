import { z } from 'zod';
import { AmountSchema, QuantitySchema, UnitPriceSchema } from './decimal-string.ts';
import { NameSchema } from './ids.ts';
import { InstantSchema } from './instant.ts';
import { MeterSchema } from './words.ts';

const DaySchema = z.string().regex(/^\d{4}-\d{2}-\d{2}$/);
const ClockTimeSchema = z.string().regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/);
const ProvenanceShape = { source: z.string().min(1).max(500), retrieved_at: DaySchema };

/** Hours, UTC, half-open; a window may go over midnight. ISO days of the week; days of a calendar on which it does not hold. */
export const TimeBandSchema = z.strictObject({
  windows: z.array(z.strictObject({ from: ClockTimeSchema, to: ClockTimeSchema })).min(1),
  /** 1 is Monday, 7 is Sunday; every day when left out. */
  days: z.array(z.int().min(1).max(7)).min(1).optional(),
  /** Public holidays and the like, in UTC days. */
  except_days: z.array(DaySchema).min(1).optional(),
});
export type TimeBand = z.infer<typeof TimeBandSchema>;

/**
 * When a price applies beyond model and meter. Everything named must hold; what is not named does not matter,
 * but for `tier` and `geo`: an entry that names none is the price of the standard tier and of no geography surcharge.
 */
export const PriceConditionsSchema = z.strictObject({
  /** Served tier as the provider says it, lower case: `batch`, `flex`, `priority`. */
  tier: z.array(z.string().min(1).max(64)).min(1).optional(),
  /** Geography as the provider says it: `us`. */
  geo: z.array(z.string().min(1).max(64)).min(1).optional(),
  /** A context cliff: the whole request is priced by this entry when its total input, cached included, is beyond. */
  context: z
    .strictObject({ operator: z.enum(['>', '>=', '<', '<=']), input_tokens: z.int().min(1) })
    .optional(),
  /** Peak hours. Inside them this price is meant, outside the one without the condition. */
  time: TimeBandSchema.optional(),
});

/** One price of one meter of one model, with both its times. Immutable; a change and a correction both append. */
export const PriceSchema = z.strictObject({
  price_id: z.string().min(1).max(300),
  /** Exactly the name the provider's reply carries. A dated snapshot is a model of its own. */
  model: z.string().min(1).max(200),
  meter: MeterSchema,
  when: PriceConditionsSchema.optional(),
  unit_price: UnitPriceSchema,
  /** When it is valid: half-open. */
  valid_from: InstantSchema,
  valid_to: InstantSchema.optional(),
  /** When we knew it. Of two prices valid at an instant the one known later wins. */
  known_from: InstantSchema,
  ...ProvenanceShape,
  /** Charged once a request whether or not the usage states it; of the meter `requests` only. */
  per_request: z.literal(true).optional(),
  /**
   * Sources contradict each other: this is what one of them says, and the text names the question. A claim prices nothing; usage
   * it would price is unrated until a version states the price again without a claim.
   */
  claim: z.string().min(1).max(200).optional(),
});
export type Price = z.infer<typeof PriceSchema>;

/** Names that stand for a model: each by an explicit, sourced entry, never by prefix or by dropping a date. */
export const ModelAliasSchema = z.strictObject({
  alias: z.string().min(1).max(200),
  model: z.string().min(1).max(200),
  source: z.string().min(1).max(500),
});

/**
 * What an account gets free in each window. Not part of a price: one event cannot know what the account used before, so rating
 * charges the list price and the allowance is credited over the window.
 */
export const AllowanceSchema = z.strictObject({
  meter: MeterSchema,
  /** Models that share the allowance; every model when left out. */
  models: z.array(z.string().min(1).max(200)).min(1).optional(),
  quantity: QuantitySchema,
  per: z.enum(['day', 'month']),
  valid_from: InstantSchema,
  valid_to: InstantSchema.optional(),
  ...ProvenanceShape,
});
export type Allowance = z.infer<typeof AllowanceSchema>;

/**
 * Calls that cost what the provider says they cost, where it says so: usage is charged the stated amount as `stated_cost_micro_usd` instead of its
 * tokens. Where nothing is stated the book's prices hold.
 */
export const PassThroughSchema = z.strictObject({
  /** Every model when left out. */
  models: z.array(z.string().min(1).max(200)).min(1).optional(),
  /**
   * What becomes of a statement finer than the 12 decimal places of a dollar that are charged: `half_even` rounds each stated amount to them, half to
   * even, at most half of a millionth of a millionth of a dollar off; left out, such usage is unrated.
   */
  rounding: z.literal('half_even').optional(),
  valid_from: InstantSchema,
  valid_to: InstantSchema.optional(),
  ...ProvenanceShape,
});
export type PassThrough = z.infer<typeof PassThroughSchema>;

/** Who let a version into force, and when. */
export const ApprovalSchema = z.strictObject({ by: NameSchema, at: InstantSchema });

/** One version of one provider's book: what it adds to the version before. Never edited once published. */
export const PriceBookSchema = z.strictObject({
  provider: NameSchema,
  version: z.int().min(1),
  currency: z.literal('USD'),
  known_from: InstantSchema,
  note: z.string().max(500).optional(),
  /** Value that replies use for the standard tier: `default` at OpenAI, `standard` at Anthropic. */
  standard_tiers: z.array(z.string()).min(1),
  /** Values that replies use for "no geography surcharge". */
  standard_geos: z.array(z.string()),
  aliases: z.array(ModelAliasSchema),
  prices: z.array(PriceSchema),
  allowances: z.array(AllowanceSchema).optional(),
  pass_through: z.array(PassThroughSchema).min(1).optional(),
  prepared_by: NameSchema.optional(),
  approved: z.array(ApprovalSchema).min(1).optional(),
});
export type PriceBook = z.infer<typeof PriceBookSchema>;

/** One agreed deviation from the list. What it does not name it inherits: other meters, tiers, bands, and later list changes. */
export const ContractPriceSchema = z
  .strictObject({
    /** Stable: a later version that states the same id replaces it. */
    id: z.string().min(1).max(64),
    models: z.array(z.string().min(1).max(200)).min(1).optional(),
    meters: z.array(MeterSchema).min(1).optional(),
    /** Served tiers it is for. A fixed price without a tier is for the standard tier, a factor for every tier. */
    tier: z.array(z.string().min(1).max(64)).min(1).optional(),
    /** Fixed price of a unit, in place of the list price without conditions of context and time. */
    unit_price: UnitPriceSchema.optional(),
    /** Exact factor on the list price, whatever its conditions: 0.85 is 15 % off. */
    factor: UnitPriceSchema.optional(),
    valid_from: InstantSchema,
    valid_to: InstantSchema.optional(),
    ...ProvenanceShape,
  })
  .refine((price) => (price.unit_price === undefined) !== (price.factor === undefined), {
    message: 'a contract price has either a unit_price or a factor',
  })
  .refine((price) => price.unit_price === undefined || price.meters !== undefined, {
    message: 'a fixed unit_price names its meters',
  });
export type ContractPrice = z.infer<typeof ContractPriceSchema>;

/** What is promised to be spent. Kept beside the prices it was given for; no price depends on it. */
export const CommitmentSchema = z.strictObject({
  amount_usd: AmountSchema,
  valid_from: InstantSchema,
  valid_to: InstantSchema,
  ...ProvenanceShape,
});

/** One version of what one contract says for some accounts of one provider. Never edited once published; a version appends. */
export const ContractBookSchema = z.strictObject({
  contract: NameSchema,
  provider: NameSchema,
  version: z.int().min(1),
  known_from: InstantSchema,
  /** Credential pools that are billed under it. */
  accounts: z.array(NameSchema).min(1),
  prices: z.array(ContractPriceSchema),
  commitments: z.array(CommitmentSchema).optional(),
  prepared_by: NameSchema.optional(),
  approved: z.array(ApprovalSchema).min(1).optional(),
});
export type ContractBook = z.infer<typeof ContractBookSchema>;
