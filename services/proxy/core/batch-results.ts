import type { PendingOperation } from '../../../schemas/pending-operation.ts';
import type { Flavour } from '../../../schemas/words.ts';
import type { JsonObject, Statement } from './flavour.ts';
import { asInstant, asLowerWord, asObject, asWord } from './flavour.ts';
import { sourceAt } from './json-span.ts';
import { createReplyReader } from './reply-readers.ts';
import { flavourOf } from './route.ts';
import type { Writing } from './settle-operation.ts';
import { identityOf } from './settle-operation.ts';

type Fact = PendingOperation['fact'];
type FileName = NonNullable<PendingOperation['progress']>['file'];

/** What a batch's job object says about its end. */
export interface BatchState {
  /** Nothing more will be worked on; what was done lies in the files, which can be asked for. */
  over: boolean;
  /** In the order they are read. */
  files: { name: FileName; id: string }[];
  completedAt?: string;
  /** Wire format of the items' replies. */
  itemFlavour: Flavour;
}

const OVER = new Set(['completed', 'failed', 'expired', 'cancelled', 'canceled', 'ended']);
/**
 * Whether something was done whose results the job does not name, not yet or not under an id that can be asked for (Azure writes
 * into the customer's own storage): it is not free.
 */
const lacksResults = (job: JsonObject, files: BatchState['files']): boolean => {
  if (files.some(({ name }) => name === 'output')) return false;
  const done = asObject(job['request_counts'])?.['completed'];
  return typeof done === 'number' ? done > 0 : job['status'] === 'completed' && files.length === 0;
};

const SAFE_ID = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$/;

const instantOf = (value: unknown): string | undefined => {
  const at = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? asInstant(value) : new Date(at).toISOString();
};

const fileOf = (name: FileName, id: unknown): BatchState['files'] =>
  typeof id === 'string' && SAFE_ID.test(id) ? [{ name, id }] : [];

/** Reads the job object; null when it is none. */
export const batchState = (operation: PendingOperation, body: unknown): BatchState | null => {
  const job = asObject(body);
  const status = asLowerWord(job?.['processing_status'] ?? job?.['status'], 64);
  if (!job || status === undefined) return null;
  const onAnthropic = operation.operation === 'anthropic_batch';
  const endpoint = asWord(job['endpoint'], 200);
  const completedAt = instantOf(
    job['ended_at'] ??
      job['completed_at'] ??
      job['expired_at'] ??
      job['cancelled_at'] ??
      job['failed_at'],
  );
  const files: BatchState['files'] = onAnthropic
    ? [{ name: 'output', id: operation.id }]
    : [...fileOf('output', job['output_file_id']), ...fileOf('errors', job['error_file_id'])];
  return {
    over: OVER.has(status) && !lacksResults(job, files),
    files,
    ...(completedAt === undefined ? {} : { completedAt }),
    itemFlavour: onAnthropic
      ? 'anthropic.messages'
      : ((endpoint === undefined ? null : flavourOf('POST', endpoint)) ?? 'passthrough'),
  };
};

/** One line of results. */
export interface BatchItem {
  /** Tells items of one batch apart, wherever in the file they stand. Holds what the caller wrote: only ever hashed. */
  label: string;
  flavour: Flavour;
  statement: Statement;
  /** The provider says that the item was not done. */
  failed: boolean;
  httpStatus?: number;
  requestId?: string;
}

const NOTHING: Statement = { completeness: 'none', classes: {}, units: {} };

const statementOf = (
  flavour: Flavour,
  source: string,
  path: string[],
  body: unknown,
): Statement => {
  const text = sourceAt(source, path);
  if (text === null || !asObject(body)) return NOTHING;
  const reader = createReplyReader(flavour);
  reader.readBody(text, body);
  return reader.statement();
};

const anthropicItem = (flavour: Flavour, source: string, line: JsonObject) => {
  const result = asObject(line['result']);
  return {
    statement: statementOf(flavour, source, ['result', 'message'], result?.['message']),
    failed: result !== null && result['type'] !== 'succeeded',
  };
};

