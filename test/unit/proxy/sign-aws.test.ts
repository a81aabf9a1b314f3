import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, test } from 'vitest';
import { UpstreamSchema } from '../../../schemas/control-record.ts';
import { awsSigningOf, signForAws } from '../../../services/proxy/sign-aws.ts';

/** The access key, instant and service of AWS's published test suite for signature version 4. */
const SUITE = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  region: 'us-east-1',
  service: 'service',
};
const AT = new Date('2015-08-30T12:36:00.000Z');
const signatureOf = (headers: Record<string, string>): string | undefined =>
  /Signature=([0-9a-f]{64})$/.exec(headers['authorization'] ?? '')?.[1];

describe("AWS's published vectors", () => {
  test.each([
    ['get-vanilla', 'GET', '/', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    [
      'get-vanilla-query-order-key-case',
      'GET',
      '/?Param2=value2&Param1=value1',
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
    [
      'post-vanilla',
      'POST',
      '/',
      '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
    ],
  ])('%s is signed as AWS says', async (_name, method, path, signature) => {
    const headers = await signForAws(
      { method, origin: 'https://example.amazonaws.com', path, headers: {}, body: null },
      SUITE,
      AT,
    );
    expect(signatureOf(headers)).toBe(signature);
    expect(headers).toEqual({
      authorization: `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=${signature}`,
      'x-amz-date': '20150830T123600Z',
    });
  });
});

test('a Bedrock call with body, escaped path and session is signed as the library signs it from the body itself', async () => {
  const body = Buffer.from('{"messages":[{"role":"user","content":[{"text":"Zürich"}]}]}');
  const model = 'arn%3Aaws%3Abedrock%3Aus-east-1%3A123%3Ainference-profile%2Fx';
  const path = `/model/${model}/converse`;
  const signing = { ...SUITE, sessionToken: 'session-1', service: 'bedrock' };
  const origin = 'https://bedrock-runtime.us-east-1.amazonaws.com';
  const headers = { 'content-type': 'application/json' };
  const ours = await signForAws({ method: 'POST', origin, path, headers, body }, signing, AT);
  const { accessKeyId, secretAccessKey, sessionToken } = signing;
  const library = new SignatureV4({
    credentials: { accessKeyId, secretAccessKey, sessionToken },
    region: signing.region,
    service: signing.service,
    sha256: Sha256,
    applyChecksum: false,
  });
  const expected = await library.sign(
    {
      method: 'POST',
      protocol: 'https:',
      hostname: new URL(origin).hostname,
      path,
      headers: { ...headers, host: new URL(origin).host },
      body,
    },
    { signingDate: AT },
  );
  expect(signatureOf(ours)).toBe(signatureOf(expected.headers));
  expect(ours).toMatchObject({ 'x-amz-security-token': 'session-1' });
  expect(ours).not.toHaveProperty('host');
  expect(ours).not.toHaveProperty('x-amz-content-sha256');
});

describe('what signs for an upstream', () => {
  const upstream = (over: object) =>
    UpstreamSchema.parse({
      id: 'bedrock',
      provider: 'aws',
      dialect: 'bedrock',
      base_url: 'https://bedrock-runtime.eu-central-1.amazonaws.com',
      ...over,
    });
  const secret = JSON.stringify({ access_key_id: 'AKID', secret_access_key: 'hush' });

  test.each([
    ['https://bedrock-runtime.eu-central-1.amazonaws.com', 'eu-central-1'],
    ['https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com', 'us-gov-west-1'],
    ['https://vpce-0a1b-2c3d.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com', 'ap-southeast-2'],
  ])('the region stands in the address %s', (base_url, region) => {
    expect(awsSigningOf(upstream({ base_url }), secret)).toEqual({
      accessKeyId: 'AKID',
      secretAccessKey: 'hush',
      region,
      service: 'bedrock',
    });
  });

  test('a region that is given wins', () => {
    expect(awsSigningOf(upstream({ region: 'us-west-2' }), secret)?.region).toBe('us-west-2');
  });

  test('an API key is no access key and signs nothing', () => {
    expect(awsSigningOf(upstream({}), 'bedrock-api-key-xyz')).toBeNull();
    expect(awsSigningOf(upstream({ dialect: 'openai' }), secret)).toBeNull();
  });

  test.each([
    ['{"access_key_id":"AKID"}', {}],
    ['{not json canary-secret', {}],
    [secret, { base_url: 'https://bedrock.example.com' }],
  ])('%s cannot sign and says what is missing, without the secret', (text, over) => {
    expect(() => awsSigningOf(upstream(over), text)).toThrow(/upstream bedrock .*(JSON|region)/);
    expect(() => awsSigningOf(upstream(over), text)).not.toThrow(/canary|hush/);
  });
});
