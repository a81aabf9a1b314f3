import { createHash } from 'node:crypto';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { z } from 'zod';
import type { Upstream } from '../../schemas/control-record.ts';
import { ReckonerError } from '../platform/errors.ts';

/** An access key of AWS, as its secret reference gives it: JSON in the words AWS uses. */
const AccessKeySchema = z.strictObject({
  access_key_id: z.string().min(1),
  secret_access_key: z.string().min(1),
  session_token: z.string().min(1).optional(),
});

/** What signs a request for AWS, and for which region and service. */
export interface AwsSigning {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  region: string;
  service: string;
}

/** A request as it will stand on the wire: path escaped once, header names in lower case. */
export interface UnsignedRequest {
  method: string;
  origin: string;
  /** With query. */
  path: string;
  headers: Record<string, string>;
  body: Buffer | null;
}

const REGION_IN_HOST = /(?:^|\.)bedrock(?:-[a-z]+)*\.([a-z]{2}(?:-[a-z]+)+-\d)\./;

const parsedKey = (secret: string): z.infer<typeof AccessKeySchema> | undefined => {
  try {
    return AccessKeySchema.safeParse(JSON.parse(secret)).data;
  } catch {
    return undefined;
  }
};

/**
 * How calls to an upstream are signed, or null where its credential is an API key, which goes as a bearer token.
 * @throws ReckonerError CONFIG_INVALID for a credential that looks like an access key and is none, or a region nobody names.
 */
export const awsSigningOf = (upstream: Upstream, secret: string): AwsSigning | null => {
  if (upstream.dialect !== 'bedrock' || !secret.trimStart().startsWith('{')) return null;
  const key = parsedKey(secret);
  if (!key) {
    throw new ReckonerError(
      'CONFIG_INVALID',
      `The credential of upstream ${upstream.id} is neither an API key nor a JSON object with access_key_id, secret_access_key and, if there is one, session_token.`,
    );
  }
  const region =
    upstream.region ?? REGION_IN_HOST.exec(new URL(upstream.base_url).hostname)?.[1] ?? null;
  if (region === null) {
    throw new ReckonerError(
      'CONFIG_INVALID',
      `The address of upstream ${upstream.id} names no AWS region, which its signature needs. Set region: us-east-1, or the one that is meant.`,
    );
  }
  return {
    accessKeyId: key.access_key_id,
    secretAccessKey: key.secret_access_key,
    ...(key.session_token === undefined ? {} : { sessionToken: key.session_token }),
    region,
    service: 'bedrock',
  };
};

/** Query parameters by name, decoded; a name that stands there twice has all its values. */
const queryOf = (search: string): Record<string, string[]> => {
  const params = new URLSearchParams(search);
  return Object.fromEntries([...new Set(params.keys())].map((name) => [name, params.getAll(name)]));
};

const BODY_HASH = 'x-amz-content-sha256';

/**
 * The headers of a request with AWS's signature (version 4) over method, host, path, query, headers and body.
 * @param now instant of signing; AWS takes it within five minutes.
 */
export const signForAws = async (
  request: UnsignedRequest,
  signing: AwsSigning,
  now: Date,
): Promise<Record<string, string>> => {
  const { accessKeyId, secretAccessKey, sessionToken, region, service } = signing;
  const url = new URL(request.origin);
  const mark = request.path.indexOf('?');
  const signer = new SignatureV4({
    credentials: {
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
    },
    region,
    service,
    sha256: Sha256,
    applyChecksum: false,
  });
  // A body may be large, and the library's hash is plain JavaScript: it is told the body's hash, which is itself no header to sign.
  const hash = createHash('sha256')
    .update(request.body ?? '')
    .digest('hex');
  const signed = await signer.sign(
    {
      method: request.method,
      protocol: url.protocol,
      hostname: url.hostname,
      path: mark < 0 ? request.path : request.path.slice(0, mark),
      query: queryOf(mark < 0 ? '' : request.path.slice(mark + 1)),
      headers: { ...request.headers, host: url.host, [BODY_HASH]: hash },
    },
    { signingDate: now, unsignableHeaders: new Set([BODY_HASH]) },
  );
  const { host: _host, [BODY_HASH]: _hash, ...headers } = signed.headers;
  return headers;
};
