import { Sha256 } from '@aws-crypto/sha256-js';
import type { BedrockRuntimeClientConfig } from '@aws-sdk/client-bedrock-runtime';
import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import type { ClientsHouse } from './proxy-clients-house.ts';
import {
  CLAUDE_ON_BEDROCK,
  FIGURES,
  onlyEvent,
  PROMPT,
  startClientsHouse,
} from './proxy-clients-house.ts';
import {
  KEY,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
} from './proxy-harness.ts';

const clientOf = (url: string, config: BedrockRuntimeClientConfig): BedrockRuntimeClient => {
  const client = new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: `${url}/bedrock`,
    maxAttempts: 1,
    ...config,
  });
  onTestFinished(() => client.destroy());
  return client;
};

/** The virtual key as the SDK's bearer token: what AWS_BEARER_TOKEN_BEDROCK=rk_… does. */
const withToken = ({ url }: { url: string }): BedrockRuntimeClient =>
  clientOf(url, { token: { token: KEY }, authSchemePreference: ['httpBearerAuth'] });

/** A caller with an access key of its own, which signs; the virtual key travels beside the signature. */
const withSignature = ({ url }: { url: string }): BedrockRuntimeClient => {
  const client = clientOf(url, {
    credentials: {
      accessKeyId: 'AKIDCALLER',
      secretAccessKey: 'caller-secret',
      sessionToken: 'caller-session',
    },
    authSchemePreference: ['sigv4'],
  });
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      headers['x-reckoner-key'] = KEY;
      return next(args);
    },
    { step: 'build' },
  );
  return client;
};

const messages = [{ role: 'user' as const, content: [{ text: PROMPT }] }];
const converse = { modelId: CLAUDE_ON_BEDROCK, messages };
const invoke = {
  modelId: CLAUDE_ON_BEDROCK,
  contentType: 'application/json',
  body: JSON.stringify({
    anthropic_version: 'bedrock-2023-05-31',
    max_tokens: 100,
    messages: [{ role: 'user', content: PROMPT }],
  }),
};
const USAGE = { inputTokens: 1000, cacheReadInputTokens: 200, outputTokens: 40 };

const CALLS: Record<string, (client: BedrockRuntimeClient) => Promise<void>> = {
  Converse: async (client) => {
    const reply = await client.send(new ConverseCommand(converse));
    expect(reply.usage).toMatchObject(USAGE);
  },
  ConverseStream: async (client) => {
    const { stream } = await client.send(new ConverseStreamCommand(converse));
    const events = await Array.fromAsync(stream ?? []);
    expect(events.find((event) => event.metadata)?.metadata?.usage).toMatchObject(USAGE);
  },
  InvokeModel: async (client) => {
    const reply = await client.send(new InvokeModelCommand(invoke));
    expect(JSON.parse(reply.body.transformToString()).usage).toMatchObject({
      input_tokens: 1000,
      output_tokens: 40,
    });
  },
  InvokeModelWithResponseStream: async (client) => {
    const { body } = await client.send(new InvokeModelWithResponseStreamCommand(invoke));
    const events = await Array.fromAsync(body ?? []);
    const last = JSON.parse(Buffer.from(events.at(-1)?.chunk?.bytes ?? []).toString());
    expect(last['amazon-bedrock-invocationMetrics']).toMatchObject({
      inputTokenCount: 1000,
      outputTokenCount: 40,
    });
  },
};

describe('an unmodified AWS Bedrock runtime SDK, over HTTP/2 as it comes', () => {
  test.each(Object.entries(CALLS))(
    '%s with the virtual key as bearer token is metered',
    async (_name, run) => {
      const house = await startClientsHouse();
      await run(withToken(house));
      expect(await onlyEvent(house)).toMatchObject({ provider: 'bedrock', classes: FIGURES });
    },
  );

  test.each(Object.entries(CALLS))('%s signed by the caller is metered', async (_name, run) => {
    const house = await startClientsHouse();
    await run(withSignature(house));
    expect(await onlyEvent(house)).toMatchObject({ provider: 'bedrock', classes: FIGURES });
  });

  test('calls share a connection, a refusal is read as such, and a stop ends the connection', async () => {
    const house: ClientsHouse = await startClientsHouse();
    const client = withToken(house);
    await Promise.all([1, 2, 3].map(() => client.send(new ConverseCommand(converse))));
    expect(await readEvents(house.localLog)).toHaveLength(3);
    const stranger = clientOf(house.url, {
      token: { token: 'rk_x' },
      authSchemePreference: ['httpBearerAuth'],
    });
    await expect(stranger.send(new ConverseCommand(converse))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 401 },
    });
    await house.proxy.close();
  });
});

