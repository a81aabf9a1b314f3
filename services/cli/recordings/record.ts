import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Upstream, UpstreamSchema } from '../../../schemas/control-record.ts';
import { ReckonerError } from '../../platform/errors.ts';

const RecordSchema = z.object({
  src: z.string().default(''),
  uri: z.url({ protocol: /^(https?|wss?)$/ }),
  status: z.int(),
  headers: z.record(z.string(), z.coerce.string()).nullish(),
  request: z.unknown(),
  /** Some recorders keep a JSON body parsed. */
  response: z.unknown(),
  stream: z.string().nullish(),
});

/** One recorded exchange with a provider, ready to be replayed. */
export interface Recording {
  /** Line in the file, from 0. */
  index: number;
  src: string;
  host: string;
  /** With query, as recorded. */
  target: string;
  method: 'GET' | 'POST';
  requestType: string;
  requestBody: string;
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  /** The reply came in pieces. */
  streamed: boolean;
  /** False for what is no HTTP exchange: a socket that was upgraded, a call that got no answer. */
  replayed: boolean;
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

/**
 * The request as text. Long strings were cut when it was recorded: what was JSON and is none any more is replaced by what it said about
 * model and stream, which is all that metering reads of it.
 */
const requestText = (request: unknown): { text: string; type: string } => {
  if (typeof request !== 'string') {
    return { text: JSON.stringify(request ?? {}), type: 'application/json' };
  }
  if (request.startsWith('--')) {
    const boundary = /^--([^\r\n]+)/.exec(request)?.[1] ?? '';
    return { text: request, type: `multipart/form-data; boundary=${boundary}` };
  }
  if (!request.trimStart().startsWith('{')) return { text: request, type: 'text/plain' };
  if (isJson(request)) return { text: request, type: 'application/json' };
  const model = /"model"\s*:\s*("[^"\\]*")/.exec(request)?.[1];
  const stream = /"stream"\s*:\s*(true|false)/.exec(request)?.[1];
  const members = [
    ...(model === undefined ? [] : [`"model":${model}`]),
    ...(stream === undefined ? [] : [`"stream":${stream}`]),
  ];
  return { text: `{${members.join(',')}}`, type: 'application/json' };
};

const NOT_REPLAYED = new Set([
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'connection',
]);

/** First bytes of what is still compressed, in hexadecimal. */
const STARTS: Readonly<Record<string, RegExp>> = {
  gzip: /^1f8b/,
  deflate: /^78(01|5e|9c|da)/,
  zstd: /^28b52ffd/,
};

/** Recorders decode bodies and leave the header: it is replayed only where the body is still compressed. */
const encodingOf = (headers: Record<string, string>, body: Buffer): Record<string, string> => {
  const name = Object.keys(headers).find((one) => one.toLowerCase() === 'content-encoding');
  const encoding = (name && headers[name]?.trim().toLowerCase()) ?? '';
  const start = body.toString('hex', 0, 4);
  return STARTS[encoding]?.test(start) ? { 'content-encoding': encoding } : {};
};

const textOf = (response: unknown): string => {
  if (typeof response === 'string') return response;
  return response === null || response === undefined ? '' : JSON.stringify(response);
};

const toRecording = (line: string, index: number): Recording => {
  const { src, uri, status, headers, request, response, stream } = RecordSchema.parse(
    JSON.parse(line),
  );
  const url = new URL(uri);
  const { text, type } = requestText(request);
  const text64 = typeof response === 'string' && response.startsWith('base64:');
  const body = text64 ? Buffer.from(response.slice(7), 'base64') : Buffer.from(textOf(response));
  const encoding = text64 ? encodingOf(headers ?? {}, body) : {};
  return {
    index,
    src,
    host: url.host,
    target: url.pathname + url.search,
    method: request === null || request === undefined || request === '' ? 'GET' : 'POST',
    requestType: type,
    requestBody: text,
    status,
    headers: {
      ...Object.fromEntries(
        Object.entries(headers ?? {}).filter(([name]) => !NOT_REPLAYED.has(name.toLowerCase())),
      ),
      ...encoding,
    },
    body,
    streamed: typeof stream === 'string' && stream !== 'json',
    replayed: /^https?:$/.test(url.protocol) && status >= 200 && status <= 599,
  };
};

/**
 * Reads a file of recorded exchanges, one JSON object a line.
 * @throws ReckonerError CONFIG_UNREADABLE when the file cannot be read, CONFIG_INVALID with the number of the line that has another shape.
 */
export const readRecordings = (file: string): Recording[] => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    throw new ReckonerError(
      'CONFIG_UNREADABLE',
      `The file ${file} with the recorded exchanges cannot be read.`,
    );
  }
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line, index) => {
    try {
      return toRecording(line, index);
    } catch {
      throw new ReckonerError(
        'CONFIG_INVALID',
        `Record ${index + 1} of ${file} is not a recorded exchange. Expected an object with uri, status, request and response.`,
      );
    }
  });
};

type Vendor = Pick<Upstream, 'provider' | 'dialect'> & { addsKnown?: boolean };

/** Whose host it is. The dialect decides headers and Azure's billed refusals; flavours are found by path. */
const VENDORS: readonly (readonly [RegExp, Vendor])[] = [
  [
    /(^|\.)openai\.azure\.com$|\.(services\.ai|cognitiveservices|models\.ai)\.azure\.com$/,
    { provider: 'azure', dialect: 'azure', addsKnown: true },
  ],
  [/(^|\.)api\.openai\.com$/, { provider: 'openai', dialect: 'openai', addsKnown: true }],
  [/(^|\.)anthropic\.com$/, { provider: 'anthropic', dialect: 'anthropic' }],
  [/googleapis\.com$/, { provider: 'google', dialect: 'gemini' }],
  [/(^|\.)bedrock[^.]*\..*(amazonaws\.com|api\.aws)$/, { provider: 'aws', dialect: 'bedrock' }],
  [/(^|\.)cohere\.(com|ai)$/, { provider: 'cohere', dialect: 'cohere' }],
  [/(^|\.)openrouter\.ai$/, { provider: 'openrouter', dialect: 'openai' }],
  [/(^|\.)mistral\.ai$/, { provider: 'mistral', dialect: 'openai' }],
  [/(^|\.)huggingface\.co$/, { provider: 'huggingface', dialect: 'openai' }],
];

/**
 * The upstream that stands for a recorded host. One attempt a call, since each recording is one. Usage is asked for only where it is
 * known what a provider adds when asked: elsewhere a recording cannot show what the changed request would have brought.
 */
export const upstreamOf = (host: string, baseUrl: string): Upstream => {
  const vendor = VENDORS.find(([pattern]) => pattern.test(host))?.[1];
  const id = upstreamId(host);
  const second = host.replace(/:\d+$/, '').split('.').slice(-2, -1)[0] ?? host;
  return UpstreamSchema.parse({
    id,
    provider: vendor?.provider ?? (second.replaceAll(/[^A-Za-z0-9]/g, '') || 'unknown'),
    dialect: vendor?.dialect ?? 'openai',
    base_url: baseUrl,
    allow_private: true,
    attempts_max: 1,
    ...(vendor?.addsKnown ? {} : { stream_usage: 'as_is' }),
  });
};

/** A name for the host's upstream: at most 64 characters, the end kept, since hosts differ at their front and end alike. */
export const upstreamId = (host: string): string => {
  const name = host.replaceAll(/[^A-Za-z0-9.-]/g, '-');
  return name.length <= 64 ? name : `${name.slice(0, 31)}--${name.slice(-31)}`.replace(/-$/, '');
};
