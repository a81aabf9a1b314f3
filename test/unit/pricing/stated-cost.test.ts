import { describe, expect, it, test } from 'vitest';
import { formatScaled } from '../../../pricing/scaled-decimal.ts';
import { readStatedCost } from '../../../pricing/stated-cost.ts';

const usdOf = (raw: string | undefined): string[] | null => {
  const cost = readStatedCost(raw);
  if (!cost) return null;
  return [cost.own, ...(cost.upstream ? [cost.upstream] : [])].map(({ value, places }) =>
    formatScaled(value, places),
  );
};

describe('a stated cost is read as it is written, never through a float', () => {
  test.each([
    ['a plain number', '{"prompt_tokens":219,"cost":0.0001182,"total_tokens":240}', ['0.0001182']],
    ['an exponent', '{"cost":1.13e-05}', ['0.0000113']],
    ['a capital exponent with a sign', '{"cost":2.5E+1}', ['25']],
    ['an exponent that leaves a fraction', '{"cost":1.25e1}', ['12.5']],
    [
      'more digits than a float has',
      '{"cost":0.12345678901234567890123}',
      ['0.12345678901234567890123'],
    ],
    ['zeros behind', '{"cost":0.500}', ['0.5']],
    ['a zero', '{"cost":0}', ['0']],
    ['spaces around it', '{ "cost" : 0.25 }', ['0.25']],
    [
      'the total of Perplexity',
      '{"cost":{"input_tokens_cost":0.001,"total_cost":0.006}}',
      ['0.006'],
    ],
    [
      "the record of OpenRouter's generation",
      '{"total_cost":0.000625,"is_byok":false}',
      ['0.000625'],
    ],
    // 37,756,000 ticks of 10^-10 USD.
    ['the ticks of xAI', '{"cost_in_usd_ticks":37756000}', ['0.0037756']],
    ['xAI before anything else', '{"cost":5,"cost_in_usd_ticks":10000000000}', ['1']],
  ])('%s', (_name, raw, usd) => {
    expect(usdOf(raw)).toEqual(usd);
  });

  test.each([
    ['a cost of a tool inside it', '{"cost":0.02,"tools":{"web":{"cost":0.01}}}', ['0.02']],
    ['costs in a list', '{"cost":0.02,"parts":[{"cost":0.5},0.7],"n":1}', ['0.02']],
    ['a name in a text', '{"note":"\\"cost\\":9,","cost":0.02}', ['0.02']],
    ['a text that follows a name', '{"currency":"USD","cost":0.02}', ['0.02']],
    ['an earlier statement', '{"cost":0.01}\n{"cost":0.02}', ['0.02']],
    ['a later object without a cost', '{"cost":0.02}\n{"output_tokens":7}', ['0.02']],
  ])('%s does not stand in for it', (_name, raw, usd) => {
    expect(usdOf(raw)).toEqual(usd);
  });

  test.each([
    ['no usage', undefined],
    ['a usage without a cost', '{"prompt_tokens":219}'],
    ['a cost that is null', '{"cost":null,"cost_details":{"upstream_inference_cost":1}}'],
    ['a cost that is a text', '{"cost":"0.5"}'],
    ['a cost below zero', '{"cost":-0.5}'],
    ['an exponent beyond all sense', '{"cost":1e-100}'],
  ])('%s states none', (_name, raw) => {
    expect(readStatedCost(raw)).toBeNull();
  });
});

describe("the customer's own key at the vendor", () => {
  it('makes the cost what the provider took and what the vendor took', () => {
    const raw = '{"cost":0.00095,"is_byok":true,"cost_details":{"upstream_inference_cost":0.019}}';
    expect(usdOf(raw)).toEqual(['0.00095', '0.019']);
  });

  it("is read from the record of a generation too, where the vendor's share stands beside the total", () => {
    expect(usdOf('{"total_cost":0,"upstream_inference_cost":0.0005,"is_byok":true}')).toEqual([
      '0',
      '0.0005',
    ]);
  });

  it("does not count the vendor's share where the provider's cost has it inside", () => {
    const raw = '{"cost":0.02,"is_byok":false,"cost_details":{"upstream_inference_cost":0.02}}';
    expect(usdOf(raw)).toEqual(['0.02']);
  });

  it('states nothing whole where one of the two is missing', () => {
    expect(
      usdOf('{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":null}}'),
    ).toBeNull();
    expect(
      usdOf('{"cost":null,"is_byok":true,"cost_details":{"upstream_inference_cost":1}}'),
    ).toBeNull();
  });
});
