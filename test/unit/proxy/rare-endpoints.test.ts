import { describe, expect, test } from 'vitest';
import type { Flavour } from '../../../schemas/words.ts';
import type { ReplyHead } from '../../../services/proxy/core/flavour.ts';
import { requestFacts } from '../../../services/proxy/core/request-facts.ts';
import { concernsWholeAccount, routeOf } from '../../../services/proxy/core/route.ts';
import { events, whole } from './metered-reply.ts';

const READ = { input_uncached: '5', output_text: '2' };

describe('Google', () => {
  test('Imagen is sold by the picture; what its filters kept back is not', () => {
    const predictions = [{ bytesBase64Encoded: 'x' }, { raiFilteredReason: 'y' }, { gcsUri: 'z' }];
    expect(whole('gemini.generate', { predictions })).toMatchObject({
      completeness: 'full',
      classes: {},
      units: { images: '2' },
    });
  });

  test('embeddings of Vertex by :predict state tokens by prediction', () => {
    const one = (count: number) => ({
      embeddings: { values: [0.1], statistics: { truncated: false, token_count: count } },
    });
    const body = { predictions: [one(4), one(6)], metadata: { billableCharacterCount: 31 } };
    expect(whole('gemini.embed', body)).toMatchObject({
      completeness: 'full',
      classes: { input_uncached: '10' },
    });
    expect(whole('gemini.embed', body).rawUsage).toContain('"billableCharacterCount":31');
  });

  test('Interactions have sums under names of their own', () => {
    // 100 asked of which 60 cached, 7 for tools, 20 answered, 30 thought: 157.
    const usage = {
      total_input_tokens: 100,
      total_cached_tokens: 60,
      total_tool_use_tokens: 7,
      total_output_tokens: 20,
      total_thought_tokens: 30,
      total_tokens: 157,
      input_tokens_by_modality: [{ modality: 'text', tokens: 100 }],
      grounding_tool_count: [{ type: 'google_search', count: 2 }],
    };
    const wanted = {
      completeness: 'full',
      model: 'gemini-3-pro',
      classes: {
        input_uncached: '47',
        cache_read: '60',
        output_text: '20',
        output_reasoning: '30',
      },
      units: { web_search_requests: '2' },
    };
    const interaction = { model: 'gemini-3-pro', status: 'completed', usage };
    expect(whole('gemini.generate', interaction)).toMatchObject(wanted);
    const last = { event_type: 'interaction.completed', interaction };
    expect(events('gemini.generate', [{ event_type: 'step.start' }, last])).toMatchObject(wanted);
  });

  test('counts that are null are no counts, and no zeros', () => {
    const usageMetadata = { promptTokenCount: null, thoughtsTokenCount: null };
    expect(whole('gemini.generate', { usageMetadata })).toMatchObject({
      completeness: 'none',
      classes: {},
    });
    const ollama = { done: true, prompt_eval_count: null, eval_count: 2 };
    expect(whole('ollama.native', ollama)).toMatchObject({
      completeness: 'part',
      classes: { output_text: '2' },
    });
  });

  test('a reply one level down is the same reply', () => {
    const usageMetadata = { promptTokenCount: 5, candidatesTokenCount: 2, totalTokenCount: 7 };
    expect(
      whole('gemini.generate', { response: { candidates: [], usageMetadata } }).classes,
    ).toEqual(READ);
  });
});

describe('AWS Bedrock', () => {
  const head = (headers: Record<string, string>): ReplyHead => ({ status: 200, headers });

  test('pictures are counted, whichever vendor made them', () => {
    for (const body of [
      { images: ['a', 'b'] },
      { artifacts: [{ base64: 'a' }, { base64: 'b' }] },
      { images: ['a', 'b'], seeds: [1, 2], finish_reasons: [null, null] },
    ]) {
      expect(whole('bedrock.invoke', body)).toMatchObject({ classes: {}, units: { images: '2' } });
    }
  });

  test('tier and latency of InvokeModel stand in headers', () => {
    const usage = { input_tokens: 5, output_tokens: 2 };
    const tier = (headers: Record<string, string>) =>
      whole('bedrock.invoke', { usage }, head(headers)).tier;
    expect(tier({ 'x-amzn-bedrock-service-tier': 'flex' })).toBe('flex');
    expect(tier({ 'x-amzn-bedrock-performanceconfig-latency': 'optimized' })).toBe('optimized');
    expect(tier({})).toBeUndefined();
  });

  test('an output that is not stated is not zero', () => {
    expect(whole('bedrock.converse', { usage: { inputTokens: 5 } }).classes).toEqual({
      input_uncached: '5',
    });
  });

  test('what guardrails used is kept beside the tokens', () => {
    const body = {
      usage: { inputTokens: 5, outputTokens: 2, totalTokens: 7 },
      trace: {
        guardrail: {
          inputAssessment: { g1: { invocationMetrics: { usage: { topicPolicyUnits: 1 } } } },
        },
      },
    };
    expect(whole('bedrock.converse', body)).toMatchObject({
      classes: READ,
      rawUsage: '{"inputTokens":5,"outputTokens":2,"totalTokens":7}\n{"topicPolicyUnits":1}',
    });
  });
});

