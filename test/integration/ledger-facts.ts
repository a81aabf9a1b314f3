import { encodeEnvelope } from '../../schemas/envelope.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import type { LogEntry } from '../../services/platform/event-log.ts';

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** A valid UUIDv7 made of a space and a number, so that tests can name their facts. */
export const uuid = (space: number, number: number): string =>
  `0199${hex(space, 4)}-${hex(Math.floor(number / 4096) % 65536, 4)}-7${hex(number % 4096, 3)}-8000-${hex(number, 12)}`;

export const BOOT = uuid(0xb007, 1);

export interface FactOptions {
  tenant: string;
  /** Numbers the fact inside its tenant; also its sequence. */
  number: number;
  /** Keeps ids of different tests apart. */
  space: number;
  eventTs?: string;
  outputTokens?: string;
  feature?: string;
  model?: string;
  boot?: string;
}

export const usageEvent = (options: FactOptions): UsageEvent => {
  const eventTs = options.eventTs ?? '2026-11-21T20:15:00.123Z';
  return {
    request_id: uuid(options.space + 1, options.number),
    attempt_id: uuid(options.space + 2, options.number),
    attempt_number: 1,
    attempt_role: 'primary',
    event_id: uuid(options.space, options.number),
    event_ts: eventTs,
    proxy_id: `proxy-${options.tenant}`,
    boot_id: options.boot ?? BOOT,
    key_id: 'key-1',
    credential_pool_id: 'pool-1',
    byo_key: false,
    upstream: 'openai',
    provider: 'openai',
    flavour: 'openai.chat',
    requested_model: 'gpt-5-mini',
    streamed: true,
    dimensions: {
      tenant: options.tenant,
      ...(options.feature === undefined ? {} : { feature: options.feature }),
    },
    tags: { ring: 'outer' },
    sequence: options.number,
    closed_at: eventTs,
    duration_ms: 840,
    ttft_ms: 120,
    http_status: 200,
    finish_reason: 'stop',
    ending: 'reported',
    model: options.model ?? 'gpt-5-mini-2025-08-07',
    tier: 'default',
    classes: { input_uncached: '1000', output_text: options.outputTokens ?? '200' },
    units: {},
    raw_usage: '{"prompt_tokens":1000, "completion_tokens":200, "mark":"\u00e9\u{1f9ee}\\u0000"}',
  };
};

/** Price of 1 input token: 0.00000025 USD; of 1 output token: 0.000002 USD. */
const INPUT_PRICE = '0.00000025';
const OUTPUT_PRICE = '0.000002';

const product = (quantity: string, price: string, places: number): string => {
  const units = BigInt(quantity) * BigInt(price.replace('.', '').replace(/^0+/, ''));
  const negative = units < 0n;
  const digits = (negative ? -units : units).toString().padStart(places + 1, '0');
  return `${negative ? '-' : ''}${digits.slice(0, -places)}.${digits.slice(-places)}`;
};

const plus = (a: string, b: string): string => {
  const scaled = (text: string) => {
    const [whole = '0', fraction = ''] = text.split('.');
    return BigInt(whole + fraction.padEnd(18, '0'));
  };
  const total = scaled(a) + scaled(b);
  const negative = total < 0n;
  const digits = (negative ? -total : total).toString().padStart(19, '0');
  return `${negative ? '-' : ''}${digits.slice(0, -18)}.${digits.slice(-18)}`;
};

/** The rating of an event: 1000 x 0.00000025 + output x 0.000002; 0.00065 USD with 200 output tokens. */
export const ratedUsage = (
  event: UsageEvent,
  step: { revision?: number; kind?: 'charge' | 'reversal'; unrated?: boolean } = {},
): RatedUsage => {
  const revision = step.revision ?? 1;
  const kind = step.kind ?? 'charge';
  const sign = kind === 'reversal' ? '-' : '';
  const model = event.model ?? 'unknown';
  const input = `${sign}${event.classes.input_uncached}`;
  const output = `${sign}${event.classes.output_text}`;
  const amounts = [product(input, INPUT_PRICE, 8), product(output, OUTPUT_PRICE, 6)] as const;
  const charges: RatedUsage['charges'] = [
    {
      meter: 'input_uncached',
      model,
      quantity: input,
      unit_price: INPUT_PRICE,
      amount_usd: amounts[0],
      price_id: 'p/in',
    },
    {
      meter: 'output_text',
      model,
      quantity: output,
      unit_price: OUTPUT_PRICE,
      amount_usd: amounts[1],
      price_id: 'p/out',
    },
  ];
  return {
    entry_id: `${event.event_id}/${revision}/${kind}`,
    event_id: event.event_id,
    revision,
    kind,
    attempt_id: event.attempt_id,
    request_id: event.request_id,
    event_ts: event.event_ts,
    closed_at: event.closed_at,
    period: event.event_ts.slice(0, 7),
    posting_period: event.event_ts.slice(0, 7),
    proxy_id: event.proxy_id,
    boot_id: event.boot_id,
    sequence: event.sequence,
    provider: event.provider,
    upstream: event.upstream,
    model,
    tier: 'default',
    ending: event.ending,
    key_id: event.key_id,
    credential_pool_id: event.credential_pool_id,
    byo_key: event.byo_key,
    dimensions: event.dimensions,
    tags: event.tags,
    ...(step.unrated
      ? { outcome: 'unrated', unrated_reason: 'unknown_model', charges: [] }
      : { outcome: 'rated', book: 'openai@1', charges, total_usd: plus(amounts[0], amounts[1]) }),
  };
};

export const usageEntry = (event: UsageEvent): LogEntry => ({
  topic: TOPICS.usageEvents.name,
  key: event.dimensions.tenant,
  value: encodeEnvelope(
    'usageEvent',
    {
      id: event.event_id,
      source: `/proxy/${event.proxy_id}`,
      subject: event.dimensions.tenant,
      time: event.event_ts,
    },
    event,
  ),
});

export const ratedEntry = (rated: RatedUsage): LogEntry => ({
  topic: TOPICS.usageRated.name,
  key: rated.dimensions.tenant,
  value: encodeEnvelope(
    'ratedUsage',
    {
      id: rated.entry_id,
      source: '/rater',
      subject: rated.dimensions.tenant,
      time: rated.event_ts,
    },
    rated,
  ),
});
