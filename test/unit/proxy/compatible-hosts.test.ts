import { describe, expect, test } from 'vitest';
import type { Flavour } from '../../../schemas/words.ts';
import { createReplyReader } from '../../../services/proxy/core/reply-readers.ts';

const read = (body: object, flavour: Flavour = 'openai.chat') => {
  const reader = createReplyReader(flavour);
  const source = JSON.stringify(body);
  reader.readBody(source, JSON.parse(source));
  return reader.statement();
};

const readStream = (events: object[], flavour: Flavour = 'openai.chat') => {
  const reader = createReplyReader(flavour);
  for (const event of events) reader.readEvent({ source: JSON.stringify(event), data: event });
  return reader.statement();
};

describe('hosts that speak like OpenAI state the same things under other names', () => {
  test.each([
    // 1000 prompt - 640 from the cache = 360.
    ['DeepSeek: hit and miss', { prompt_cache_hit_tokens: 640, prompt_cache_miss_tokens: 360 }],
    ['Mistral: num_cached_tokens', { num_cached_tokens: 640 }],
    ['the Hugging Face router: cached_tokens on top', { cached_tokens: 640 }],
    ['OpenAI: details', { prompt_tokens_details: { cached_tokens: 640 } }],
    ['Assistants: details in the singular', { prompt_token_details: { cached_tokens: 640 } }],
  ])('%s', (_host, cached) => {
    const usage = { prompt_tokens: 1000, completion_tokens: 20, total_tokens: 1020, ...cached };
    expect(read({ usage })).toMatchObject({
      completeness: 'full',
      classes: { input_uncached: '360', cache_read: '640', output_text: '20' },
    });
  });

  test('DeepSeek: hits and misses that are not the prompt are unreadable', () => {
    const usage = {
      prompt_tokens: 1000,
      completion_tokens: 20,
      total_tokens: 1020,
      prompt_cache_hit_tokens: 640,
      prompt_cache_miss_tokens: 300,
    };
    expect(read({ usage })).toMatchObject({ completeness: 'unreadable', classes: {} });
  });

  test('xAI: reasoning comes on top of the completion, as the total shows', () => {
    // 1889 + 52 + 161 = 2102.
    const usage = {
      prompt_tokens: 1889,
      completion_tokens: 52,
      total_tokens: 2102,
      completion_tokens_details: { reasoning_tokens: 161 },
    };
    expect(read({ usage }).classes).toEqual({
      input_uncached: '1889',
      output_text: '52',
      output_reasoning: '161',
    });
  });

  test('xAI: more cache than prompt ends at the prompt', () => {
    const usage = {
      prompt_tokens: 676,
      cached_prompt_text_tokens: 960,
      completion_tokens: 5,
      total_tokens: 681,
    };
    expect(read({ usage }).classes).toEqual({
      input_uncached: '0',
      cache_read: '676',
      output_text: '5',
    });
  });

  test('OpenRouter: cache and writes end at the prompt, its searches are counted once, its cost is kept', () => {
    const usage = {
      prompt_tokens: 100,
      completion_tokens: 5,
      total_tokens: 105,
      cost: 0.0012,
      prompt_tokens_details: { cached_tokens: 80, cache_write_tokens: 40 },
      server_tool_use_details: { web_search_requests: 2, tool_calls_executed: 2 },
    };
    const statement = read({ usage });
    // 100 - 80 read = 20, all of them written.
    expect(statement.classes).toEqual({
      input_uncached: '0',
      cache_read: '80',
      cache_write_30m: '20',
      output_text: '5',
    });
    expect(statement.units).toEqual({ web_search_requests: '2' });
    expect(statement.rawUsage).toContain('"cost":0.0012');
  });

  test('Mistral: seconds of audio are sold beside the tokens', () => {
    const usage = {
      prompt_tokens: 10,
      completion_tokens: 2,
      total_tokens: 12,
      prompt_audio_seconds: 7,
    };
    expect(read({ usage }).units).toEqual({ audio_seconds: '7' });
  });

  test('Groq: usage stated twice counts once, and the copy alone counts too', () => {
    const usage = { prompt_tokens: 30, completion_tokens: 4, total_tokens: 34 };
    const classes = { input_uncached: '30', output_text: '4' };
    const text = { choices: [{ delta: { content: 'x' } }] };
    expect(readStream([text, { choices: [], usage, x_groq: { usage } }]).classes).toEqual(classes);
    expect(readStream([text, { choices: [], x_groq: { usage } }]).classes).toEqual(classes);
  });

  test('Groq: a compound reply is billed by the models that worked for it', () => {
    const usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 };
    const one = { prompt_tokens: 60, completion_tokens: 4, total_tokens: 64 };
    const two = { prompt_tokens: 40, completion_tokens: 6, total_tokens: 46 };
    const models = [
      { model: 'llama', usage: one },
      { model: 'gpt-oss', usage: two },
    ];
    expect(read({ model: 'compound', usage, usage_breakdown: { models } })).toMatchObject({
      classes: { input_uncached: '100', output_text: '10' },
      parts: [
        { model: 'llama', classes: { input_uncached: '60', output_text: '4' } },
        { model: 'gpt-oss', classes: { input_uncached: '40', output_text: '6' } },
      ],
    });
  });

  test('vLLM: cumulative usage in every chunk, the last one counts', () => {
    const usage = (output: number) => ({
      prompt_tokens: 9,
      completion_tokens: output,
      total_tokens: 9 + output,
    });
    const chunks = [1, 2, 3].map((n) => ({ choices: [{ delta: {} }], usage: usage(n) }));
    expect(readStream(chunks).classes).toEqual({ input_uncached: '9', output_text: '3' });
  });

  test('Gemini: thinking that shows only in the total is reasoning, on its own endpoint only', () => {
    const usage = { prompt_tokens: 35, completion_tokens: 12, total_tokens: 109 };
    // 109 - 35 - 12 = 62.
    expect(read({ usage }, 'gemini.openai').classes).toEqual({
      input_uncached: '35',
      output_text: '12',
      output_reasoning: '62',
    });
    expect(read({ usage }).completeness).toBe('unreadable');
  });

  test('legacy completions: the text of their choices is seen for an estimate', () => {
    const reader = createReplyReader('openai.completions');
    reader.readEvent({ source: '', data: { choices: [{ text: 'Once upon' }] } });
    expect([reader.textSeen(), reader.statement().completeness]).toEqual(['Once upon', 'none']);
  });
});

