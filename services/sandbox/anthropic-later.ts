import type { IncomingMessage } from 'node:http';
import { MESSAGES } from './anthropic-messages.ts';
import { keep, LOOKS, record, type Worked, work } from './batch-work.ts';
import { isRecord } from './dialect.ts';
import { type House, readBody } from './provider-call.ts';

/** A batch of one sandbox, worked through when it was made. */
interface MessageBatch {
  readonly job: Readonly<Record<string, unknown>>;
  readonly counts: Readonly<Record<string, number>>;
  readonly endedAt: string;
  readonly results: string;
  looks: number;
}

const desks = new WeakMap<House, Map<string, MessageBatch>>();
const BATCHES = '/anthropic/v1/messages/batches';

const batchesOf = (house: House): Map<string, MessageBatch> => {
  const known = desks.get(house);
  if (known) return known;
  const batches = new Map<string, MessageBatch>();
  desks.set(house, batches);
  return batches;
};

/** A message of a batch says so in its usage. */
const inBatch = (text: string): Record<string, unknown> => {
  const message = record(text);
  const usage = isRecord(message['usage']) ? message['usage'] : {};
  return { ...message, usage: { ...usage, service_tier: 'batch' } };
};

const resultOf = (done: Worked): object => {
  if (done.ended === 'succeeded') return { type: 'succeeded', message: inBatch(done.text) };
  if (done.ended !== 'errored') return { type: done.ended };
  const error = { type: 'invalid_request_error', message: 'The sandbox cannot do this request.' };
  return { type: 'errored', error: { type: 'error', error, request_id: done.requestId } };
};

const countsOf = (worked: readonly Worked[]) => {
  const counts = { processing: 0, succeeded: 0, errored: 0, canceled: 0, expired: 0 };
  for (const { ended } of worked) counts[ended] += 1;
  return counts;
};

const create = (house: House, asked: Record<string, unknown>): object | null => {
  const requests = Array.isArray(asked['requests']) ? asked['requests'] : [];
  if (requests.length === 0 || !requests.every(isRecord)) return null;
  const worked = requests.map(({ params }) =>
    work(house, MESSAGES, {
      requestId: house.ids.letters('req_011C'),
      body: isRecord(params) ? params : {},
    }),
  );
  const lines = worked.map((done, at) =>
    JSON.stringify({ custom_id: requests[at]?.['custom_id'], result: resultOf(done) }),
  );
  const id = house.ids.letters('msgbatch_01');
  const atMs = house.now();
  const at = new Date(atMs).toISOString();
  const job = {
    id,
    type: 'message_batch',
    processing_status: 'in_progress',
    request_counts: { ...countsOf([]), processing: requests.length },
    created_at: at,
    expires_at: new Date(atMs + 86_400_000).toISOString(),
    ended_at: null,
    cancel_initiated_at: null,
    archived_at: null,
    results_url: null,
  };
  // Results come in no promised order: here in the opposite one.
  const results = `${lines.reverse().join('\n')}\n`;
  keep(batchesOf(house), id, { job, counts: countsOf(worked), endedAt: at, results, looks: 0 });
  return job;
};

const look = (batch: MessageBatch, url: string): object => {
  batch.looks += 1;
  if (batch.looks <= LOOKS) return batch.job;
  return {
    ...batch.job,
    processing_status: 'ended',
    request_counts: batch.counts,
    ended_at: batch.endedAt,
    results_url: `${url}/results`,
  };
};

/** Whether a path belongs to Anthropic's message batches. */
export const isMessageBatches = (path: string): boolean =>
  /^\/anthropic\/v1\/messages\/batches(\/|$)/.test(path);

/** Makes a batch, says how it is, gives its results: JSON text or lines of it; null: no such thing, or a request without any. */
export const answerMessageBatches = async (
  house: House,
  req: IncomingMessage,
  path: string,
): Promise<string | null> => {
  const [id = '', part] = path.slice(BATCHES.length + 1).split('/');
  const body = req.method === 'POST' ? await readBody(req) : '';
  if (typeof body !== 'string') return null;
  if (req.method === 'POST' && id === '') {
    const made = create(house, record(body));
    return made === null ? null : JSON.stringify(made);
  }
  const batch = batchesOf(house).get(id);
  if (req.method !== 'GET' || !batch) return null;
  if (part !== 'results')
    return JSON.stringify(
      look(batch, `https://api.anthropic.com${path.slice('/anthropic'.length)}`),
    );
  return batch.looks > LOOKS ? batch.results : null;
};
