import { deflateRawSync, deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { createBodyDecoder, isDecodable } from '../../../services/proxy/body-decoder.ts';
import { events, meter, whole } from './metered-reply.ts';

const USAGE = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
const READ = { input_uncached: '5', output_text: '2' };

describe('what a reply is, not what it says it is', () => {
  const data = JSON.stringify({ choices: [], usage: USAGE });
  const spread = JSON.stringify({ choices: [], usage: USAGE }, null, 1).replaceAll(/^/gm, 'data: ');
  test.each<[string, string | undefined, string]>([
    ['JSON called text', 'text/plain', data],
    ['JSON called bytes', 'application/octet-stream', data],
    ['JSON behind a byte order mark', 'application/json', `\ufeff${data}`],
    [
      'printed JSON behind a byte order mark',
      'application/json',
      `\ufeff\n${spread.replaceAll('data: ', '')}`,
    ],
    ['events without a content type', undefined, `: hi\n\ndata: ${data}\n\n`],
    ['events called JSON, their data over several lines', 'application/json', `${spread}\n\n`],
    ['lines called JSON', 'application/json', `{"a":1}\n${data}\n`],
    ['events whose lines end in CR', 'text/event-stream', `data: ${data}\r\rdata: [DONE]\r\r`],
    [
      'events of CRLF, their data over several lines',
      'text/event-stream',
      `${spread.replaceAll('\n', '\r\n')}\r\n\r\n`,
    ],
    ['events behind a byte order mark', 'text/event-stream', `\ufeffdata: ${data}\n\n`],
    ['events without an end', 'text/event-stream', `data: ${data}`],
  ])('%s is read', (_name, contentType, body) => {
    expect(meter('openai.chat', body, contentType).classes).toEqual(READ);
  });

  test.each([
    ['a page of a proxy in between', 'text/html', '<html>502 Bad Gateway</html>'],
    ['sound', 'audio/mpeg', '{"usage":{"prompt_tokens":5}}'],
    ['nothing at all', 'application/json', ''],
    ['an error in a stream', 'text/event-stream', 'data: {"error":{"message":"overloaded"}}\n\n'],
  ])('%s states nothing', (_name, contentType, body) => {
    expect(meter('openai.chat', body, contentType)).toMatchObject({
      completeness: 'none',
      classes: {},
    });
  });

  test('deflate is read with and without its frame; what was compressed twice is said to be unreadable', async () => {
    for (const bytes of [deflateSync('{"a":1}'), deflateRawSync('{"a":1}')]) {
      let out = '';
      const decoder = createBodyDecoder('deflate', (chunk) => {
        out += chunk.toString();
      });
      decoder.write(bytes);
      await decoder.end();
      expect(out).toBe('{"a":1}');
    }
    expect(['gzip', 'br', 'zstd', undefined, 'gzip, br', 'constructor'].map(isDecodable)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('a stream that states usage all along', () => {
  const chunk = (finish: string | null) => ({
    choices: [{ delta: { content: 'Hallo' }, finish_reason: finish }],
    usage: USAGE,
  });
  test('is stated so far until it says that it ended', () => {
    expect(events('openai.chat', [chunk(null)]).completeness).toBe('running');
    expect(events('openai.chat', [chunk(null), chunk('stop')]).completeness).toBe('full');
    const body = `data: ${JSON.stringify(chunk(null))}\n\ndata: [DONE]\n\n`;
    expect(meter('openai.chat', body, 'text/event-stream').completeness).toBe('full');
  });
  test('Responses: usage in an event before the last is stated so far', () => {
    const usage = { input_tokens: 5, output_tokens: 2, total_tokens: 7 };
    const event = (type: string, status: string) => ({ type, response: { status, usage } });
    const running = event('response.in_progress', 'in_progress');
    expect(events('openai.responses', [running])).toMatchObject({
      completeness: 'running',
      classes: READ,
    });
    for (const status of ['completed', 'cancelled', 'incomplete', 'failed']) {
      expect(events('openai.responses', [running, event('response.done', status)])).toMatchObject({
        completeness: 'full',
        finishReason: status,
        classes: READ,
      });
    }
  });
});

describe('OpenAI and hosts like it', () => {
  test('xAI over REST: more cache than prompt ends at the prompt, tools are counted from its usage', () => {
    // 960 cached of 676: 676 cached, none fresh; 52 answered and 161 thought on top make 889.
    const usage = {
      prompt_tokens: 676,
      completion_tokens: 52,
      total_tokens: 889,
      prompt_tokens_details: { cached_tokens: 960, text_tokens: 676 },
      completion_tokens_details: { reasoning_tokens: 161 },
      num_sources_used: 0,
      server_side_tool_usage_details: { web_search_calls: 2, x_search_calls: 1, mcp_calls: 4 },
    };
    expect(whole('openai.chat', { model: 'grok-4', usage })).toMatchObject({
      classes: {
        input_uncached: '0',
        cache_read: '676',
        output_text: '52',
        output_reasoning: '161',
      },
      units: { web_search_requests: '3' },
    });
  });

  test('more cache than prompt is unreadable at a host that is not known for it', () => {
    const usage = { ...USAGE, prompt_tokens_details: { cached_tokens: 9 } };
    expect(whole('openai.chat', { model: 'gpt-4o', usage }).completeness).toBe('unreadable');
  });

  test('Responses of such hosts: details end at their whole', () => {
    const usage = {
      input_tokens: 676,
      output_tokens: 52,
      total_tokens: 728,
      input_tokens_details: { cached_tokens: 960 },
      output_tokens_details: { reasoning_tokens: 60 },
    };
    const response = { status: 'completed', usage: { ...usage, cost_in_usd_ticks: 1 } };
    expect(whole('openai.responses', response).classes).toEqual({
      input_uncached: '0',
      cache_read: '676',
      output_text: '0',
      output_reasoning: '52',
    });
    expect(whole('openai.responses', { ...response, usage }).completeness).toBe('unreadable');
  });

  test('OpenRouter: more reasoning than output ends at the output', () => {
    const usage = { ...USAGE, cost: 0.1, completion_tokens_details: { reasoning_tokens: 3 } };
    expect(whole('openai.chat', { usage }).classes).toEqual({
      input_uncached: '5',
      output_text: '0',
      output_reasoning: '2',
    });
  });

  test('Perplexity: reasoning, citations and searches come beside prompt and completion', () => {
    // The total is 33 + 7163 = 7196; 20016 were read for citations, 73997 were thought, 18 searches were made.
    const usage = {
      prompt_tokens: 33,
      completion_tokens: 7163,
      total_tokens: 7196,
      citation_tokens: 20016,
      num_search_queries: 18,
      reasoning_tokens: 73997,
    };
    expect(whole('openai.chat', { model: 'sonar-deep-research', usage })).toMatchObject({
      classes: { input_uncached: '20049', output_text: '7163', output_reasoning: '73997' },
      units: { web_search_requests: '18' },
    });
  });

  test('Mistral: audio is sold by the second, although the total holds its tokens', () => {
    const usage = {
      prompt_audio_seconds: 203,
      prompt_tokens: 4,
      completion_tokens: 635,
      total_tokens: 3264,
    };
    for (const flavour of ['openai.transcription', 'openai.chat'] as const) {
      expect(whole(flavour, { usage })).toMatchObject({
        classes: { input_uncached: '4', output_text: '635' },
        units: { audio_seconds: '203' },
      });
    }
    expect(whole('openai.chat', { usage: { ...USAGE, prompt_audio_seconds: {} } })).toMatchObject({
      classes: READ,
      units: {},
    });
  });

  test('Mistral: what connectors brought in is input, their calls are units', () => {
    // 5 asked + 90 brought in, 2 answered: 97.
    const usage = {
      ...USAGE,
      total_tokens: 97,
      connector_tokens: 90,
      connectors: { web_search: 2 },
    };
    expect(whole('openai.chat', { usage })).toMatchObject({
      classes: { input_uncached: '95', output_text: '2' },
      units: { web_search_requests: '2' },
    });
  });

  test('the same searches at two places are one number', () => {
    const usage = {
      ...USAGE,
      server_tool_use: { web_search_requests: 2 },
      server_tool_use_details: { web_search_requests: 2, tool_calls_executed: 2 },
    };
    expect(whole('openai.chat', { usage }).units).toEqual({ web_search_requests: '2' });
  });

  test('text of any shape is seen where no usage is stated', () => {
    const says = (message: object) => whole('openai.chat', { choices: [{ message }] }).text;
    expect(says({ reasoning: 'a', content: 'b' })).toBe('ba');
    expect(
      says({
        content: [
          { type: 'thinking', thinking: [{ text: 'a' }] },
          { type: 'text', text: 'b' },
        ],
      }),
    ).toBe('ab');
    expect(says({ function_call: { arguments: '{}' } })).toBe('{}');
    const output = [{ type: 'message', content: [{ type: 'output_text', text: 'c' }] }];
    expect(whole('openai.responses', { status: 'completed', output }).text).toBe('c');
    expect(whole('anthropic.messages', { content: [{ type: 'text', text: 'd' }] }).text).toBe('d');
    expect(
      whole('anthropic.messages', { completion: ' e', stop_reason: 'stop_sequence' }),
    ).toMatchObject({
      completeness: 'none',
      text: ' e',
      finishReason: 'stop_sequence',
    });
  });

  test('sound in a stream of Responses is no text', () => {
    const list = [
      { type: 'response.audio.delta', delta: 'UklGRg==' },
      { type: 'response.audio.transcript.delta', delta: 'Hallo' },
    ];
    expect(events('openai.responses', list).text).toBe('Hallo');
  });

  test('Responses: tools are counted from items that only the stream showed; the image model is kept', () => {
    const response = {
      status: 'completed',
      output: [],
      usage: { input_tokens: 5, output_tokens: 2, total_tokens: 7 },
      tool_usage: { image_gen: { total_tokens: 1060 }, web_search: { num_requests: 0 } },
    };
    const item = (type: string) => ({ type: 'response.output_item.done', item: { type } });
    const statement = events('openai.responses', [
      item('web_search_call'),
      item('image_generation_call'),
      { type: 'response.completed', response },
    ]);
    expect(statement.units).toEqual({ web_search_requests: '1', images: '1' });
    expect(statement.rawUsage).toContain('"image_gen":{"total_tokens":1060}');
  });

  test('images: a usage object of nothing but a cost leaves the picture as what is sold', () => {
    const body = { data: [{ url: 'u' }, { url: 'v' }], usage: { cost_in_usd_ticks: 400000000 } };
    expect(whole('openai.images', body)).toMatchObject({
      completeness: 'full',
      units: { images: '2' },
      rawUsage: '{"cost_in_usd_ticks":400000000}',
    });
  });
});
