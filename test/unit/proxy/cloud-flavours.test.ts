import { EventStreamCodec } from '@smithy/eventstream-codec';
import { describe, expect, test } from 'vitest';
import type { Flavour } from '../../../schemas/words.ts';
import { createReplyReader } from '../../../services/proxy/core/reply-readers.ts';
import { createReplyMeter } from '../../../services/proxy/reply-meter.ts';

const read = (flavour: Flavour, body: unknown) => {
  const reader = createReplyReader(flavour);
  const source = JSON.stringify(body);
  reader.readBody(source, JSON.parse(source));
  return reader.statement();
};

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes).toString('utf8'),
  (text) => Buffer.from(text),
);

/** One message of an AWS event stream, as Bedrock frames it. */
const message = (type: string, payload: object, kind = 'event'): Buffer =>
  Buffer.from(
    codec.encode({
      headers: {
        ':event-type': { type: 'string', value: type },
        ':message-type': { type: 'string', value: kind },
      },
      body: Buffer.from(JSON.stringify(payload)),
    }),
  );

/** A chunk of InvokeModelWithResponseStream: the vendor's event in base64. */
const chunk = (event: object): Buffer =>
  message('chunk', { bytes: Buffer.from(JSON.stringify(event)).toString('base64') });

const meterOf = (flavour: Flavour, bytes: Buffer, pieceSize: number) => {
  const meter = createReplyMeter(flavour, 'application/vnd.amazon.eventstream');
  for (let at = 0; at < bytes.length; at += pieceSize) {
    meter.feed(bytes.subarray(at, at + pieceSize));
  }
  meter.end();
  return meter;
};

describe('Gemini', () => {
  const usage = {
    promptTokenCount: 17_713,
    cachedContentTokenCount: 17_379,
    candidatesTokenCount: 68,
    thoughtsTokenCount: 821,
    totalTokenCount: 18_602,
    promptTokensDetails: [
      { modality: 'TEXT', tokenCount: 16 },
      { modality: 3, tokenCount: 15_780 },
      { modality: 'AUDIO', tokenCount: 1917 },
    ],
    cacheTokensDetails: [
      { modality: 'AUDIO', tokenCount: 1881 },
      { modality: 'TEXT', tokenCount: 15 },
      { modality: 'VIDEO', tokenCount: 15_483 },
    ],
  };

  test('prompt and cache are split by modality, a modality may be a number, thoughts are additional', () => {
    const body = { modelVersion: 'gemini-2.5-flash', usageMetadata: usage };
    expect(read('gemini.generate', body)).toMatchObject({
      completeness: 'full',
      model: 'gemini-2.5-flash',
      classes: {
        // 17713 - 17379 = 334 = 1 text + 297 video + 36 audio.
        input_uncached: '1',
        'input_uncached.video': '297',
        'input_uncached.audio': '36',
        cache_read: '15',
        'cache_read.video': '15483',
        'cache_read.audio': '1881',
        output_text: '68',
        output_reasoning: '821',
      },
    });
  });

  test('a cache whose modalities are not stated takes text first, then what else there must be', () => {
    const { cacheTokensDetails: _details, ...without } = usage;
    const { classes } = read('gemini.generate', { usageMetadata: without });
    const sum = (prefix: RegExp): number =>
      Object.entries(classes).reduce((all, [k, n]) => all + (prefix.test(k) ? Number(n) : 0), 0);
    expect([sum(/^cache_read/), sum(/^input_uncached/)]).toEqual([17_379, 334]);
    expect(classes.cache_read).toBe('16');
  });

  test('of a stream the last object counts as a whole: neither the sum nor the greatest', () => {
    const chunks = [
      { usageMetadata: { promptTokenCount: 46, thoughtsTokenCount: 101, totalTokenCount: 147 } },
      {
        candidates: [{ finishReason: 'STOP', content: { parts: [{ text: 'x' }] } }],
        usageMetadata: { promptTokenCount: 40, candidatesTokenCount: 7, totalTokenCount: 47 },
      },
    ];
    const wanted = { completeness: 'full', classes: { input_uncached: '40', output_text: '7' } };
    expect(read('gemini.generate', chunks)).toMatchObject(wanted);
    const meter = createReplyMeter('gemini.generate', 'text/event-stream');
    for (const part of chunks) meter.feed(Buffer.from(`data: ${JSON.stringify(part)}\r\n\r\n`));
    meter.end();
    expect(meter.statement()).toMatchObject(wanted);
  });

  test('a stream without a finish reason is stated so far; an object without counts states nothing', () => {
    const reader = createReplyReader('gemini.generate');
    const usageMetadata = { promptTokenCount: 4, totalTokenCount: 4 };
    reader.readEvent({ source: '{}', data: { usageMetadata } });
    expect(reader.statement().completeness).toBe('running');
    expect(read('gemini.generate', { usageMetadata: { trafficType: 'ON_DEMAND' } })).toMatchObject({
      completeness: 'none',
      tier: 'on_demand',
    });
  });

  test('a total that is not the sum is unreadable', () => {
    const usageMetadata = { promptTokenCount: 4, candidatesTokenCount: 1, totalTokenCount: 9 };
    expect(read('gemini.generate', { usageMetadata })).toMatchObject({
      completeness: 'unreadable',
      classes: {},
    });
  });

  test('embeddings count their prompt, a cache what was put into it', () => {
    const promptTokenDetails = [{ modality: 'IMAGE', tokenCount: 5 }];
    const usageMetadata = { promptTokenCount: 7, promptTokenDetails };
    expect(read('gemini.embed', { usageMetadata }).classes).toEqual({
      input_uncached: '2',
      'input_uncached.image': '5',
    });
    expect(read('gemini.cache', { usageMetadata: { totalTokenCount: 4096 } }).classes).toEqual({
      input_uncached: '4096',
    });
  });
});

