import type { IncomingMessage, ServerResponse } from 'node:http';
import { isRecord } from './dialect.ts';
import { type House, readBody } from './provider-call.ts';
import { atMost100, required, seconds, wholeValue } from './stripe-form.ts';
import { type Meter, type MeterEvent, type StripeMeters, StripeRefusal } from './stripe-meters.ts';

/** What a test may order. Counters go down by one with every answer they spoil. */
export interface StripeKnobs {
  loseNextAnswers: number;
  rateLimitNext: number;
}

export interface StripeDesk {
  readonly meters: StripeMeters;
  readonly knobs: StripeKnobs;
  /** Answers of successful posts by idempotency key, as the real one keeps them. */
  readonly replays: Map<string, { request: string; answer: string }>;
}

const MAX_REPLAYS = 10_000;
const WINDOWS: Readonly<Record<string, number>> = { hour: 3600, day: 86_400 };

const meterObject = (meter: Meter) => ({
  id: meter.id,
  object: 'billing.meter',
  created: Math.floor(meter.createdAtMs / 1000),
  customer_mapping: { event_payload_key: 'stripe_customer_id', type: 'by_id' },
  default_aggregation: { formula: 'sum' },
  display_name: meter.eventName,
  event_name: meter.eventName,
  event_time_window: null,
  livemode: false,
  status: 'active',
  status_transitions: { deactivated_at: null },
  updated: Math.floor(meter.createdAtMs / 1000),
  value_settings: { event_payload_key: 'value' },
});

interface ListEntry {
  readonly id: string;
  readonly json: string;
}

/** One page of a list, after the cursor. Numbers are written from BigInt digits, so entries come as JSON text. */
const page = (url: string, entries: readonly ListEntry[], query: URLSearchParams): string => {
  const limit = Math.min(Math.max(seconds('limit', query.get('limit') ?? '10'), 1), 100);
  const after = query.get('starting_after');
  const from = after === null ? 0 : entries.findIndex(({ id }) => id === after) + 1;
  const data = entries.slice(from, from + limit).map(({ json }) => json);
  const more = entries.length > from + limit;
  return `{"object":"list","data":[${data.join(',')}],"has_more":${more},"url":"${url}"}`;
};

const createEvent = (desk: StripeDesk, house: House, form: URLSearchParams): string => {
  const nowMs = house.now();
  const nowS = Math.floor(nowMs / 1000);
  const timestamp = form.get('timestamp');
  const event: MeterEvent = {
    eventName: atMost100('event_name', required(form, 'event_name')),
    identifier: atMost100('identifier', form.get('identifier') ?? house.ids.hex('auto_')),
    customer: required(form, 'payload[stripe_customer_id]'),
    value: wholeValue(required(form, 'payload[value]')),
    timestampS: timestamp === null ? nowS : seconds('timestamp', timestamp),
  };
  desk.meters.accept(event, nowMs);
  return JSON.stringify({
    object: 'billing.meter_event',
    created: nowS,
    event_name: event.eventName,
    identifier: event.identifier,
    livemode: false,
    payload: { stripe_customer_id: event.customer, value: `${event.value}` },
    timestamp: event.timestampS,
  });
};

const createMeter = (desk: StripeDesk, house: House, form: URLSearchParams): string => {
  const formula = required(form, 'default_aggregation[formula]');
  if (formula !== 'sum') throw new StripeRefusal(400, 'This sandbox has only meters that sum.');
  const eventName = atMost100('event_name', required(form, 'event_name'));
  return JSON.stringify(meterObject(desk.meters.addMeter(eventName, house.now())));
};

const listSummaries = (
  desk: StripeDesk,
  house: House,
  meterId: string,
  query: URLSearchParams,
): string => {
  const window = query.get('value_grouping_window');
  const windowS = window === null ? undefined : WINDOWS[window];
  if (window !== null && windowS === undefined) {
    throw new StripeRefusal(400, 'Invalid value_grouping_window: must be one of day or hour', {
      param: 'value_grouping_window',
    });
  }
  const summaries = desk.meters.summaries(
    {
      meterId,
      customer: required(query, 'customer'),
      startS: seconds('start_time', required(query, 'start_time')),
      endS: seconds('end_time', required(query, 'end_time')),
      windowS,
    },
    house.now(),
  );
  const entries = summaries.map(({ startS, endS, total }) => {
    const id = `mtrusg_${meterId}_${startS}`;
    return {
      id,
      json: `{"id":"${id}","object":"billing.meter_event_summary","aggregated_value":${total},"end_time":${endS},"livemode":false,"meter":"${meterId}","start_time":${startS}}`,
    };
  });
  return page(`/v1/billing/meters/${meterId}/event_summaries`, entries, query);
};

