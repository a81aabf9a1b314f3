import { describe, expect, test } from 'vitest';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import { createOpenRouterGenerationReader } from '../../../services/proxy/core/flavours/openrouter-generation.ts';
import { costWitness, statedCostUsd } from '../../../services/rater/core/stated-cost.ts';

describe('the cost that a provider states beside its usage', () => {
  test.each([
    ['OpenRouter', '{"prompt_tokens":219,"cost":0.0001182,"cost_details":{}}', '0.0001182'],
    ['OpenRouter, a small one', '{"cost":1.13e-05,"is_byok":false}', '0.0000113'],
    [
      'OpenRouter with a key of the customer',
      '{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.000019}}',
      '0.000019',
    ],
    ['Perplexity', '{"cost":{"input_tokens_cost":0.001,"total_cost":0.006}}', '0.006'],
    // 400,000,000 ticks of 10^-10 USD.
    ['xAI', '{"cost_in_usd_ticks":400000000}', '0.04'],
  ])('%s', (_host, raw, usd) => {
    expect(statedCostUsd(raw)?.toFixed()).toBe(usd);
  });

  test.each([
    ['a usage without a cost', '{"prompt_tokens":219}'],
    ['a cost that is none', '{"cost":null,"cost_details":{"upstream_inference_cost":1}}'],
    ['no usage', undefined],
  ])('%s states none', (_name, raw) => {
    expect(statedCostUsd(raw)).toBeNull();
  });
});

test.each([
  [
    'of its own',
    { total_cost: 0.000625, is_byok: false, upstream_inference_cost: null },
    '0.000625',
  ],
  [
    "of the customer's",
    { total_cost: 0, is_byok: true, upstream_inference_cost: 0.0005 },
    '0.0005',
  ],
])(
  "OpenRouter's record of a generation, asked for later, states its cost with a key %s",
  (_whose, cost, usd) => {
    const data = {
      model: 'openai/gpt-4o',
      native_tokens_prompt: 90,
      native_tokens_completion: 40,
      ...cost,
    };
    const reader = createOpenRouterGenerationReader();
    reader.readBody(JSON.stringify({ data }), { data });
    expect(statedCostUsd(reader.statement().rawUsage)?.toFixed()).toBe(usd);
  },
);

test('a stated cost is a witness, never the charge: it agrees within half a percent, or it differs', () => {
  const witness = (stated: string, totalUsd: string | undefined) =>
    costWitness(
      { raw_usage: `{"cost":${stated}}` } as UsageEvent,
      (totalUsd === undefined ? {} : { total_usd: totalUsd }) as RatedUsage,
    );
  // 219 x 0.0000003 + 21 x 0.0000025 = 0.0000657 + 0.0000525 = 0.0001182.
  expect(witness('0.0001182', '0.0001182')).toBe('agrees');
  expect(witness('0.0200000', '0.0200900')).toBe('agrees');
  // A search that only the cost shows: 0.005 more.
  expect(witness('0.0051182', '0.0001182')).toBe('differs');
  expect(witness('0.0001182', undefined)).toBeNull();
});