describe('Cohere', () => {
  test('a billed unit that nobody knows, and tokens without billed units, are unreadable', () => {
    for (const usage of [
      { billed_units: { dreams: 3 } },
      { tokens: { input_tokens: 5, output_tokens: 2 } },
    ]) {
      expect(whole('cohere.chat', { usage })).toMatchObject({
        completeness: 'unreadable',
        classes: {},
      });
    }
  });
  test('searches may stand in a usage object (OpenRouter)', () => {
    const usage = { search_units: 1, total_tokens: 50, cost: 0.002 };
    expect(whole('cohere.rerank', { usage }).units).toEqual({ search_units: '1' });
  });
});

describe('routes', () => {
  const GOOGLE = '/x/v1/projects/p/locations/l/publishers/google/models';
  test.each<[string, Flavour | null]>([
    [`${GOOGLE}/text-embedding-005:predict`, 'gemini.embed'],
    [`${GOOGLE}/imagen-4.0-generate-001:predict`, 'gemini.generate'],
    [`${GOOGLE}/imagegeneration@006:predict`, 'gemini.generate'],
    [`${GOOGLE}/veo-3.0:predictLongRunning`, 'passthrough'],
    ['/x/v1beta/interactions', 'gemini.generate'],
    ['/x/v1/projects/p/locations/l/publishers/ai21/models/jamba:rawPredict', 'openai.chat'],
    [
      '/x/v1/projects/p/locations/l/publishers/mistralai/models/mistral-ocr-2505:rawPredict',
      'mistral.ocr',
    ],
    ['/x/v1/multimodalembeddings', 'openai.embeddings'],
    ['/x/v1/complete', 'anthropic.messages'],
    ['/x/v1/tokenize', null],
    ['/x/v1/conversations', 'openai.chat'],
    ['/x/v1/conversations/conv_68a1b2c3d4/items', null],
  ])('%s is %s', (path, flavour) => {
    expect(routeOf('POST', path)?.flavour).toBe(flavour);
  });

  test('lists of what there is to be called are shown, lists of what an account holds are not', () => {
    const shown = ['/api/tags', '/openai/deployments', '/openai/deployments/gpt-4o', '/v1/models'];
    expect(shown.map((path) => concernsWholeAccount('GET', path))).toEqual(shown.map(() => false));
    const withheld = ['/v1/files', '/v1/batches', '/openai/deployments/gpt-4o/files', '/api/ps'];
    expect(withheld.map((path) => concernsWholeAccount('GET', path))).toEqual(
      withheld.map(() => true),
    );
  });

  test.each([
    // A region and a project's number look like ids.
    ['GET', '/v1/projects/p/locations/us-central1/cachedContents'],
    ['GET', '/v1/projects/gen-lang-client-0123456789/locations/global/batchPredictionJobs'],
    ['GET', '/v1/accounts/acme-123456/datasets'],
    ['GET', '/v1/files;x-abc12345'],
    ['GET', '/v1/file%73'],
    ['HEAD', '/v1beta/files'],
    // The names of models are shown to all, so no tenant may delete by them.
    ['DELETE', '/v1/models/ft:gpt-4o-mini:acme::abc123XY'],
    ['DELETE', '/v1beta/files/contract'],
    ['PUT', '/logging/modelinvocations'],
    ['DELETE', '/api/delete'],
    ['POST', '/api/pull'],
    ['POST', '/api/blobs/sha256:29fdb92e57cf0827'],
  ])('%s %s concerns all tenants of the account', (method, path) => {
    expect(concernsWholeAccount(method, path)).toBe(true);
  });

  test.each([
    ['GET', '/v1/projects/p/locations/us-central1/cachedContents/4912345678901234567'],
    ['GET', '/v1beta/files/1f2g3h4i5j6k'],
    ['DELETE', '/v1beta/cachedContents/1f2g3h4i5j6k'],
    ['PATCH', '/v1beta/cachedContents/1f2g3h4i5j6k'],
    ['DELETE', '/v1/files/file-8Hk2mN4pQrStUvWx'],
    ['GET', '/v1/messages/batches/msgbatch_013Zva2CMHLNnXjNJJKqJ2EF/results'],
    ['GET', '/v1/models/ft:gpt-4o-mini:acme::abc123XY'],
    ['POST', '/v1/files'],
    ['POST', '/api/show'],
  ])('%s %s concerns one thing', (method, path) => {
    expect(concernsWholeAccount(method, path)).toBe(false);
  });

  test.each([
    [{ textGenerationConfig: { maxTokenCount: 9 } }],
    [{ max_gen_len: 9 }],
    [{ max_tokens_to_sample: 9 }],
    [{ generation_config: { max_output_tokens: 9 } }],
    [{ inferenceConfig: { max_new_tokens: 9 } }],
  ])('the declared maximum is known under the name %j', (body) => {
    expect(requestFacts(body).maxOutputTokens).toBe(9);
  });
});
