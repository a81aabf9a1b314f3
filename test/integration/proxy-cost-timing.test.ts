import { connect as connectTcp } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ask, COST, COST_OF_REPLY, houseOf, STREAM, TRAILERS } from './proxy-cost-rig.ts';
import { KEY, startUpstream, until } from './proxy-harness.ts';
import { chat, openSandbox, REPLY } from './routing-house.ts';

describe('telling the cost costs no time', () => {
  test('the first event of a stream is there before the second is sent', async () => {
    let seen = '';
    const provider = await startUpstream((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
      void until(() => (seen.includes('"a"') ? true : undefined)).then(() =>
        res.end('data: [DONE]\n\n'),
      );
    });
    const house = await houseOf({ a: { base_url: provider.url } });
    const heard = await ask(house.url, chat('', { stream: true }), {
      headers: TRAILERS,
      onData: (bytes) => {
        seen = bytes.toString();
      },
    });
    expect(heard.body.toString()).toContain('[DONE]');
  });

  test('a body of JSON that is asked for as a stream (Gemini) is passed on as it comes', async () => {
    let seen = '';
    const provider = await startUpstream((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.write('[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}');
      // One chunk behind: the first goes out with the second.
      setTimeout(() => res.write(',{"candidates":[]}'), 20);
      void until(() => (seen.includes('"a"') ? true : undefined)).then(() => res.end(']'));
    });
    const house = await houseOf({ a: { base_url: provider.url, dialect: 'gemini' } });
    const heard = await ask(house.url, '{"contents":[]}', {
      path: '/a/v1beta/models/gemini-2.5-pro:streamGenerateContent',
      headers: TRAILERS,
      onData: (bytes) => {
        seen = bytes.toString();
      },
    });
    expect(heard.body.toString()).toMatch(/\]$/);
  });

  test('blanks that keep a slow answer alive are passed on after a second', async () => {
    let seen = '';
    const provider = await startUpstream((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json' });
      const drip = setInterval(() => res.write('\n'), 100);
      void until(() => (seen.includes('\n') ? true : undefined)).then(() => {
        clearInterval(drip);
        res.end(REPLY);
      });
    });
    const house = await houseOf({ a: { base_url: provider.url } });
    const heard = await ask(house.url, chat(), {
      headers: TRAILERS,
      onData: (bytes) => {
        seen = bytes.toString();
      },
    });
    expect([heard.headers[COST], heard.trailers[COST]]).toEqual([undefined, COST_OF_REPLY]);
    expect(heard.body.toString().trimStart()).toBe(REPLY);
  });

  test('a client of HTTP/1.0 that asks for trailers gets its answer without', async () => {
    const sandbox = await openSandbox();
    const house = await houseOf({ a: { base_url: sandbox.openaiUrl } });
    const { hostname, port } = new URL(house.url);
    const socket = connectTcp(Number(port), hostname);
    const text = new Promise<string>((resolve) => {
      let all = '';
      socket.on('data', (chunk) => {
        all += chunk.toString();
      });
      socket.on('close', () => resolve(all));
    });
    socket.write(
      `POST /a/v1/chat/completions HTTP/1.0\r\nhost: x\r\nte: trailers\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\ncontent-length: ${STREAM.length}\r\n\r\n${STREAM}`,
    );
    expect(await text).toContain('[DONE]');
  });
});
