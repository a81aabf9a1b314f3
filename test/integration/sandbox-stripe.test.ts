import Stripe from 'stripe';
import { expect, it, onTestFinished, vi } from 'vitest';
import { type Sandbox, startSandbox } from '../../services/sandbox/main.ts';

const HOUR_S = 3_600;
const nowS = () => Math.floor(Date.now() / 1000);

const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const each of source) all.push(each);
  return all;
};

const start = async (): Promise<{ sandbox: Sandbox; stripe: Stripe }> => {
  const sandbox = await startSandbox({ stripeMeters: ['micros'] });
  onTestFinished(() => sandbox.close());
  const { hostname, port } = new URL(sandbox.stripeUrl);
  const stripe = new Stripe('sk_test_any', {
    host: hostname,
    port,
    protocol: 'http',
    maxNetworkRetries: 0,
    telemetry: false,
  });
  return { sandbox, stripe };
};

const turn = async (sandbox: Sandbox, knobs: object): Promise<void> => {
  const response = await fetch(`${sandbox.url}/sandbox/stripe`, {
    method: 'POST',
    body: JSON.stringify(knobs),
  });
  expect(response.status).toBe(200);
};

const stateOf = async (sandbox: Sandbox): Promise<unknown> =>
  (await fetch(`${sandbox.url}/sandbox/stripe`)).json();

const event = (identifier: string, value: string, customer = 'cus_a') => ({
  event_name: 'micros',
  identifier,
  payload: { stripe_customer_id: customer, value },
  timestamp: nowS(),
});

const meterId = async (stripe: Stripe): Promise<string> => {
  const meters = await collect(stripe.billing.meters.list());
  const meter = meters.find(({ event_name }) => event_name === 'micros');
  if (meter === undefined) throw new Error('the meter is missing');
  return meter.id;
};

const sumOf = async (stripe: Stripe, customer = 'cus_a'): Promise<number> => {
  const hour = Math.floor(nowS() / HOUR_S) * HOUR_S;
  const summaries = stripe.billing.meters.listEventSummaries(await meterId(stripe), {
    customer,
    start_time: hour - 2 * HOUR_S,
    end_time: hour + HOUR_S,
    value_grouping_window: 'hour',
    limit: 1,
  });
  return (await collect(summaries)).reduce((sum, each) => sum + each.aggregated_value, 0);
};

it('takes events of the real client and shows them a moment later', async () => {
  const { sandbox, stripe } = await start();
  await turn(sandbox, { delay_ms: 60_000 });
  const { object, identifier } = await stripe.billing.meterEvents.create(event('a', '1500000'));
  expect([object, identifier]).toEqual(['billing.meter_event', 'a']);
  expect(await sumOf(stripe)).toBe(0);
  await turn(sandbox, { delay_ms: 20 });
  await stripe.billing.meterEvents.create({
    ...event('b', '-300000'),
    timestamp: nowS() - HOUR_S,
  });
  // The first event still hides behind its minute of delay; the correction shows, in the hour before.
  await vi.waitFor(async () => expect(await sumOf(stripe)).toBe(-300_000));
});

it('refuses a repeated identifier with a message and no code', async () => {
  const { stripe } = await start();
  await stripe.billing.meterEvents.create(event('a', '5'));
  await expect(stripe.billing.meterEvents.create(event('a', '5'))).rejects.toMatchObject({
    statusCode: 400,
    rawType: 'invalid_request_error',
    code: undefined,
    message: 'An event already exists with identifier a.',
  });
  await vi.waitFor(async () => expect(await sumOf(stripe)).toBe(5));
});

it('refuses fractions and times out of range', async () => {
  const { stripe } = await start();
  await expect(stripe.billing.meterEvents.create(event('a', '1.5'))).rejects.toMatchObject({
    code: 'meter_event_invalid_value',
  });
  const late = { ...event('b', '1'), timestamp: nowS() - 36 * 24 * HOUR_S };
  await expect(stripe.billing.meterEvents.create(late)).rejects.toMatchObject({
    code: 'timestamp_too_far_in_past',
  });
  const early = { ...event('c', '1'), timestamp: nowS() + 400 };
  await expect(stripe.billing.meterEvents.create(early)).rejects.toMatchObject({
    code: 'timestamp_in_future',
  });
});

it('loses an answer, not the event: sent anew, it is already there', async () => {
  const { sandbox, stripe } = await start();
  // The client repeats a closed connection by itself, under its idempotency key: two answers must be lost to lose the call.
  await turn(sandbox, { lose_next_answers: 2 });
  await expect(stripe.billing.meterEvents.create(event('a', '5'))).rejects.toMatchObject({
    type: 'StripeConnectionError',
  });
  await expect(stripe.billing.meterEvents.create(event('a', '5'))).rejects.toThrow(
    'already exists',
  );
  expect(await stateOf(sandbox)).toMatchObject({ accepted: 1, duplicates: 1 });
  await vi.waitFor(async () => expect(await sumOf(stripe)).toBe(5));
});

it('gives the same answer again under the same idempotency key', async () => {
  const { sandbox, stripe } = await start();
  const options = { idempotencyKey: 'once' };
  const same = event('a', '5');
  await stripe.billing.meterEvents.create(same, options);
  const { identifier } = await stripe.billing.meterEvents.create(same, options);
  expect(identifier).toBe('a');
  expect(await stateOf(sandbox)).toMatchObject({ accepted: 1, duplicates: 0 });
});

it('limits the rate when told to', async () => {
  const { sandbox, stripe } = await start();
  await turn(sandbox, { rate_limit_next: 1 });
  await expect(stripe.billing.meterEvents.create(event('a', '5'))).rejects.toMatchObject({
    type: 'StripeRateLimitError',
    statusCode: 429,
  });
  await stripe.billing.meterEvents.create(event('a', '5'));
  expect(await stateOf(sandbox)).toMatchObject({ accepted: 1 });
});

it('accepts an unknown customer and tells of it only afterwards', async () => {
  const { sandbox, stripe } = await start();
  await turn(sandbox, { customers: ['cus_a'] });
  await stripe.billing.meterEvents.create(event('a', '5', 'cus_stranger'));
  expect(await stateOf(sandbox)).toMatchObject({
    accepted: 1,
    async_errors: { meter_event_customer_not_found: 1 },
  });
  expect(await sumOf(stripe, 'cus_stranger')).toBe(0);
});

it('creates meters as the real one does, one for an event name', async () => {
  const { stripe } = await start();
  const meter = await stripe.billing.meters.create({
    display_name: 'Tokens',
    event_name: 'tokens',
    default_aggregation: { formula: 'sum' },
  });
  expect(await stripe.billing.meters.retrieve(meter.id)).toMatchObject({ event_name: 'tokens' });
  await expect(stripe.billing.meters.retrieve('mtr_none')).rejects.toMatchObject({
    code: 'resource_missing',
  });
});
