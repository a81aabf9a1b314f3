import { type Endpoint, isRecord, isRefusal } from './dialect.ts';
import { DirectiveError, findDirective, splitCounts } from './directive.ts';
import { Generation } from './generation.ts';
import { findBatchModel, findModel } from './price-list.ts';
import type { House } from './provider-call.ts';

const KEPT_MAX = 1_000;
/** A batch or response is done when it is looked at oftener than that. */
export const LOOKS = 2;

/** Keeps a thing, and forgets the oldest for it. */
export const keep = <Value>(map: Map<string, Value>, id: string, value: Value): void => {
  const [oldest] = map.keys();
  if (map.size >= KEPT_MAX && oldest !== undefined) map.delete(oldest);
  map.set(id, value);
};

/** A JSON object; an empty one where the text is none. */
export const record = (text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
};

/** How one request of a batch ended; only what succeeded is billed. */
export type Worked = { requestId: string } & (
  | { ended: 'succeeded'; text: string }
  | { ended: 'errored' | 'expired' | 'canceled' }
);

const plan = (endpoint: Endpoint, body: Record<string, unknown>) => {
  const request = endpoint.parse(body);
  if (isRefusal(request)) return null;
  const model = findModel(endpoint.provider, request.modelName);
  const sale = findBatchModel(endpoint.provider, request.modelName);
  if (model === undefined || sale === undefined) return null;
  try {
    const directive = findDirective(request.directiveText);
    if (directive?.status !== undefined) return null;
    const counts = splitCounts(sale, request.size, directive);
    return { request, model, sale, counts, ends: directive?.ends };
  } catch (error) {
    if (error instanceof DirectiveError) return null;
    throw error;
  }
};

/** Works one request of a batch through and puts it on the bill. What was never begun is not an attempt. */
export const work = (
  house: House,
  endpoint: Endpoint,
  { requestId, body }: { requestId: string; body: Record<string, unknown> },
): Worked => {
  const atMs = house.now();
  const planned = plan(endpoint, body);
  if (planned?.ends !== undefined) return { requestId, ended: planned.ends };
  const note = { provider: endpoint.provider, requestId, atMs } as const;
  house.book.open();
  if (planned === null) {
    house.book.close({ ...note, model: null, status: 400, counts: null, ended: 'refused' });
    return { requestId, ended: 'errored' };
  }
  const generation = new Generation(planned.model, planned.counts);
  const text = endpoint.json({ generation, request: planned.request, ids: house.ids, atMs });
  const counts = generation.counts();
  house.book.close({ ...note, model: planned.sale.model, status: 200, counts, ended: 'complete' });
  return { requestId, ended: 'succeeded', text };
};