describe('what is not sold by the token', () => {
  test('images: token models by tokens, all output being image; others by the image', () => {
    const usage = {
      input_tokens: 50,
      input_tokens_details: { text_tokens: 10, image_tokens: 40 },
      output_tokens: 1056,
      total_tokens: 1106,
    };
    expect(read({ data: [{}], usage }, 'openai.images')).toMatchObject({
      classes: {
        input_uncached: '10',
        'input_uncached.image': '40',
        output_text: '0',
        'output_text.image': '1056',
      },
      units: {},
    });
    expect(read({ data: [{}, {}] }, 'openai.images')).toMatchObject({
      completeness: 'full',
      classes: {},
      units: { images: '2' },
    });
  });

  test('transcription: tokens or seconds, and the duration of the verbose format', () => {
    const tokens = {
      type: 'tokens',
      input_tokens: 14,
      input_token_details: { text_tokens: 4, audio_tokens: 10 },
      output_tokens: 45,
      total_tokens: 59,
    };
    expect(read({ text: 'a', usage: tokens }, 'openai.transcription').classes).toEqual({
      input_uncached: '4',
      'input_uncached.audio': '10',
      output_text: '45',
    });
    const seconds = { text: 'a', usage: { type: 'duration', seconds: 9.5 } };
    expect(read(seconds, 'openai.transcription').units).toEqual({ audio_seconds: '9.5' });
    expect(read({ text: 'a', duration: 8.47 }, 'openai.transcription').units).toEqual({
      audio_seconds: '8.47',
    });
    expect(read({ text: 'a' }, 'openai.transcription').completeness).toBe('none');
  });

  test('speech: the characters asked for, once the provider has accepted them', () => {
    const spoken = (status: number) => {
      const reader = createReplyReader('openai.speech', { characters: '11' });
      reader.readHead?.({ status, headers: {} });
      return reader.statement();
    };
    expect(spoken(200)).toMatchObject({ completeness: 'full', units: { characters: '11' } });
    expect(spoken(400)).toMatchObject({ completeness: 'none', units: {} });
  });

  test('Mistral OCR: pages', () => {
    const body = { model: 'mistral-ocr', usage_info: { pages_processed: 29, doc_size_bytes: 1 } };
    expect(read(body, 'mistral.ocr').units).toEqual({ pages: '29' });
  });

  test('Cohere: billed units only, wherever v1 and v2 put them', () => {
    const billed_units = { input_tokens: 2406, output_tokens: 2, search_units: 1 };
    const tokens = { input_tokens: 2935, output_tokens: 4 };
    const usage = { billed_units, tokens, cached_tokens: 2928 };
    const sold = {
      classes: { input_uncached: '2406', output_text: '2' },
      units: { search_units: '1' },
    };
    expect(read({ usage }, 'cohere.chat')).toMatchObject(sold);
    expect(read({ meta: usage }, 'cohere.chat')).toMatchObject(sold);
    const v2 = [{ type: 'message-end', delta: { finish_reason: 'COMPLETE', usage } }];
    expect(readStream(v2, 'cohere.chat')).toMatchObject(sold);
    const v1 = [{ event_type: 'stream-end', response: { meta: usage } }];
    expect(readStream(v1, 'cohere.chat')).toMatchObject(sold);
  });

  test('hosts that share a path with Cohere or OpenAI but state tokens: Writer, Voyage', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
    expect(read({ usage }, 'cohere.chat').classes).toEqual({
      input_uncached: '10',
      output_text: '5',
    });
    const total = { usage: { total_tokens: 8 } };
    expect(read(total, 'cohere.rerank').classes).toEqual({ input_uncached: '8' });
    expect(read(total, 'openai.embeddings').classes).toEqual({ input_uncached: '8' });
  });

  test('Ollama: the counters of the last object, cache inside the prompt; without the prompt only in part', () => {
    const done = { model: 'llama3', done: true, eval_count: 30 };
    expect(
      readStream(
        [
          { model: 'llama3', message: { content: 'Hi' }, done: false },
          { ...done, prompt_eval_count: 26, prompt_eval_cached_count: 20 },
        ],
        'ollama.native',
      ),
    ).toMatchObject({
      completeness: 'full',
      classes: { input_uncached: '6', cache_read: '20', output_text: '30' },
      rawUsage: '{"prompt_eval_count":26,"prompt_eval_cached_count":20,"eval_count":30}',
    });
    expect(read(done, 'ollama.native')).toMatchObject({ completeness: 'part' });
  });

  test('Assistants: a run states its usage, its steps do not count, a queued run states nothing', () => {
    const usage = { prompt_tokens: 381, completion_tokens: 88, total_tokens: 469 };
    const events = [
      { object: 'thread.run.step', usage: { ...usage, prompt_tokens: 1, total_tokens: 89 } },
      { object: 'thread.run', status: 'completed', usage },
      { object: 'thread.run.step', usage: { ...usage, prompt_tokens: 2, total_tokens: 90 } },
    ];
    expect(readStream(events, 'openai.runs').classes).toEqual({
      input_uncached: '381',
      output_text: '88',
    });
    expect(read({ object: 'thread.run', status: 'queued', usage: null }, 'openai.runs')).toEqual({
      completeness: 'none',
      classes: {},
      units: {},
      finishReason: 'queued',
    });
  });
});
