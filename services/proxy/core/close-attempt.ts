import type { AttemptRecord, UsageEvent } from '../../../schemas/usage-event.ts';
import type { Flavour } from '../../../schemas/words.ts';
import type { Statement } from './flavour.ts';

/** How the exchange with the upstream went, apart from what it said about usage. */
export interface Outcome {
  /**
   * `complete`: the body came to its end. `client_left`: we gave up after the client had. `unreachable`: no connection.
   * `cut`, `timeout`: afterwards. `shutdown`: our own.
   */
  kind: 'complete' | 'cut' | 'timeout' | 'unreachable' | 'client_left' | 'shutdown';
  /** The client was gone when the body ended, or had its answer from another attempt. */
  clientLeft: boolean;
  /** It was the other attempt. */
  hedgeLost?: boolean;
  httpStatus?: number;
  providerRequestId?: string;
  closedAt: string;
  durationMs: number;
  ttftMs?: number;
  /** Tokens in the output text seen, as counted by a tokenizer library; zero when there was none. */
  outputTokensSeen: number;
  /** The provider bills this refusal although it states no usage (Azure: content filter, timeout). */
  billedRefusal?: boolean;
  /** Some of a stream was seen, so a prompt was worked on and an estimate has something to stand on. */
  streamSeen: boolean;
}

type Figures = Pick<UsageEvent, 'ending' | 'classes' | 'units'> &
  Partial<Pick<UsageEvent, 'estimate' | 'parts'>>;

const NOTHING = { classes: {}, units: {} };

const INPUT_ONLY: ReadonlySet<Flavour> = new Set([
  'openai.embeddings',
  'gemini.embed',
  'gemini.cache',
  'cohere.embed',
]);

/** Sold by something else than the tokens of a text that could be counted here. */
const NOT_ESTIMATED: ReadonlySet<Flavour> = new Set([
  'passthrough',
  'openai.images',
  'openai.speech',
  'openai.transcription',
  'openai.runs',
  'openai.batch',
  'anthropic.batch',
  'cohere.rerank',
  'mistral.ocr',
]);

const LATER: ReadonlySet<string> = new Set([
  'queued',
  'in_progress',
  'requires_action',
  'cancelling',
  'canceling',
  'validating',
  'finalizing',
]);
/** Whether a status of the provider's says that its work goes on. */
export const isUnderWay = (status: string | undefined): boolean => LATER.has(status ?? '');

/** Endpoints that take work on and answer before it is done. */
const WORKS_ON: ReadonlySet<Flavour> = new Set([
  'openai.responses',
  'openai.runs',
  'openai.batch',
  'anthropic.batch',
]);

/** Azure charges for a prompt its content filter refuses and for a call it could not finish in time; 401, 404 and 429 are free. */
export const isBilledRefusal = (
  onAzure: boolean,
  status: number | undefined,
  finishReason: string | undefined,
): boolean => onAzure && (status === 408 || (status === 400 && finishReason === 'content_filter'));

/** Prompt as estimated when the attempt was opened, and some output; embeddings have none. */
const estimated = (
  attempt: AttemptRecord,
  output: string,
  basis: 'text_seen' | 'declared_maximum',
): Figures => {
  const input = { input_uncached: attempt.estimated_input_tokens };
  const inputOnly = INPUT_ONLY.has(attempt.flavour);
  return {
    ending: 'estimated',
    classes: inputOnly ? input : { ...input, output_text: output },
    units: {},
    estimate: {
      basis,
      classes: inputOnly ? ['input_uncached'] : ['input_uncached', 'output_text'],
    },
  };
};

/** Stated input stands; the output is at least what was stated and at least what was seen, of which reasoning is a part. */
const partial = (statement: Statement, outcome: Outcome): Figures => {
  const stated = BigInt(statement.classes.output_text ?? '0');
  const seen = BigInt(outcome.outputTokensSeen) - BigInt(statement.classes.output_reasoning ?? '0');
  if (seen <= stated) {
    return { ending: 'partial', classes: statement.classes, units: statement.units };
  }
  return {
    ending: 'partial',
    classes: { ...statement.classes, output_text: String(seen) },
    units: statement.units,
    estimate: { basis: 'text_seen', classes: ['output_text'] },
  };
};

/** Nothing but zeros, which work that goes on states for "not yet". */
const countsNothing = ({ classes, units }: Statement): boolean =>
  [...Object.values(classes), ...Object.values(units)].every((quantity) => quantity === '0');

