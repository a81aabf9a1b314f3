import { expect, test } from 'vitest';
import { ask, houseOf } from './proxy-cost-rig.ts';
import { startUpstream } from './proxy-harness.ts';
import { always } from './routing-house.ts';

test.each([
  ['two models', '{"model":"gpt-new","messages":[],"model":"gpt-4o-mini"}'],
  ['escaped twin', '{"model":"gpt-new","messages":[],"mod\\u0065l":"gpt-4o-mini"}'],
  ['leading blank', '{"model":" gpt-new","messages":[]}'],
  ['too long', `{"model":"gpt-new${'x'.repeat(200)}","messages":[]}`],
  ['array', '{"model":["gpt-new"],"messages":[]}'],
  [
    'two tiers',
    '{"model":"gpt-4o-mini","messages":[],"service_tier":"priority","service_tier":"default"}',
  ],
  ['case', '{"model":"GPT-4o-mini","messages":[]}'],
  ['fallbacks twice', '{"model":"gpt-4o-mini","messages":[],"models":["gpt-new"],"models":[]}'],
])(
  'a call that hides its model from a policy that blocks unpriced ones is refused: %s',
  async (_, body) => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({ a: { base_url: provider.url, unknown_price: 'block' } });
    const heard = await ask(house.url, body);
    expect([heard.status, provider.seen.length]).toEqual([403, 0]);
  },
);
