import type { LookupAddress } from 'node:dns';
import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { UpstreamSchema } from '../../schemas/control-record.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import type { Resolver } from '../../services/proxy/safe-connect.ts';
import {
  checkedLookup,
  createConnector,
  isPublicAddress,
} from '../../services/proxy/safe-connect.ts';
import { upstreamProblems } from '../../services/proxy/upstream-problems.ts';
import {
  call,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
} from './proxy-harness.ts';

/** Something on this machine that must not be reached: it counts who connects. */
const startBystander = async () => {
  const seen = { connections: 0 };
  const server = createServer((socket) => {
    seen.connections += 1;
    socket.destroy();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => new Promise((closed) => void server.close(() => closed())));
  const { port } = server.address() as { port: number };
  return { seen, port: String(port) };
};

const connectTo = (
  origin: string,
  options: { allowPrivate?: boolean; resolve?: Resolver; port?: string } = {},
): Promise<string> =>
  new Promise((resolve) => {
    const url = new URL(origin);
    const connect = createConnector(options.allowPrivate ?? false, options.resolve);
    connect(
      {
        hostname: url.hostname,
        host: url.host,
        protocol: url.protocol,
        port: options.port ?? (url.port || '443'),
      },
      (error, socket) => {
        socket?.destroy();
        resolve(error ? ((error as NodeJS.ErrnoException).code ?? error.name) : 'connected');
      },
    );
  });

const answering = (...turns: string[][]): Resolver & { calls: () => number } => {
  let calls = 0;
  const resolver: Resolver = (_hostname, _options, done) => {
    const turn = turns[Math.min(calls, turns.length - 1)] ?? [];
    calls += 1;
    done(
      null,
      turn.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  return Object.assign(resolver, { calls: () => calls });
};

const NOT_PUBLIC: readonly [string, string][] = [
  ['loopback', 'https://127.0.0.1/'],
  ['all of loopback', 'https://127.8.9.10/'],
  ['this host', 'https://0.0.0.0/'],
  ['private 10/8', 'https://10.0.0.1/'],
  ['private 172.16/12', 'https://172.31.255.254/'],
  ['private 192.168/16', 'https://192.168.1.1/'],
  ['carrier-grade NAT', 'https://100.64.0.1/'],
  ['link-local', 'https://169.254.1.1/'],
  ['cloud metadata', 'https://169.254.169.254/'],
  ['multicast', 'https://224.0.0.1/'],
  ['broadcast', 'https://255.255.255.255/'],
  ['decimal', 'https://2130706433/'],
  ['octal', 'https://0177.0.0.1/'],
  ['hexadecimal', 'https://0x7f000001/'],
  ['hexadecimal and short', 'https://0x7f.1/'],
  ['short', 'https://127.1/'],
  ['digits of another script', 'https://①②⑦.⓪.⓪.①/'],
  ['with a closing dot', 'https://169.254.169.254./'],
  ['IPv6 loopback', 'https://[::1]/'],
  ['IPv6 unspecified', 'https://[::]/'],
  ['IPv4 mapped', 'https://[::ffff:127.0.0.1]/'],
  ['IPv4 mapped, hexadecimal', 'https://[::ffff:7f00:1]/'],
  ['IPv4 mapped metadata', 'https://[::ffff:169.254.169.254]/'],
  ['IPv4 compatible', 'https://[::127.0.0.1]/'],
  ['NAT64', 'https://[64:ff9b::7f00:1]/'],
  ['NAT64 metadata', 'https://[64:ff9b::a9fe:a9fe]/'],
  ['local NAT64', 'https://[64:ff9b:1::7f00:1]/'],
  ['6to4', 'https://[2002:7f00:1::]/'],
  ['Teredo', 'https://[2001:0:7f00:1::]/'],
  ['unique local', 'https://[fd12:3456::1]/'],
  ['metadata of AWS, IPv6', 'https://[fd00:ec2::254]/'],
  ['metadata of Google, IPv6', 'https://[fd20:ce::254]/'],
  ['the host of Azure', 'https://168.63.129.16/'],
  ['link-local, IPv6', 'https://[fe80::1]/'],
  ['documentation', 'https://[2001:db8::1]/'],
];

describe('row 71 · an upstream at an address that is not public', () => {
  test.each(NOT_PUBLIC)(
    '%s, %s, is refused before a connection is tried',
    async (_name, origin) => {
      const asked = answering([]);
      expect(await connectTo(origin, { resolve: asked })).toBe('ERR_ADDRESS_REFUSED');
      // A literal address is no name: nobody is asked for it.
      expect(asked.calls()).toBe(0);
    },
  );

  test.each(NOT_PUBLIC)(
    '%s, behind a name, is refused before a connection is tried',
    async (_name, origin) => {
      const bystander = await startBystander();
      const address = new URL(origin).hostname.replace(/^\[|\]$/g, '');
      const resolve = answering([address]);
      const outcome = await connectTo('https://provider.example/', {
        resolve,
        port: bystander.port,
      });
      expect(outcome).toBe('ERR_ADDRESS_REFUSED');
      expect(bystander.seen.connections).toBe(0);
    },
  );

  test('a provider that would be called without encryption is refused', async () => {
    const resolve = answering(['93.184.216.34']);
    expect(await connectTo('http://93.184.216.34/')).toBe('ERR_ADDRESS_REFUSED');
    expect(await connectTo('http://provider.example/', { resolve })).toBe('ERR_ADDRESS_REFUSED');
  });
});

describe('row 71 · a name that changes its mind (DNS rebinding)', () => {
  test('of a mixed answer only the public addresses can be connected to', () => {
    const resolve = answering(['127.0.0.1', '93.184.216.34', '::1', '2606:4700::1111']);
    let given: unknown;
    checkedLookup(isPublicAddress, resolve)(
      'provider.example',
      { all: true },
      (_error, addresses) => {
        given = addresses;
      },
    );
    expect(given).toEqual([
      { address: '93.184.216.34', family: 4 },
      { address: '2606:4700::1111', family: 6 },
    ]);
  });

  test('a name is asked for once per connection: what was checked is what is connected to', async () => {
    const bystander = await startBystander();
    const resolve = answering(['127.0.0.1'], ['169.254.169.254']);
    const options = { allowPrivate: true, resolve, port: bystander.port };
    expect(await connectTo('http://models.internal/', options)).toBe('connected');
    expect(resolve.calls()).toBe(1);
    // The next connection asks anew and is checked anew.
    expect(await connectTo('http://models.internal/', options)).toBe('ERR_ADDRESS_REFUSED');
  });
});

describe('row 71 · an upstream that may be private', () => {
  test.each([
    'http://169.254.169.254/',
    'http://169.254.170.2/',
    'http://[::ffff:169.254.169.254]/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[64:ff9b::a9fe:a9fe]/',
    'http://[fd00:ec2::254]/',
    'http://[fe80::a9fe:a9fe]/',
    'http://100.100.100.200/',
    'http://192.0.0.192/',
    'http://168.63.129.16/',
    'http://[fd20:ce::254]/',
    'http://2852039166/',
  ])('is still not %s, where clouds hand out credentials', async (origin) => {
    expect(await connectTo(origin, { allowPrivate: true })).toBe('ERR_ADDRESS_REFUSED');
    const upstream = UpstreamSchema.parse({
      id: 'x',
      provider: 'x',
      dialect: 'openai',
      base_url: origin,
      allow_private: true,
    });
    expect(upstreamProblems(upstream, () => '')).toHaveLength(1);
  });
});

test.each([
  'https://user:password@api.openai.com',
  'https://user@api.openai.com',
  'https://api.openai.com@10.0.0.1/',
  'https://api.openai.com/?key=x',
  'https://api.openai.com/#x',
  'ftp://api.openai.com',
  'file:///etc/passwd',
  'gopher://127.0.0.1:6379/_x',
])('row 71 · %s is no address of an upstream', (base_url) => {
  const record = { id: 'x', provider: 'x', dialect: 'openai', base_url };
  expect(UpstreamSchema.safeParse(record).success).toBe(false);
});

const CHAT = '{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}';
const chatWith = (more: object): string => JSON.stringify({ ...JSON.parse(CHAT), ...more });

test('row 71 · the running proxy reaches no loopback port without allow_private, and says 502', async () => {
  const bystander = await startBystander();
  const office = createMemoryEventLog('office');
  for (const scheme of ['http', 'https']) {
    await putUpstream(office, {
      id: scheme,
      allow_private: false,
      attempts_max: 1,
      base_url: `${scheme}://localhost:${bystander.port}`,
    });
  }
  await putKey(office);
  const { url, localLog } = await startTestProxy({ office });
  for (const scheme of ['http', 'https']) {
    const reply = await call(`${url}/${scheme}/v1/chat/completions`, CHAT);
    expect(reply.status).toBe(502);
  }
  expect(bystander.seen.connections).toBe(0);
  const events = await readEvents(localLog);
  expect(events.map((e) => [e.ending, e.error_kind])).toEqual([
    ['not_billed', 'unreachable'],
    ['not_billed', 'unreachable'],
  ]);
});

test.each([301, 302, 303, 307, 308])(
  'row 71 · a redirect (%i) is not followed: the caller gets it, the house’s credential goes nowhere',
  async (status) => {
    const bystander = await startBystander();
    const location = `http://127.0.0.1:${bystander.port}/steal`;
    const office = createMemoryEventLog('office');
    const provider = await startUpstream((_req, res) => {
      res.writeHead(status, { location, 'content-length': 0 });
      res.end();
    });
    await putUpstream(office, { base_url: provider.url });
    await putKey(office);
    const { url } = await startTestProxy({ office });
    const reply = await call(`${url}/openai/v1/chat/completions`, CHAT);
    expect(reply.status).toBe(status);
    expect(provider.seen).toHaveLength(1);
    expect(bystander.seen.connections).toBe(0);
  },
);

test('row 71 · no header and no field of the body chooses where a call goes', async () => {
  const bystander = await startBystander();
  const away = `http://127.0.0.1:${bystander.port}`;
  const office = createMemoryEventLog('office');
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(
      '{"model":"gpt-4o","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}',
    );
  });
  await putUpstream(office, { base_url: provider.url });
  await putKey(office);
  const { url } = await startTestProxy({ office });
  const headers = [
    { host: `127.0.0.1:${bystander.port}` },
    { 'x-portkey-custom-host': away },
    { 'helicone-target-url': away, 'helicone-openai-api-base': away },
    { 'x-forwarded-host': away, forwarded: `host=${away}` },
    { 'x-original-url': `${away}/x`, 'x-rewrite-url': `${away}/x` },
  ];
  for (const more of headers) {
    expect(
      (
        await call(`${url}/openai/v1/chat/completions`, CHAT, {
          headers: more as Record<string, string>,
        })
      ).status,
    ).toBe(200);
  }
  for (const field of ['api_base', 'base_url', 'api_key', 'custom_host', 'endpoint']) {
    const reply = await call(`${url}/openai/v1/chat/completions`, chatWith({ [field]: away }));
    expect(reply.status).toBe(200);
  }
  expect(provider.seen).toHaveLength(headers.length + 5);
  expect(bystander.seen.connections).toBe(0);
  for (const { headers: sent } of provider.seen)
    expect(sent.authorization).toBe('Bearer upstream-secret');
});
