import { describe, expect, test } from 'vitest';
import { isBilledRefusal } from '../../../services/proxy/core/close-attempt.ts';
import { upstreamHeaders } from '../../../services/proxy/core/headers.ts';
import { editedBody, formField, requestFacts } from '../../../services/proxy/core/request-facts.ts';
import {
  flavourOf,
  pathModel,
  resolveAccount,
  routeOf,
} from '../../../services/proxy/core/route.ts';
import { streamFormat } from '../../../services/proxy/core/stream-format.ts';

const GOOGLE = '/v1beta1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash';
const CLAUDE = '/v1/projects/p/locations/us/publishers/anthropic/models/claude-sonnet-4@1';

describe('an endpoint is known by its path, whoever the vendor is', () => {
  test.each([
    ['/groq/openai/v1/chat/completions', 'openai.chat'],
    ['/hf/novita/v3/openai/chat/completions', 'openai.chat'],
    ['/gemini/v1beta/openai/chat/completions', 'gemini.openai'],
    ['/vertex/v1/projects/p/locations/l/endpoints/openapi/chat/completions', 'gemini.openai'],
    ['/openai/v1/completions', 'openai.completions'],
    ['/mistral/v1/fim/completions', 'openai.completions'],
    ['/azure/openai/deployments/d/chat/completions', 'openai.chat'],
    ['/azure/openai/deployments/d/embeddings', 'openai.embeddings'],
    ['/deepseek/responses', 'openai.responses'],
    ['/deepseek/anthropic/v1/messages', 'anthropic.messages'],
    ['/openai/v1/audio/speech', 'openai.speech'],
    ['/openai/v1/audio/transcriptions', 'openai.transcription'],
    ['/openai/v1/images/edits', 'openai.images'],
    ['/openai/v1/threads/t/runs', 'openai.runs'],
    ['/openai/v1/threads/t/runs/r/submit_tool_outputs', 'openai.runs'],
    ['/openai/v1/threads/t/messages', null],
    ['/openai/v1/assistants', null],
    ['/openai/v1/moderations', null],
    ['/openai/v1/files', null],
    ['/openai/v1/responses/resp_1', null],
    ['/gemini/v1beta/models/gemini-2.5-flash:generateContent', 'gemini.generate'],
    [`/vertex${GOOGLE}:streamGenerateContent`, 'gemini.generate'],
    ['/gemini/v1beta/models/gemini-2.5-flash:generatecontent', 'gemini.generate'],
    ['/gemini/v1beta/models/gemini-2.5-flash:generateConten%74/', 'gemini.generate'],
    [`/vertex${CLAUDE}:RawPredic%74`, 'anthropic.messages'],
    [`/vertex${GOOGLE}:countTokens`, null],
    ['/gemini/v1beta/models/gemini-embedding-2:batchEmbedContents', 'gemini.embed'],
    ['/gemini/v1beta/cachedContents', 'gemini.cache'],
    ['/gemini/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore', null],
    [`/vertex${CLAUDE}:streamRawPredict`, 'anthropic.messages'],
    ['/bedrock/model/amazon.nova-lite-v1%3A0/converse-stream', 'bedrock.converse'],
    ['/bedrock/model/arn%3Aaws%3Abedrock%3Aus%3A1%3Aprofile%2Fx/invoke', 'bedrock.invoke'],
    ['/cohere/v2/chat', 'cohere.chat'],
    ['/cohere/v2/rerank', 'cohere.rerank'],
    ['/mistral/v1/ocr', 'mistral.ocr'],
    ['/ollama/api/chat', 'ollama.native'],
    ['/ollama/api/pull', null],
    ['/somewhere/v9/new-thing', 'passthrough'],
    ['/endpoint/', 'passthrough'],
  ])('%s', (target, flavour) => {
    expect(routeOf('POST', target)?.flavour).toBe(flavour);
  });

  test('only a model of Bedrock may hold an escaped slash', () => {
    expect(routeOf('POST', '/openai/v1/files%2f..%2fkeys')).toBeNull();
    expect(routeOf('POST', '/bedrock/model/x%2F..%2Fy/invoke')).toBeNull();
    expect(routeOf('POST', '/bedrock/model/arn%3Aaws%2F%2e%2e/x/../invoke')).toBeNull();
    for (const name of ['arn%2F..%2F..%2Ffiles', 'arn%2F%2Fx', 'arn%00', 'arn%5Cx', 'arn#x']) {
      expect(routeOf('POST', `/bedrock/model/${name}/invoke`), name).toBeNull();
    }
  });

  test('a path is judged in time proportional to its length, since it is judged before the key', () => {
    // Of 200,000 characters a quadratic pattern would make minutes.
    for (const part of [
      '/model/a',
      '/models/embedding',
      'embedding',
      '/models/imag',
      '/batches/a',
    ]) {
      const path = `/models/${part.repeat(200_000 / part.length)}`;
      const startedMs = performance.now();
      flavourOf('POST', path);
      expect(performance.now() - startedMs, part).toBeLessThan(2_000);
    }
    expect(routeOf('POST', `/bedrock/model/${'a'.repeat(2_048)}/converse`)).toBeNull();
  });

  test('the model an endpoint names in its path is the model asked for', () => {
    expect(pathModel('/model/amazon.nova-lite-v1%3A0/converse')).toBe('amazon.nova-lite-v1:0');
    expect(pathModel('/v1beta/models/gemini-2.5-pro:generateContent')).toBe('gemini-2.5-pro');
    expect(pathModel('/openai/deployments/prod-gpt/chat/completions')).toBe('prod-gpt');
    expect(pathModel('/v1/chat/completions')).toBeUndefined();
    expect(pathModel('/model/%E0%A4%A/invoke')).toBe('');
  });

  test('/azure/<account>/… finds the account’s upstream, unless one takes every account', () => {
    const route = routeOf('POST', '/azure/contoso/openai/deployments/d/chat/completions');
    expect(route && resolveAccount(route, () => false)).toMatchObject({
      upstreamId: 'azure-contoso',
      path: '/openai/deployments/d/chat/completions',
    });
    expect(route && resolveAccount(route, (id) => id === 'azure')).toBe(route);
  });
});

