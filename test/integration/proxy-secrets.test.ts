import { connect } from 'node:net';
import pino from 'pino';
import { expect, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  KEY,
  putKey,
  putUpstream,
  readAll,
  startTestProxy,
  startUpstream,
} from './proxy-harness.ts';

/**
 * Goal: nothing secret and nothing a customer wrote is in what the proxy keeps or says, on any road through it. Method: a canary in
 * every place where such a thing can stand, every road taken, and every byte of every store and voice searched.
 */
const CANARY = {
  prompt: 'canary-prompt-1f',
  answer: 'canary-answer-2e',
  providerError: 'canary-provider-error-3d',
  providerHeader: 'canary-provider-header-4c',
  providerKey: 'canary-provider-key-5b',
  awsSecret: 'canary-aws-secret-6a',
  wrongKey: `rk_${'C'.repeat(12)}_${'canaryWrongKey'.padEnd(32, 'x')}`,
  virtualKey: KEY.slice(16),
  oauth: 'canary-oauth-token-79',
  cookie: 'canary-cookie-88',
  header: 'canary-header-97',
  query: 'canary-query-a6',
  path: 'canary-path-b5',
  toolName: 'canary-tool-c4',
  body: 'canary-broken-body-d3',
};

const provider = () =>
  startUpstream((req, res, body) => {
    const headers = {
      'set-cookie': CANARY.providerHeader,
      'x-secret': CANARY.providerHeader,
      'content-type': 'application/json',
    };
    const wish = /wish-([a-z0-9]+)/.exec(body)?.[1];
    if (wish === 'refuse') {
      res.writeHead(400, headers);
      return res.end(
        JSON.stringify({ error: { message: `${CANARY.providerError} ${body}`, code: 'x' } }),
      );
    }
    if (wish === 'fail') {
      res.writeHead(500, headers);
      return res.end(CANARY.providerError);
    }
    if (wish === 'cut') {
      res.writeHead(200, { ...headers, 'content-type': 'text/event-stream' });
      res.write(`data: {"choices":[{"delta":{"content":"${CANARY.answer}"}}]}\n\n`);
      return setImmediate(() => res.destroy());
    }
    if (wish === 'strange') {
      // Words like an enum's are kept of a usage object of no known shape; sentences are not.
      const usage = { prompt_tokens: `It is ${CANARY.answer}, they say.` };
      res.writeHead(200, headers);
      return res.end(JSON.stringify({ usage, text: CANARY.answer }));
    }
    if (wish === 'die') return res.destroy();
    res.writeHead(200, headers);
    const choices = [
      { finish_reason: 'stop', message: { role: 'assistant', content: CANARY.answer } },
    ];
    const usage = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 };
    return res.end(JSON.stringify({ id: 'x', model: 'gpt-4o', choices, usage, path: req.url }));
  });

const chat = (wish: string, more: object = {}): string =>
  JSON.stringify({
    model: 'gpt-4o',
    messages: [{ role: 'user', content: `${CANARY.prompt} wish-${wish}` }],
    tools: [{ type: 'function', function: { name: CANARY.toolName, parameters: {} } }],
    ...more,
  });

const HEADERS = {
  cookie: `a=${CANARY.cookie}`,
  'x-something': CANARY.header,
  'x-portkey-config': CANARY.header,
  'cf-aig-authorization': `Bearer ${CANARY.oauth}`,
  'proxy-authorization': `Basic ${CANARY.oauth}`,
};
const CHAT = '/openai/v1/chat/completions';

/** Every road: path, body, and what else is particular about it. */
const ROADS: readonly [string, string, string, Record<string, string>?][] = [
  ['answered', CHAT, chat('well')],
  ['answered in a stream that is cut', CHAT, chat('cut', { stream: true })],
  ['refused by the provider', CHAT, chat('refuse')],
  ['failed at the provider', CHAT, chat('fail')],
  ['usage in no known shape', CHAT, chat('strange')],
  ['broken off without an answer', CHAT, chat('die')],
  ['a body that is no JSON', CHAT, `{"model":"gpt-4o", ${CANARY.body}`],
  ['a body too large', CHAT, chat('well', { padding: CANARY.body.repeat(8_000) })],
  ['a model that is a sentence', CHAT, chat('well', { model: `${CANARY.prompt} please` })],
  ['a wrong key', CHAT, chat('well'), { authorization: `Bearer ${CANARY.wrongKey}` }],
  [
    'an OAuth token beside the key',
    CHAT,
    chat('well'),
    { authorization: `Bearer ${CANARY.oauth}`, 'x-reckoner-key': KEY },
  ],
  ['an OAuth token alone', CHAT, chat('well'), { authorization: `Bearer ${CANARY.oauth}` }],
  ['a key in the query', `${CHAT}?key=${CANARY.query}`, chat('well')],
  [
    'an upstream nobody knows',
    `/${CANARY.path}/v1/chat/completions?q=${CANARY.query}`,
    chat('well'),
  ],
  ['an endpoint nobody knows', `/openai/v1/${CANARY.path}?q=${CANARY.query}`, chat('well')],
  ['tags that are none', CHAT, chat('well'), { 'x-reckoner-tags': CANARY.header }],
  ['a tenant of its own', CHAT, chat('well'), { 'x-reckoner-tenant': CANARY.header }],
  ['metadata that is none', CHAT, chat('well'), { 'x-portkey-metadata': CANARY.header }],
  ['an upstream that is not there', '/nobody/v1/chat/completions', chat('well')],
  ['a credential that cannot be read', '/unreadable/v1/chat/completions', chat('well')],
  ['a credential that cannot sign', '/bedrock/model/m/converse', chat('well')],
  ['an address that is refused', '/private/v1/chat/completions', chat('well')],
];