describe('Bedrock', () => {
  test('Converse: what was cached is additional, writes are split by time to live', () => {
    const usage = {
      inputTokens: 433,
      outputTokens: 16,
      cacheReadInputTokens: 2752,
      cacheWriteInputTokens: 300,
      cacheDetails: [
        { ttl: '5m', inputTokens: 100 },
        { ttl: '1h', inputTokens: 200 },
      ],
      totalTokens: 3501,
    };
    const wanted = {
      input_uncached: '433',
      cache_read: '2752',
      cache_write_5m: '100',
      cache_write_1h: '200',
      output_text: '16',
    };
    expect(read('bedrock.converse', { usage, serviceTier: { type: 'flex' } })).toMatchObject({
      classes: wanted,
      tier: 'flex',
    });
    const total = { ...usage, totalTokens: 449 };
    expect(read('bedrock.converse', { usage: total }).completeness).toBe('unreadable');
  });

  test.each([1, 7, 4096])(
    'ConverseStream in pieces of %i bytes: usage is in the metadata',
    (size) => {
      const bytes = Buffer.concat([
        message('contentBlockDelta', { delta: { text: 'Grüße' } }),
        message('messageStop', { stopReason: 'end_turn' }),
        message('metadata', { usage: { inputTokens: 8, outputTokens: 10, totalTokens: 18 } }),
      ]);
      const meter = meterOf('bedrock.converse', bytes, size);
      expect(meter.statement()).toMatchObject({
        completeness: 'full',
        classes: { input_uncached: '8', output_text: '10' },
        finishReason: 'end_turn',
      });
      expect(meter.textSeen()).toBe('Grüße');
    },
  );

  test('a message whose checksum does not hold is not read, and that shows', () => {
    const bytes = message('metadata', { usage: { inputTokens: 8, outputTokens: 10 } });
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 6) ^ 1, bytes.length - 6);
    const meter = meterOf('bedrock.converse', bytes, 64);
    expect([meter.overflown(), meter.statement().completeness]).toEqual([true, 'none']);
  });

  test('an exception in the stream is no event', () => {
    const bytes = message('throttlingException', { usage: { inputTokens: 8 } }, 'exception');
    expect(meterOf('bedrock.converse', bytes, 64).statement().completeness).toBe('none');
  });

  test('InvokeModel: the counts of vendors without usage in the body stand in headers', () => {
    const reader = createReplyReader('bedrock.invoke');
    const headers = {
      'x-amzn-bedrock-input-token-count': '3',
      'x-amzn-bedrock-output-token-count': '20',
      'x-amzn-bedrock-cache-read-input-token-count': '9511',
      'x-amzn-bedrock-cache-write-input-token-count': '1956',
    };
    reader.readHead?.({ status: 200, headers });
    reader.readBody('{"text":"x"}', { text: 'x' });
    expect(reader.statement()).toMatchObject({
      completeness: 'full',
      classes: {
        input_uncached: '3',
        cache_read: '9511',
        cache_write_5m: '1956',
        output_text: '20',
      },
    });
  });

  test('its stream: billed by the body where that states usage, both statements are kept', () => {
    const bytes = Buffer.concat([
      chunk({
        type: 'message_start',
        message: { model: 'claude-3-5-sonnet', usage: { input_tokens: 392, output_tokens: 8 } },
      }),
      chunk({
        type: 'message_delta',
        delta: { stop_reason: 'tool_use' },
        usage: { output_tokens: 133 },
      }),
      chunk({
        type: 'message_stop',
        'amazon-bedrock-invocationMetrics': { inputTokenCount: 392, outputTokenCount: 97 },
      }),
    ]);
    const statement = meterOf('bedrock.invoke', bytes, 11).statement();
    expect(statement).toMatchObject({
      completeness: 'full',
      model: 'claude-3-5-sonnet',
      classes: { input_uncached: '392', output_text: '133' },
      finishReason: 'tool_use',
    });
    expect(statement.rawUsage).toContain('"outputTokenCount":97');
  });

  test('its stream: metrics count where the body states nothing, Titan and Llama by their own words', () => {
    const metrics = { inputTokenCount: 25, outputTokenCount: 10 };
    const nova = chunk({ contentBlockDelta: {}, 'amazon-bedrock-invocationMetrics': metrics });
    expect(meterOf('bedrock.invoke', nova, 5).statement().classes).toEqual({
      input_uncached: '25',
      output_text: '10',
    });
    expect(
      read('bedrock.invoke', { inputTextTokenCount: 5, results: [{ tokenCount: 10 }] }).classes,
    ).toEqual({ input_uncached: '5', output_text: '10' });
    expect(
      read('bedrock.invoke', { prompt_token_count: 158, generation_token_count: 128 }).classes,
    ).toEqual({ input_uncached: '158', output_text: '128' });
  });
});

test('a stream that its headers do not announce is read all the same', () => {
  const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
  const meter = createReplyMeter('openai.chat', undefined);
  meter.feed(Buffer.from(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`));
  meter.end();
  expect(meter.statement().classes).toEqual({ input_uncached: '3', output_text: '4' });
});

test('one JSON object a line: Ollama and Cohere v1, whatever the pieces', () => {
  const lines = [
    { model: 'llama3', message: { content: 'Grü' }, done: false },
    { model: 'llama3', done: true, prompt_eval_count: 3, eval_count: 4 },
  ];
  const bytes = Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n'));
  const meter = createReplyMeter('ollama.native', 'application/x-ndjson');
  for (const byte of bytes) meter.feed(Buffer.from([byte]));
  meter.end();
  expect(meter.statement().classes).toEqual({ input_uncached: '3', output_text: '4' });
  expect(meter.textSeen()).toBe('Grü');
});