test('a stream is known by its media type, whatever its case and the blanks around it', () => {
  expect(streamFormat(' Text/Event-Stream; charset=utf-8')).toBe('sse');
  expect(streamFormat('application/vnd.amazon.eventstream')).toBe('aws');
  expect(streamFormat('application/X-NDJSON')).toBe('lines');
  expect(streamFormat('application/json')).toBeNull();
  expect(streamFormat(undefined)).toBeNull();
});

describe('what a request declares', () => {
  const facts = (path: string, body: object) =>
    requestFacts(body as never, { flavour: routeOf('POST', `/x${path}`)?.flavour ?? null, path });

  test('limits and tiers under the names of each dialect', () => {
    expect(
      facts('/v1beta/models/gemini-2.5-pro:streamGenerateContent', {
        generationConfig: { maxOutputTokens: 77 },
      }),
    ).toEqual({ model: 'gemini-2.5-pro', streamed: true, maxOutputTokens: 77 });
    expect(
      facts('/model/m/converse', {
        inferenceConfig: { maxTokens: 5 },
        serviceTier: { type: 'FLEX' },
      }),
    ).toEqual({ model: 'm', streamed: false, maxOutputTokens: 5, tier: 'flex' });
  });

  test('Ollama streams unless it is told not to', () => {
    expect(facts('/api/chat', { model: 'm' }).streamed).toBe(true);
    expect(facts('/api/chat', { model: 'm', stream: false }).streamed).toBe(false);
    expect(facts('/api/embed', { model: 'm' }).streamed).toBe(false);
  });

  test('characters to be spoken are counted as people count them', () => {
    expect(facts('/v1/audio/speech', { model: 'tts-1', input: 'Grüße 👋' }).asked).toEqual({
      characters: '7',
    });
  });

  test('the model of a form', () => {
    const form =
      '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nRIFF\r\n' +
      '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n';
    const type = 'multipart/form-data; boundary=b';
    expect(formField(form, type, 'model')).toBe('whisper-1');
    expect(formField(form, type, 'language')).toBeUndefined();
  });

  test('usage is asked for in streams of legacy completions too, and not where nothing has to be asked', () => {
    const source = '{"stream":true}';
    const streamed = { streamed: true };
    expect(editedBody('openai.completions', streamed, source)).toContain('include_usage');
    expect(editedBody('gemini.generate', streamed, source)).toBeNull();
    expect(editedBody('cohere.chat', streamed, source)).toBeNull();
  });
});

describe('credentials', () => {
  const headers = {
    authorization: 'Bearer rk_caller',
    'x-goog-api-key': 'rk_caller',
    'api-key': 'rk_caller',
    'x-amz-date': '20261121T000000Z',
    'x-ms-client-request-id': 'abc',
  };

  test.each([
    ['openai', { authorization: 'Bearer secret' }],
    ['cohere', { authorization: 'Bearer secret' }],
    ['bedrock', { authorization: 'Bearer secret' }],
    ['anthropic', { 'x-api-key': 'secret' }],
    ['azure', { 'api-key': 'secret', 'x-ms-client-request-id': 'abc' }],
    ['gemini', { 'x-goog-api-key': 'secret' }],
  ] as const)(
    '%s takes its key where its providers look for it, and the caller’s stays here',
    (dialect, sent) => {
      expect(upstreamHeaders(headers, dialect, 'secret')).toEqual({
        'accept-encoding': 'identity',
        ...sent,
      });
    },
  );

  test('an access token of Google Cloud goes as a bearer token', () => {
    expect(upstreamHeaders({}, 'gemini', 'ya29.token')).toMatchObject({
      authorization: 'Bearer ya29.token',
    });
  });

  test('a request signed for AWS passes where the upstream has no credential; a virtual key never does', () => {
    const signed = { ...headers, authorization: 'AWS4-HMAC-SHA256 Credential=AKIA' };
    expect(upstreamHeaders(signed, 'bedrock', null)['authorization']).toBe(signed.authorization);
    expect(upstreamHeaders(headers, 'bedrock', null)['authorization']).toBeUndefined();
    expect(upstreamHeaders(signed, 'openai', null)['authorization']).toBeUndefined();
  });
});

test('Azure bills a content filter’s 400 and a timeout’s 408, nothing else it refuses', () => {
  expect(isBilledRefusal(true, 400, 'content_filter')).toBe(true);
  expect(isBilledRefusal(true, 408, undefined)).toBe(true);
  expect(isBilledRefusal(true, 400, undefined)).toBe(false);
  expect(isBilledRefusal(true, 429, undefined)).toBe(false);
  expect(isBilledRefusal(false, 400, 'content_filter')).toBe(false);
});
