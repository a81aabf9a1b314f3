import Stripe from 'stripe';
import { ReckonerError } from '../platform/errors.ts';
import type { MeterDestination, MeterEvent, SendOutcome, SumQuery } from './meter-destination.ts';

export interface StripeAccess {
  apiKey: string;
  /** Another host than Stripe's own, for a sandbox. */
  baseUrl?: string;
  /** Name of the account in the outbox, for houses with several of one mode. */
  account?: string;
  timeoutMs?: number;
}

const CALL_TIMEOUT_MS = 10_000;
const PAGES_MAX = 20;
const PAGE_ITEMS = 100;

type Meter = Stripe.Billing.Meter;

/** Names the account without asking: the host and the mode of the key. A rotated key keeps it, another mode changes it. */
export const stripeAccountName = (access: StripeAccess): string => {
  if (access.account !== undefined) return access.account;
  const host = access.baseUrl === undefined ? 'api.stripe.com' : new URL(access.baseUrl).hostname;
  const mode = /^(?:sk|rk)_(live|test)_/.exec(access.apiKey)?.[1] ?? 'key';
  return `${host}/${mode}`;
};

const createClient = (access: StripeAccess): Stripe => {
  const url = access.baseUrl === undefined ? null : new URL(access.baseUrl);
  return new Stripe(access.apiKey, {
    // Retrying is decided from the outbox, where an unknown outcome has a name. A closed connection the client repeats once all
    // the same, under an idempotency key.
    maxNetworkRetries: 0,
    timeout: access.timeoutMs ?? CALL_TIMEOUT_MS,
    telemetry: false,
    ...(url === null
      ? {}
      : {
          protocol: url.protocol === 'http:' ? 'http' : 'https',
          host: url.hostname,
          port: url.port === '' ? (url.protocol === 'http:' ? 80 : 443) : url.port,
        }),
  });
};

const retryAfterMs = (error: Stripe.errors.StripeError): number | null => {
  const header = error.headers?.['retry-after'];
  return header !== undefined && /^\d{1,5}$/.test(header) ? Number(header) * 1000 : null;
};

/**
 * Sorts what a call threw. Stripe answers a repeat with 400 "An event already exists with identifier …": proof of delivery.
 * A refusal is told by its codes; Stripe's texts may quote what was sent.
 */
export const outcomeOf = (error: unknown): SendOutcome => {
  if (!(error instanceof Stripe.errors.StripeError)) {
    return { kind: 'unknown', reason: 'the call broke before an answer' };
  }
  const status = error.statusCode;
  const code = error.code ?? error.rawType ?? 'no code';
  if (status === undefined) return { kind: 'unknown', reason: `no answer (${error.type})` };
  if (status === 429) return { kind: 'rate_limited', retryAfterMs: retryAfterMs(error) };
  if (status === 401 || status === 403)
    return { kind: 'not_authorised', reason: `${status} ${code}` };
  if (code === 'duplicate_meter_event' || /already exists with identifier/i.test(error.message)) {
    return { kind: 'delivered', duplicate: true };
  }
  // 409 and 5xx say nothing about whether the event was taken.
  if (status === 409 || status >= 500) return { kind: 'unknown', reason: `${status} ${code}` };
  return { kind: 'refused', reason: `${status} ${code}${error.param ? ` (${error.param})` : ''}` };
};

const failure = (what: string, error: unknown): ReckonerError => {
  const outcome = outcomeOf(error);
  const reason = 'reason' in outcome ? outcome.reason : outcome.kind;
  return new ReckonerError(
    'PUSH_FAILED',
    `Stripe did not answer the request for ${what}: ${reason}. Check the API key, its permission to read and write meters, and the network, then run it again; nothing is sent twice.`,
    { retryable: outcome.kind === 'unknown' || outcome.kind === 'rate_limited' },
  );
};

const listMeters = async (client: Stripe): Promise<Map<string, Meter>> => {
  const meters = new Map<string, Meter>();
  let after: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const list = await client.billing.meters.list({
      status: 'active',
      limit: PAGE_ITEMS,
      ...(after === undefined ? {} : { starting_after: after }),
    });
    for (const meter of list.data) meters.set(meter.event_name, meter);
    after = list.data.at(-1)?.id;
    if (!list.has_more || after === undefined) break;
  }
  return meters;
};

