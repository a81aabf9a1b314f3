import { describe, expect, it } from 'vitest';
import { type MeterEvent, StripeMeters } from '../../../services/sandbox/stripe-meters.ts';

const NOW_MS = Date.UTC(2026, 10, 21, 12, 0, 30);
const NOON_S = Date.UTC(2026, 10, 21, 12) / 1000;
const HOUR_S = 3_600;
const DAY_S = 86_400;

const event = (rest: Partial<MeterEvent> = {}): MeterEvent => ({
  eventName: 'micros',
  identifier: 'a',
  customer: 'cus_a',
  value: 5n,
  timestampS: NOON_S,
  ...rest,
});

const metersWith = (...events: MeterEvent[]): { meters: StripeMeters; meterId: string } => {
  const meters = new StripeMeters();
  const { id } = meters.addMeter('micros', NOW_MS);
  for (const each of events) meters.accept(each, NOW_MS);
  return { meters, meterId: id };
};

const range = { customer: 'cus_a', startS: NOON_S - DAY_S, endS: NOON_S + DAY_S };

describe('the pretend Stripe meters', () => {
  it('show an event in the totals only after the delay', () => {
    const { meters, meterId } = metersWith(event());
    const query = { ...range, meterId, windowS: undefined };
    expect(meters.summaries(query, NOW_MS + 149)).toEqual([]);
    expect(meters.summaries(query, NOW_MS + 150)).toEqual([
      { startS: range.startS, endS: range.endS, total: 5n },
    ]);
  });

  it('refuse an identifier again for 24 hours and not longer', () => {
    const { meters } = metersWith(event());
    const later = { timestampS: NOON_S + DAY_S };
    expect(() => meters.accept(event(), NOW_MS + 1)).toThrow(
      'An event already exists with identifier a.',
    );
    expect(() => meters.accept(event(later), NOW_MS + DAY_S * 1000 - 1)).toThrow('already exists');
    meters.accept(event(later), NOW_MS + DAY_S * 1000);
    expect(meters.state(NOW_MS)).toMatchObject({ accepted: 2, duplicates: 2 });
  });

  it('refuse events older than 35 days or more than 5 minutes ahead', () => {
    const { meters } = metersWith();
    const at = (offsetS: number, identifier: string) =>
      event({ identifier, timestampS: NOW_MS / 1000 + offsetS });
    meters.accept(at(-35 * DAY_S, 'b'), NOW_MS);
    meters.accept(at(300, 'c'), NOW_MS);
    expect(() => meters.accept(at(-35 * DAY_S - 1, 'd'), NOW_MS)).toThrow('35 calendar days');
    expect(() => meters.accept(at(301, 'e'), NOW_MS)).toThrow('5 minutes');
  });

  it('accept events of strangers and of no meter, and lose them with a code', () => {
    const { meters, meterId } = metersWith(
      event({ identifier: 'b', customer: 'nobody' }),
      event({ identifier: 'c', eventName: 'unheard-of' }),
    );
    expect(meters.state(NOW_MS + 200)).toEqual({
      accepted: 2,
      duplicates: 0,
      pending: 0,
      async_errors: { meter_event_customer_not_found: 1, no_meter: 1 },
    });
    const query = { ...range, customer: 'nobody', meterId, windowS: undefined };
    expect(meters.summaries(query, NOW_MS + 200)).toEqual([]);
  });

  it('group by hour, newest first, and leave other customers out', () => {
    const { meters, meterId } = metersWith(
      event({ identifier: 'b', value: 7n }),
      event({ identifier: 'c', value: -2n, timestampS: NOON_S + 59 }),
      event({ identifier: 'd', value: 11n, timestampS: NOON_S - HOUR_S }),
      event({ identifier: 'e', value: 100n, customer: 'cus_b' }),
    );
    // 12:00 holds 7 - 2 = 5, 11:00 holds 11
    expect(meters.summaries({ ...range, meterId, windowS: HOUR_S }, NOW_MS + 200)).toEqual([
      { startS: NOON_S, endS: NOON_S + HOUR_S, total: 5n },
      { startS: NOON_S - HOUR_S, endS: NOON_S, total: 11n },
    ]);
  });

  it('refuse times that do not lie on the boundaries of their windows', () => {
    const { meters, meterId } = metersWith();
    const query = { ...range, meterId };
    expect(() =>
      meters.summaries({ ...query, startS: NOON_S + 1, windowS: undefined }, NOW_MS),
    ).toThrow('aligned');
    expect(() => meters.summaries({ ...query, windowS: DAY_S }, NOW_MS)).toThrow('aligned');
  });
});
