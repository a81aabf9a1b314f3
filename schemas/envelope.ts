import { z } from 'zod';
import { BudgetSignalSchema } from './budget.ts';
import { ControlRecordSchema } from './control-record.ts';
import { InstantSchema } from './instant.ts';
import { PendingOperationSchema } from './pending-operation.ts';
import { RatedUsageSchema } from './rated-usage.ts';
import type { Settle } from './settle.ts';
import { NOT_SURE, settleOf } from './settle.ts';
import { AttemptRecordSchema, UsageEventSchema } from './usage-event.ts';

/** The outer attributes every record carries: CloudEvents 1.0, structured JSON. */
const envelope = <Type extends string, Data extends z.ZodType>(type: Type, data: Data) =>
  z.strictObject({
    specversion: z.literal('1.0'),
    /** Identity of the fact: `event_id`, `entry_id`, or the scope with its version. */
    id: z.string().min(1).max(200),
    source: z.string().min(1).max(200),
    type: z.literal(type),
    /** Tenant, or `house` for records that belong to none. */
    subject: z.string().min(1).max(64),
    time: InstantSchema,
    datacontenttype: z.literal('application/json'),
    data,
  });

export const DeadLetterSchema = z.strictObject({
  /** Where the bytes stood. */
  log: z.string(),
  topic: z.string(),
  partition: z.int().min(0),
  offset: z.int().min(0),
  reason: z.enum(['unreadable', 'invalid', 'conflict']),
  detail: z.string().max(2000),
  /** The original bytes, base64. */
  bytes: z.string(),
});

export const ENVELOPES = {
  attempt: envelope('reckoner.attempt.opened.v1', AttemptRecordSchema),
  pendingOperation: envelope('reckoner.operation.pending.v1', PendingOperationSchema),
  usageEvent: envelope('reckoner.usage.recorded.v1', UsageEventSchema),
  ratedUsage: envelope('reckoner.usage.rated.v1', RatedUsageSchema),
  budgetSignal: envelope('reckoner.budget.signal.v1', BudgetSignalSchema),
  controlRecord: envelope('reckoner.control.record.v1', ControlRecordSchema),
  deadLetter: envelope('reckoner.dead-letter.v1', DeadLetterSchema),
} as const;

type Envelopes = typeof ENVELOPES;
export type EnvelopeKind = keyof Envelopes;
export type EnvelopeOf<Kind extends EnvelopeKind> = z.infer<Envelopes[Kind]>;
export type DataOf<Kind extends EnvelopeKind> = EnvelopeOf<Kind>['data'];

const TYPES = Object.fromEntries(
  Object.entries(ENVELOPES).map(([kind, schema]) => [kind, schema.shape.type.value]),
);

/** The kinds that come by the million. */
const SETTLES: { readonly [Kind in EnvelopeKind]?: Settle } = {
  usageEvent: settleOf(ENVELOPES.usageEvent),
  ratedUsage: settleOf(ENVELOPES.ratedUsage),
};

const encoder = new TextEncoder();
/** Takes a byte order mark for what it is in JSON: an error. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Wraps data in its envelope and gives the bytes that every log and the archive hold. */
export const encodeEnvelope = <Kind extends EnvelopeKind>(
  kind: Kind,
  outer: { id: string; source: string; subject: string; time: string },
  data: DataOf<Kind>,
): Uint8Array =>
  encoder.encode(
    JSON.stringify({
      specversion: '1.0',
      id: outer.id,
      source: outer.source,
      type: TYPES[kind],
      subject: outer.subject,
      time: outer.time,
      datacontenttype: 'application/json',
      data,
    }),
  );

/**
 * Reads an envelope of the kind expected.
 * @returns the envelope, or what is wrong with the bytes in one line; never throws.
 */
export const decodeEnvelope = <Kind extends EnvelopeKind>(
  kind: Kind,
  bytes: Uint8Array,
):
  | { ok: true; value: EnvelopeOf<Kind> }
  | { ok: false; reason: 'unreadable' | 'invalid'; detail: string } => {
  let json: unknown;
  try {
    json = JSON.parse(decoder.decode(bytes));
  } catch (error) {
    return { ok: false, reason: 'unreadable', detail: `not JSON: ${(error as Error).name}` };
  }
  const settled = SETTLES[kind]?.(json) ?? NOT_SURE;
  if (settled !== NOT_SURE) return { ok: true, value: settled as EnvelopeOf<Kind> };
  const parsed = ENVELOPES[kind].safeParse(json);
  if (parsed.success) {
    return { ok: true, value: parsed.data as EnvelopeOf<Kind> };
  }
  const first = parsed.error.issues[0];
  return {
    ok: false,
    reason: 'invalid',
    detail: `${first?.path.join('.') ?? '?'}: ${first?.message ?? 'invalid'} (${parsed.error.issues.length} problem(s))`,
  };
};