/** What is wrong with a meter for our events, or null. A pre-aggregating meter overwrites instead of adding up. */
const problemOf = (name: string, meter: Meter | undefined): string | null => {
  if (!meter) return `there is no active meter with event_name ${name}; create one that sums`;
  const formula: string = meter.default_aggregation.formula;
  if (formula !== 'sum') return `meter ${name} has formula ${formula}; create one that sums`;
  if (meter.event_time_window) {
    return `meter ${name} pre-aggregates by ${meter.event_time_window}, so that the last event overwrites; create one without event_time_window`;
  }
  return null;
};

const sumSummaries = async (client: Stripe, meterId: string, query: SumQuery): Promise<bigint> => {
  let sum = 0n;
  let after: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const list = await client.billing.meters.listEventSummaries(meterId, {
      customer: query.customer,
      start_time: query.startSeconds,
      end_time: query.endSeconds,
      limit: PAGE_ITEMS,
      ...(after === undefined ? {} : { starting_after: after }),
    });
    for (const { aggregated_value: value } of list.data) {
      if (!Number.isSafeInteger(value)) {
        throw new ReckonerError(
          'PUSH_FAILED',
          `Stripe's sum ${value} for meter ${query.eventName} is not a whole number that can be compared exactly. Something else writes to this meter; give Reckoner one of its own.`,
        );
      }
      sum += BigInt(value);
    }
    after = list.data.at(-1)?.id;
    if (!list.has_more || after === undefined) return sum;
  }
  throw new ReckonerError(
    'PUSH_FAILED',
    `Stripe has more than ${PAGES_MAX * PAGE_ITEMS} summaries for meter ${query.eventName} in one period, where one a customer was expected. Look at the meter in the Stripe dashboard.`,
  );
};

/** Stripe Billing Meters. The payload keys are the meter's own. */
export const createStripeDestination = (access: StripeAccess): MeterDestination => {
  const client = createClient(access);
  let meters: Promise<Map<string, Meter>> | null = null;
  const allMeters = (fresh: boolean): Promise<Map<string, Meter>> => {
    if (meters === null || fresh) {
      meters = listMeters(client).catch((error: unknown) => {
        meters = null;
        throw failure('its list of meters', error);
      });
    }
    return meters;
  };
  const meterOf = async (eventName: string): Promise<Meter> => {
    const meter = (await allMeters(false)).get(eventName) ?? (await allMeters(true)).get(eventName);
    const problem = problemOf(eventName, meter);
    if (!meter || problem) throw new ReckonerError('PUSH_FAILED', `In Stripe ${problem}.`);
    return meter;
  };
  return {
    kind: 'stripe',
    account: stripeAccountName(access),
    checkMeters: async (eventNames) => {
      const known = await allMeters(true);
      const problems = eventNames.flatMap((name) => problemOf(name, known.get(name)) ?? []);
      if (problems.length > 0) {
        throw new ReckonerError(
          'PUSH_FAILED',
          `Nothing was sent. In Stripe ${problems.join('; ')}.`,
        );
      }
    },
    send: async (event: MeterEvent): Promise<SendOutcome> => {
      const meter = await meterOf(event.eventName);
      try {
        await client.billing.meterEvents.create({
          event_name: event.eventName,
          identifier: event.identifier,
          timestamp: event.timestampSeconds,
          payload: {
            [meter.customer_mapping.event_payload_key]: event.customer,
            [meter.value_settings.event_payload_key]: event.value,
          },
        });
        return { kind: 'delivered', duplicate: false };
      } catch (error) {
        return outcomeOf(error);
      }
    },
    readSum: async (query) => {
      const meter = await meterOf(query.eventName);
      try {
        return await sumSummaries(client, meter.id, query);
      } catch (error) {
        throw error instanceof ReckonerError ? error : failure('event summaries', error);
      }
    },
  };
};