/** AWS as far as signatures go: signs what arrived itself and compares. */
const startSignatureCheck = (secret: {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}) =>
  startUpstream((req, res, body) => {
    const claimed = String(req.headers.authorization);
    const names = new Set(/SignedHeaders=([^,]+)/.exec(claimed)?.[1]?.split(';'));
    const headers = Object.fromEntries(
      Object.entries(req.headers).filter(
        ([name]) => names.has(name) && name !== 'x-amz-security-token',
      ),
    ) as Record<string, string>;
    const date = String(req.headers['x-amz-date']).replace(
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/,
      '$1-$2-$3T$4:$5:$6Z',
    );
    const library = new SignatureV4({
      credentials: secret,
      region: 'eu-west-1',
      service: 'bedrock',
      sha256: Sha256,
      applyChecksum: false,
    });
    const path = (req.url ?? '').split('?', 1)[0] ?? '';
    const request = {
      method: req.method ?? '',
      protocol: 'http:',
      hostname: 'x',
      path,
      headers,
      body,
    };
    void library.sign(request, { signingDate: new Date(date) }).then((expected) => {
      const ok = expected.headers['authorization'] === claimed;
      res.writeHead(ok ? 200 : 403, { 'content-type': 'application/json' });
      res.end(
        ok
          ? '{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"end_turn","usage":{"inputTokens":5,"outputTokens":2,"totalTokens":7}}'
          : '{"message":"The request signature we calculated does not match the signature you provided."}',
      );
    });
  });

describe('an upstream whose credential is an access key of AWS', () => {
  const house = async (secret: object) => {
    const key = {
      accessKeyId: 'AKIDHOUSE',
      secretAccessKey: 'house-secret',
      sessionToken: 'house-session',
    };
    const aws = await startSignatureCheck(key);
    const office = createMemoryEventLog('office');
    await putUpstream(office, {
      id: 'bedrock',
      provider: 'aws',
      dialect: 'bedrock',
      region: 'eu-west-1',
      models: [],
      base_url: aws.url,
    });
    await putKey(office);
    const resolveSecret = () => JSON.stringify(secret);
    return { aws, ...(await startTestProxy({ office, resolveSecret })) };
  };
  const SECRET = {
    access_key_id: 'AKIDHOUSE',
    secret_access_key: 'house-secret',
    session_token: 'house-session',
  };

  test.each([
    ['a bearer token', withToken],
    ['a signature of its own', withSignature],
  ])(
    'is called with the house’s signature, whether the caller comes with %s',
    async (_name, client) => {
      const { aws, url, localLog } = await house(SECRET);
      const reply = await client({ url }).send(new ConverseCommand(converse));
      expect(reply.usage).toMatchObject({ inputTokens: 5, outputTokens: 2 });
      const [event] = await readEvents(localLog);
      expect(event).toMatchObject({
        ending: 'reported',
        classes: { input_uncached: '5', output_text: '2' },
      });
      expect(aws.seen[0]?.headers).toMatchObject({ 'x-amz-security-token': 'house-session' });
      expect(aws.seen[0]?.headers.authorization).toContain('Credential=AKIDHOUSE/');
      expect(JSON.stringify(aws.seen[0]?.headers)).not.toMatch(/AKIDCALLER|caller-session|rk_/);
    },
  );

  test('a secret that is no access key is answered 503, and nothing is sent', async () => {
    const { aws, url, localLog } = await house({ access_key_id: 'AKIDHOUSE' });
    await expect(withToken({ url }).send(new ConverseCommand(converse))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 503 },
    });
    expect(aws.seen).toEqual([]);
    expect(await readEvents(localLog)).toEqual([]);
  });
});