const read = (desk: StripeDesk, house: House, path: string, query: URLSearchParams): string => {
  if (path === '/v1/billing/meters') {
    const entries = desk.meters
      .meters()
      .map((meter) => ({ id: meter.id, json: JSON.stringify(meterObject(meter)) }));
    return page(path, entries, query);
  }
  const [, meterId, rest] =
    /^\/v1\/billing\/meters\/([\w-]+)(\/event_summaries)?$/.exec(path) ?? [];
  if (meterId === undefined) throw unknownPath(path);
  if (rest !== undefined) return listSummaries(desk, house, meterId, query);
  return JSON.stringify(meterObject(desk.meters.meterById(meterId)));
};

const unknownPath = (path: string): StripeRefusal =>
  new StripeRefusal(404, `Unrecognized request URL (${path}).`);

const write = (desk: StripeDesk, house: House, path: string, body: string): string => {
  const form = new URLSearchParams(body);
  if (path === '/v1/billing/meter_events') return createEvent(desk, house, form);
  if (path === '/v1/billing/meters') return createMeter(desk, house, form);
  throw unknownPath(path);
};

/** A post under a known idempotency key gets the first answer again; the same key with other words is refused. */
const writeOnce = (
  desk: StripeDesk,
  house: House,
  post: { path: string; body: string; key: string | undefined },
): { answer: string; replayed: boolean } => {
  const request = `${post.path}\n${post.body}`;
  const known = post.key === undefined ? undefined : desk.replays.get(post.key);
  if (known !== undefined) {
    if (known.request === request) return { answer: known.answer, replayed: true };
    throw new StripeRefusal(
      400,
      'Keys for idempotent requests can only be used with the same parameters they were first used with.',
    );
  }
  const answer = write(desk, house, post.path, post.body);
  if (post.key !== undefined) {
    if (desk.replays.size >= MAX_REPLAYS) {
      const [oldest = ''] = desk.replays.keys();
      desk.replays.delete(oldest);
    }
    desk.replays.set(post.key, { request, answer });
  }
  return { answer, replayed: false };
};

const errorBody = (refusal: StripeRefusal): string =>
  JSON.stringify({
    error: {
      ...(refusal.code === undefined ? {} : { code: refusal.code }),
      message: refusal.message,
      ...(refusal.param === undefined ? {} : { param: refusal.param }),
      type: 'invalid_request_error',
    },
  });

const checkGate = (desk: StripeDesk, req: IncomingMessage): void => {
  if (!/^(Bearer|Basic)\s+\S/i.test(req.headers.authorization ?? '')) {
    throw new StripeRefusal(401, 'You did not provide an API key.');
  }
  if (desk.knobs.rateLimitNext > 0) {
    desk.knobs.rateLimitNext -= 1;
    throw new StripeRefusal(429, 'Request rate limit exceeded.', { code: 'rate_limit' });
  }
};

/** Answers one call under `/v1/billing`; `path` begins there. Never rejects. */
export const answerStripe = async (
  desk: StripeDesk,
  house: House,
  call: { req: IncomingMessage; res: ServerResponse; path: string; query: URLSearchParams },
): Promise<void> => {
  const { req, res, path, query } = call;
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'request-id': house.ids.letters('req_'),
  };
  const body = await readBody(req);
  try {
    checkGate(desk, req);
    if (typeof body !== 'string') throw new StripeRefusal(body.status, body.message);
    const key = req.headers['idempotency-key']?.toString();
    const { answer, replayed } =
      req.method === 'POST'
        ? writeOnce(desk, house, { path, body, key })
        : { answer: read(desk, house, path, query), replayed: false };
    if (req.method === 'POST' && desk.knobs.loseNextAnswers > 0) {
      desk.knobs.loseNextAnswers -= 1;
      res.destroy();
      return;
    }
    if (replayed) headers['idempotent-replayed'] = 'true';
    res.writeHead(200, headers).end(answer);
  } catch (error) {
    if (!(error instanceof StripeRefusal)) throw error;
    if (error.status === 429) headers['stripe-rate-limited-reason'] = 'global-rate';
    else headers['stripe-should-retry'] = 'false';
    res.writeHead(error.status, headers).end(errorBody(error));
  }
};

const countOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;

const textsOf = (value: unknown): string[] | undefined =>
  Array.isArray(value) && value.every((text) => typeof text === 'string') ? value : undefined;

/** Turns the knobs `{ delay_ms, lose_next_answers, rate_limit_next, meters, customers }`; what is absent stays as it is. */
export const turnStripeKnobs = (desk: StripeDesk, wanted: unknown, nowMs: number): void => {
  if (!isRecord(wanted)) return;
  desk.meters.delayMs = countOf(wanted['delay_ms']) ?? desk.meters.delayMs;
  desk.knobs.loseNextAnswers = countOf(wanted['lose_next_answers']) ?? desk.knobs.loseNextAnswers;
  desk.knobs.rateLimitNext = countOf(wanted['rate_limit_next']) ?? desk.knobs.rateLimitNext;
  for (const eventName of textsOf(wanted['meters']) ?? []) desk.meters.addMeter(eventName, nowMs);
  const customers = textsOf(wanted['customers']);
  if (customers !== undefined) desk.meters.customers = new Set(customers);
  if (wanted['customers'] === null) desk.meters.customers = null;
};
