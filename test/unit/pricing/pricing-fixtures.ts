import type { Price, PriceBook } from '../../../schemas/price-book.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';

export const KNOWN = '2026-11-01T00:00:00.000Z';
export const NOON = '2026-11-21T12:00:00.000Z';

/** A price of `model-a` of the provider `acme-ai`, in force since 2026. */
export const price = (meter: string, unitPrice: string, rest: Partial<Price> = {}): Price => {
  const merged = {
    model: 'model-a',
    meter: meter as Price['meter'],
    unit_price: unitPrice,
    valid_from: '2026-01-01T00:00:00.000Z',
    known_from: KNOWN,
    source: 'https://example.test/prices',
    retrieved_at: '2026-11-01',
    ...rest,
  };
  const { unit_price: _, source: __, price_id: ___, ...identity } = merged as Price;
  return { price_id: JSON.stringify(identity), ...merged } as Price;
};

export const book = (prices: Price[], rest: Partial<PriceBook> = {}): PriceBook => ({
  provider: 'acme-ai',
  version: 1,
  currency: 'USD',
  known_from: KNOWN,
  standard_tiers: ['standard'],
  standard_geos: ['global'],
  aliases: [],
  prices,
  ...rest,
});

/** 2 USD in, 0.2 cached, 10 out per million tokens. */
export const plainPrices = (rest: Partial<Price> = {}): Price[] => [
  price('input_uncached', '0.000002', rest),
  price('cache_read', '0.0000002', rest),
  price('output_text', '0.00001', rest),
  price('output_reasoning', '0.00001', rest),
];

export const usageEvent = (rest: Partial<UsageEvent> = {}): UsageEvent => ({
  request_id: '0193a5b2-7c1d-7001-8a4f-1b2c3d4e5f60',
  attempt_id: '0193a5b2-7c1d-7002-8a4f-1b2c3d4e5f60',
  attempt_number: 1,
  attempt_role: 'primary',
  event_id: '0193a5b2-7c1d-7003-8a4f-1b2c3d4e5f60',
  event_ts: NOON,
  proxy_id: 'proxy-1',
  boot_id: '0193a5b2-7c1d-7004-8a4f-1b2c3d4e5f60',
  key_id: 'acme-chat',
  credential_pool_id: 'acme-ai',
  byo_key: false,
  upstream: 'acme-ai',
  provider: 'acme-ai',
  flavour: 'openai.chat',
  requested_model: 'model-a',
  streamed: false,
  dimensions: { tenant: 'acme', feature: 'chat' },
  tags: {},
  sequence: 1,
  closed_at: '2026-11-21T12:00:01.000Z',
  duration_ms: 1000,
  ending: 'reported',
  model: 'model-a',
  tier: 'standard',
  classes: { input_uncached: '1000', output_text: '100' },
  units: {},
  ...rest,
});