const house = async () => {
  const lines: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
  const office = createMemoryEventLog('office');
  const upstream = await provider();
  const put = (id: string, more: object) =>
    putUpstream(office, { id, models: [], attempts_max: 1, base_url: upstream.url, ...more });
  await put('openai', { models: ['gpt-*'], attempts_max: 2 });
  await put('nobody', { base_url: 'http://127.0.0.1:9' });
  await put('private', { base_url: 'https://169.254.169.254' });
  await put('bedrock', { dialect: 'bedrock', credential: { env: 'AWS_SECRET' } });
  await put('unreadable', { credential: { env: 'MISSING' } });
  await putKey(office);
  const resolveSecret = (reference: object): string => {
    const name = 'env' in reference ? reference.env : '';
    if (name === 'AWS_SECRET') return JSON.stringify({ secret_access_key: CANARY.awsSecret });
    if (name === 'MISSING') throw new Error('The environment has no MISSING.');
    return CANARY.providerKey;
  };
  const proxyConfig = { body_bytes_max: 65_536 };
  // Every topic is kept whole: what was compacted away had been written all the same.
  const written: string[] = [];
  const localLog: EventLog = createMemoryEventLog('proxy-1');
  const append = localLog.append.bind(localLog);
  localLog.append = (entries) => {
    for (const { value } of entries) written.push(Buffer.from(value ?? '').toString('latin1'));
    return append(entries);
  };
  const started = await startTestProxy({ office, logger, resolveSecret, proxyConfig, localLog });
  return { ...started, upstream, lines, written };
};

/** Bytes that are no HTTP at all. */
const sendNonsense = (port: number): Promise<string> =>
  new Promise((resolve) => {
    let said = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(
        `POST ${CHAT} HTTP/1.1\r\nAuthorization: Bearer ${KEY}\r\n${CANARY.header}\r\n\r\n${CANARY.prompt}`,
      );
    });
    socket.on('data', (chunk) => {
      said += chunk.toString();
    });
    socket.on('close', () => resolve(said));
    socket.on('error', () => socket.destroy());
  });

test('row 73 · no secret and no text of a customer is in any log line, record, metric or answer of the proxy’s own', async () => {
  const { url, proxy, localLog, metrics, upstream, lines, written } = await house();
  const answers: [string, string][] = [];
  for (const [name, path, body, headers] of ROADS) {
    const reply = await call(`${url}${path}`, body, { headers: { ...HEADERS, ...headers } });
    // What the provider says is the caller's to read; what the proxy says itself is not.
    const own = /"code":"(invalid_|request_too|model_|upstream_|cannot_|credential_|account_)/.test(
      reply.body.toString(),
    );
    answers.push([name, JSON.stringify(reply.headers) + (own ? reply.body.toString() : '')]);
  }
  answers.push(['nonsense', await sendNonsense(proxy.port)]);
  // The roads are the ones they are named for.
  expect(upstream.seen.length).toBeGreaterThan(10);
  expect(lines.length).toBeGreaterThan(0);
  const places: [string, string][] = [
    ...lines.map((line): [string, string] => ['log line', line]),
    ...written.map((text): [string, string] => ['record', text]),
    ['metrics', await metrics.render()],
  ];
  for (const { name } of Object.values(TOPICS)) {
    for (const entry of await readAll(localLog, name)) {
      places.push([name, Buffer.from(entry.value ?? '').toString('latin1') + String(entry.key)]);
    }
  }
  expect(places.filter(([place]) => place === 'record').length).toBeGreaterThan(20);
  const { providerHeader, ...everywhere } = CANARY;
  for (const [place, text] of places) {
    for (const [what, canary] of Object.entries({ ...everywhere, providerHeader })) {
      expect(text.includes(canary), `${what} in ${place}: ${text.slice(0, 300)}`).toBe(false);
    }
  }
  for (const [road, text] of answers) {
    for (const [what, canary] of Object.entries(everywhere)) {
      expect(
        text.includes(canary),
        `${what} in the answer of: ${road}: ${text.slice(0, 300)}`,
      ).toBe(false);
    }
  }
  // The provider got the house's credential and nothing else of the caller's.
  const sent = upstream.seen
    .map(({ headers, url: target }) => JSON.stringify([headers, target]))
    .join('\n');
  for (const what of [
    'virtualKey',
    'wrongKey',
    'oauth',
    'cookie',
    'header',
    'awsSecret',
  ] as const) {
    expect(sent.includes(CANARY[what]), `${what} went upstream`).toBe(false);
  }
  expect(sent).toContain(CANARY.providerKey);
});