const figuresOf = (attempt: AttemptRecord, statement: Statement, outcome: Outcome): Figures => {
  const { completeness } = statement;
  if (completeness === 'unreadable') return { ending: 'unknown', ...NOTHING };
  const ended = completeness === 'running' && outcome.kind === 'complete';
  const goesOn = WORKS_ON.has(attempt.flavour) && isUnderWay(statement.finishReason);
  if ((completeness === 'full' || ended) && !(goesOn && countsNothing(statement))) {
    return {
      ending: outcome.clientLeft ? 'drained' : 'reported',
      classes: statement.classes,
      units: statement.units,
      ...(statement.parts ? { parts: statement.parts } : {}),
    };
  }
  if (outcome.billedRefusal) return estimated(attempt, '0', 'text_seen');
  if (outcome.kind === 'unreachable' || (outcome.httpStatus ?? 0) >= 400) {
    return { ending: 'not_billed', ...NOTHING };
  }
  if (completeness === 'part' || completeness === 'running') return partial(statement, outcome);
  if (outcome.kind === 'complete' && goesOn) {
    return { ending: 'pending', ...NOTHING };
  }
  const promptWorkedOn = outcome.kind !== 'timeout' && outcome.kind !== 'complete';
  const something = outcome.outputTokensSeen > 0 || (outcome.streamSeen && promptWorkedOn);
  if (!NOT_ESTIMATED.has(attempt.flavour) && (something || outcome.kind === 'client_left')) {
    return estimated(attempt, String(outcome.outputTokensSeen), 'text_seen');
  }
  return { ending: 'unknown', ...NOTHING };
};

const errorKindOf = (outcome: Outcome): UsageEvent['error_kind'] => {
  const unsent = outcome.kind === 'unreachable' && outcome.clientLeft;
  if (unsent || outcome.kind === 'client_left') {
    return outcome.hedgeLost ? 'hedge_lost' : 'client_left';
  }
  if (outcome.kind !== 'complete') return outcome.kind;
  const status = outcome.httpStatus ?? 200;
  if (status >= 500) return 'provider';
  if (status >= 400) return 'refused';
  if (!outcome.clientLeft) return undefined;
  return outcome.hedgeLost ? 'hedge_lost' : 'client_left';
};

/** Statuses beyond 599 are in no standard and in no event; they count as a provider's failure. */
const statusIsKnown = (status: number | undefined): status is number =>
  status !== undefined && status <= 599;

/** What the opened record carries over into the event. */
const identityOf = (attempt: AttemptRecord) => {
  const { estimated_input_tokens: _input, max_output_tokens: _output, ...identity } = attempt;
  return identity;
};

/** The closing fact of an attempt, but for its place in the sequence, which the journal gives when it appends. */
export const closeAttempt = (
  attempt: AttemptRecord,
  statement: Statement,
  outcome: Outcome,
): Omit<UsageEvent, 'sequence'> => {
  const errorKind = errorKindOf(outcome);
  return {
    ...identityOf(attempt),
    closed_at: outcome.closedAt,
    duration_ms: outcome.durationMs,
    ...(outcome.ttftMs === undefined ? {} : { ttft_ms: outcome.ttftMs }),
    ...(statusIsKnown(outcome.httpStatus) ? { http_status: outcome.httpStatus } : {}),
    ...(statement.finishReason === undefined ? {} : { finish_reason: statement.finishReason }),
    ...(errorKind === undefined ? {} : { error_kind: errorKind }),
    ...(statement.model === undefined ? {} : { model: statement.model }),
    ...(statement.tier === undefined ? {} : { tier: statement.tier }),
    ...(statement.geo === undefined ? {} : { geo: statement.geo }),
    ...(outcome.providerRequestId === undefined
      ? {}
      : { provider_request_id: outcome.providerRequestId }),
    ...(statement.rawUsage === undefined ? {} : { raw_usage: statement.rawUsage }),
    ...figuresOf(attempt, statement, outcome),
  };
};

/**
 * The fact of an attempt whose proxy died. Its `event_id` is the one frozen in the opened record; it is written under the
 * boot that recovers it, whose sequence it takes part in.
 * @param now instant of the recovery.
 */
export const recoverAttempt = (
  attempt: AttemptRecord,
  bootId: string,
  now: string,
): Omit<UsageEvent, 'sequence'> => {
  const maximum = INPUT_ONLY.has(attempt.flavour) ? '0' : attempt.max_output_tokens;
  const figures: Figures =
    maximum === undefined || NOT_ESTIMATED.has(attempt.flavour)
      ? { ending: 'unknown', ...NOTHING }
      : estimated(attempt, maximum, 'declared_maximum');
  return {
    ...identityOf(attempt),
    boot_id: bootId,
    closed_at: now,
    duration_ms: Math.max(0, Date.parse(now) - Date.parse(attempt.event_ts)),
    error_kind: 'crash',
    ...figures,
  };
};