const openAiItem = (flavour: Flavour, source: string, line: JsonObject) => {
  const response = asObject(line['response']);
  const status = response?.['status_code'];
  const known = typeof status === 'number' && Number.isInteger(status) && status >= 100;
  const requestId = asWord(response?.['request_id'], 200);
  return {
    statement: statementOf(flavour, source, ['response', 'body'], response?.['body']),
    failed: asObject(line['error']) !== null || (known && status >= 400),
    ...(known && status <= 599 ? { httpStatus: status } : {}),
    ...(requestId === undefined ? {} : { requestId }),
  };
};

/** Reads one line. What is no JSON is an item all the same: something was done, and what it cost is not known. */
export const readItem = (
  operation: PendingOperation,
  flavour: Flavour,
  at: { file: FileName; source: string },
): BatchItem => {
  let line: JsonObject | null = null;
  try {
    line = asObject(JSON.parse(at.source));
  } catch {
    line = null;
  }
  const ownId = asWord(line?.['custom_id'], 1024);
  const label = ownId === undefined ? `line/${at.source}` : `item/${at.file}/${ownId}`;
  if (!line) return { label, flavour, statement: NOTHING, failed: false };
  const read = operation.operation === 'anthropic_batch' ? anthropicItem : openAiItem;
  return { label, flavour, ...read(flavour, at.source, line) };
};

const NO_FIGURES = { classes: {}, units: {} };

const figuresOf = (item: BatchItem): Pick<Fact, 'ending' | 'classes' | 'units' | 'parts'> => {
  const { statement } = item;
  if (statement.completeness === 'full') {
    const { classes, units, parts } = statement;
    return { ending: 'reported', classes, units, ...(parts ? { parts } : {}) };
  }
  const notDone = item.failed && statement.completeness === 'none';
  return { ending: notDone ? 'not_billed' : 'unknown', ...NO_FIGURES };
};

/** Who, what for and where of the batch, for an item: not the ids, the request's own model or its reservation. */
const sharedOf = (fact: Fact) => {
  const {
    reservation_id: _reservation,
    requested_model: _model,
    provider_request_id: _request,
    http_status: _status,
    ttft_ms: _ttft,
    tier: _tier,
    model: _served,
    ...shared
  } = identityOf(fact);
  return shared;
};

/**
 * The event of one item: a call of its own, since context bands and models differ by item. What a batch's replies name as their
 * tier is that of the endpoint they stand for (OpenAI says `default`); they are sold as `batch`.
 */
export const itemFact = (
  operation: PendingOperation,
  item: BatchItem,
  writing: Writing & { attemptId: string; completedAt: string | undefined },
): Fact => {
  const { fact } = operation;
  const { statement } = item;
  const completedAt = writing.completedAt ?? writing.now;
  return {
    ...sharedOf(fact),
    attempt_id: writing.attemptId,
    event_id: writing.eventId,
    boot_id: writing.bootId,
    flavour: item.flavour,
    closed_at: writing.now,
    provider_completed_at: completedAt,
    duration_ms: Math.max(0, Date.parse(completedAt) - Date.parse(fact.event_ts)),
    ...(item.httpStatus === undefined ? {} : { http_status: item.httpStatus }),
    ...(item.requestId === undefined ? {} : { provider_request_id: item.requestId }),
    ...(statement.finishReason === undefined ? {} : { finish_reason: statement.finishReason }),
    ...(item.failed ? { error_kind: 'refused' as const } : {}),
    ...(statement.model === undefined ? {} : { model: statement.model }),
    tier: 'batch',
    ...(statement.geo === undefined ? {} : { geo: statement.geo }),
    ...(statement.rawUsage === undefined ? {} : { raw_usage: statement.rawUsage }),
    ...figuresOf(item),
  };
};

/** The fact of the job when all its items are events: it costs nothing itself. */
export const jobFact = (
  operation: PendingOperation,
  writing: Writing & { completedAt: string | undefined },
): Fact => ({
  ...identityOf(operation.fact),
  event_id: writing.eventId,
  boot_id: writing.bootId,
  supersedes: operation.fact.event_id,
  closed_at: writing.now,
  provider_completed_at: writing.completedAt ?? writing.now,
  ending: 'not_billed',
  ...NO_FIGURES,
});
