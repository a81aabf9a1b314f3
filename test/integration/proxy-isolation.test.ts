import { describe, expect, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
} from './proxy-harness.ts';

const house = async () => {
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end('{"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}');
  });
  await putUpstream(office, { base_url: provider.url });
  await putKey(office, { models: ['cheap', 'cheap-*'] });
  return { provider, ...(await startTestProxy({ office })) };
};

const FORM = { 'content-type': 'multipart/form-data; boundary=b' };
const field = (name: string, value: string): string =>
  `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;

describe('a key with a list of models reaches no other', () => {
  test.each([
    ['by a second member', '/v1/chat/completions', '{"model":"dear","model":"cheap"}', {}],
    ['by a member in capitals', '/v1/chat/completions', '{"model":"cheap","MODEL":"dear"}', {}],
    ['by a fallback', '/v1/chat/completions', '{"model":"cheap","models":["cheap","dear"]}', {}],
    ['by a tool', '/v1/responses', '{"model":"cheap","tools":[{"type":"t","model":"dear"}]}', {}],
    ['by the case of a path', '/openai/Deployments/dear/chat/completions', '{"model":"cheap"}', {}],
    ['by a colon escaped', '/v1beta/models/dear%3AgenerateContent', '{"model":"cheap"}', {}],
    [
      'by a field inside a field',
      '/v1/audio/transcriptions',
      `${field('prompt', 'name="model"\r\n\r\ncheap\r\n')}${field('model', 'dear')}--b--\r\n`,
      FORM,
    ],
    [
      'by a second field',
      '/v1/audio/transcriptions',
      `${field('model', 'cheap')}${field('model', 'dear')}--b--\r\n`,
      FORM,
    ],
  ])('%s', async (_name, path, body, headers) => {
    const { provider, url, localLog } = await house();
    const answer = await call(`${url}/openai${path}`, body, { headers });
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body.toString()).error.code).toBe('model_not_allowed');
    expect(provider.seen).toEqual([]);
    expect(await readEvents(localLog)).toEqual([]);
  });

  test('what it allows goes on, tools, fallbacks and forms too', async () => {
    const { provider, url } = await house();
    const chat = '{"model":"cheap","models":["cheap-2"],"tools":[{"type":"function"}]}';
    expect((await call(`${url}/openai/v1/chat/completions`, chat)).status).toBe(200);
    const form = `${field('model', 'cheap')}${field('file', 'RIFF')}--b--\r\n`;
    const path = `${url}/openai/v1/audio/transcriptions`;
    expect((await call(path, form, { headers: FORM })).status).toBe(200);
    expect(provider.seen.map(({ body }) => body)).toEqual([chat, form]);
  });
});
