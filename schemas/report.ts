import { z } from 'zod';
import { NameSchema } from './ids.ts';
import { BoundInstantSchema, InstantSchema } from './instant.ts';
import { UsageSliceSchema } from './usage-slice.ts';
import { DIMENSIONS } from './words.ts';

/** What a report may be grouped by. `day` and `period` are those of the instant that decides the price. */
export const REPORT_GROUPINGS = [
  ...DIMENSIONS,
  'provider',
  'upstream',
  'model',
  'tier',
  'geo',
  'ending',
  'key_id',
  'credential_pool_id',
  'byo_key',
  'book',
  'day',
  'period',
] as const;
export const ReportGroupingSchema = z.enum(REPORT_GROUPINGS);
export type ReportGrouping = z.infer<typeof ReportGroupingSchema>;

export const ReportGroupingsSchema = z
  .array(ReportGroupingSchema)
  .max(8)
  .refine((by) => new Set(by).size === by.length, { message: 'a grouping is named twice' });

/** How far one partition of one log is included. */
export const LogExtentSchema = z.strictObject({
  log: z.string().min(1).max(200),
  partition: z.int().min(0),
  /** First offset that is not included. */
  up_to: z.int().min(0),
});
export type LogExtent = z.infer<typeof LogExtentSchema>;

/** Entries of a recipe's list. */
const LISTED_MAX = 10_000;

const Sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);

/** Everything once: each costs time, and two of one would be counted twice. */
const once = <Item>(nameOf: (item: Item) => string) =>
  [
    (items: readonly Item[]): boolean => new Set(items.map(nameOf)).size === items.length,
    { message: 'expected everything once' },
  ] as const;

/** Everything that decides a report's bytes. The same recipe gives the same report, or none. Lists are sorted. */
export const ReportRecipeSchema = z.strictObject({
  /** Version of this form. */
  reckoner_report: z.literal(1),
  slice: UsageSliceSchema,
  by: ReportGroupingsSchema,
  /** Prices as known at this instant. */
  known_at: InstantSchema,
  /** The book of each provider in the slice; null where none was known then. The hash is over that version and all before it. */
  books: z
    .array(
      z.strictObject({
        provider: NameSchema,
        version: z.int().min(1).nullable(),
        sha256: Sha256Schema.nullable(),
      }),
    )
    .max(LISTED_MAX)
    .refine(...once(({ provider }: { provider: string }) => provider)),
  /** Contract prices of these providers known then. */
  contracts: z
    .array(
      z.strictObject({
        contract: NameSchema,
        provider: NameSchema,
        version: z.int().min(1),
        sha256: Sha256Schema,
      }),
    )
    .max(LISTED_MAX)
    .refine(
      ...once((of: { contract: string; provider: string }) => `${of.contract}/${of.provider}`),
    ),
  /** Where events come from. `events` are those counted, `superseded` those of the slice that a later fact within these offsets replaced. */
  logs: z
    .array(
      LogExtentSchema.extend({
        events: z.int().min(0),
        superseded: z.int().min(0),
        /** Sum, modulo 2^128, of the first 128 bits of SHA-256 over each counted event's bytes; hex. */
        content: z.string().regex(/^[0-9a-f]{32}$/),
      }),
    )
    .max(LISTED_MAX)
    .refine(...once((of: { log: string; partition: number }) => `${of.log}/${of.partition}`)),
});
export type ReportRecipe = z.infer<typeof ReportRecipeSchema>;

/** Sums over some events. Money in USD and quantities as exact decimal strings; maps are sorted by name and leave out what is not there. */
export interface ReportSums {
  events: number;
  amount_usd: string;
  /** Priced usage. */
  meters: Record<string, { quantity: string; amount_usd: string }>;
  /** How far the usage is known: money of `estimated` and `partial` is not what a provider stated. */
  endings: Record<string, { events: number; amount_usd: string }>;
  /** Events without a price, by reason. Their cost is not known, which is not zero. */
  unrated: Record<string, number>;
  /** What those events state. */
  unpriced: Record<string, string>;
}

/** A group with its values in the order of `by`; null where the usage names none. */
export type ReportRow = { group: Record<string, string | null> } & ReportSums;
export type ReportTotals = { groups: number; superseded: number } & ReportSums;

/** What the ledger holds of the same events now. No part of the report: it changes without the recipe changing. */
export interface ReportLedger {
  ledger_usd: string;
  /** Report minus ledger. */
  difference_usd: string;
  /** Events of the report that the ledger has no entry of yet. */
  not_in_ledger: number;
}

/** What asking for a report answers, a line each, in this order. */
export type ReportStep =
  | { step: 'progress'; events: number; of: number }
  | { step: 'recipe'; recipe: ReportRecipe }
  | { step: 'row'; row: ReportRow }
  | { step: 'totals'; totals: ReportTotals }
  | { step: 'ledger'; ledger: ReportLedger };

/** A new report: of what is in the archive now, or of no more than `up_to` or what had `arrived_by` then. */
export const ReportRequestSchema = z.strictObject({
  slice: UsageSliceSchema,
  by: ReportGroupingsSchema,
  /** When the newest book was published where left out. */
  known_at: InstantSchema.optional(),
  arrived_by: BoundInstantSchema.optional(),
  up_to: z.array(LogExtentSchema).max(10_000).optional(),
});
export type ReportRequest = z.infer<typeof ReportRequestSchema>;
