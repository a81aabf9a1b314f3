import type { Vendor } from './dialect.ts';
import { OPENAI } from './openai-vendor.ts';
import type { Provider } from './price-list.ts';

type Headers = Parameters<Vendor['hasCredential']>[0];

const given = (headers: Headers, name: string): boolean =>
  /\S/.test(headers[name]?.toString() ?? '');

const MESSAGES: Readonly<Record<number, string>> = {
  429: 'Too many requests, please wait before trying again.',
  500: 'The system encountered an unexpected error during processing. Try your request again.',
  503: 'The service is overloaded. Please try again later.',
};

/** What vendors without peculiarities of their own share. */
const plain = (
  provider: Provider,
  rest: Pick<Vendor, 'requestId' | 'headers' | 'hasCredential' | 'errorBody'>,
): Vendor => ({
  provider,
  noCredential: { status: 401, message: 'No credential was presented.' },
  unknownModel: (name) => ({ status: 404, message: `model '${name}' not found` }),
  ordered: (status) => ({
    status,
    message: MESSAGES[status] ?? `The sandbox was told to answer ${status}.`,
  }),
  ...rest,
});

const GOOGLE_STATUS: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
};

export const GOOGLE: Vendor = plain('google', {
  requestId: (ids) => ids.letters('g'),
  headers: (requestId) => ({ 'x-request-id': requestId, 'server-timing': 'gfet4t7; dur=9' }),
  hasCredential: (headers) => given(headers, 'x-goog-api-key') || given(headers, 'authorization'),
  errorBody: ({ status, message }) =>
    JSON.stringify({
      error: { code: status, message, status: GOOGLE_STATUS[status] ?? 'INTERNAL' },
    }),
});

export const BEDROCK: Vendor = plain('bedrock', {
  requestId: (ids) => ids.hex(''),
  headers: (requestId) => ({ 'x-amzn-requestid': requestId }),
  hasCredential: (headers) => given(headers, 'authorization'),
  errorBody: ({ message }) => JSON.stringify({ message }),
});

export const COHERE: Vendor = plain('cohere', {
  requestId: (ids) => ids.letters(''),
  headers: (requestId) => ({ 'x-request-id': requestId }),
  hasCredential: (headers) => given(headers, 'authorization'),
  errorBody: ({ message }, requestId) => JSON.stringify({ id: requestId, message }),
});

/** On a machine of one's own: nobody asks for a key. */
export const OLLAMA: Vendor = plain('ollama', {
  requestId: (ids) => ids.letters('o'),
  headers: (requestId) => ({ 'x-request-id': requestId }),
  hasCredential: () => true,
  errorBody: ({ message }) => JSON.stringify({ error: message }),
});

export const AZURE: Vendor = {
  ...OPENAI,
  provider: 'azure',
  headers: (requestId) => ({ 'apim-request-id': requestId, 'x-request-id': requestId }),
  hasCredential: (headers) => given(headers, 'api-key') || given(headers, 'authorization'),
};

const compatible = (provider: Provider): Vendor => ({
  ...OPENAI,
  provider,
  headers: (requestId) => ({ 'x-request-id': requestId }),
});
/** Google's OpenAI-compatible endpoint speaks OpenAI's errors and takes bearer tokens. */
export const GOOGLE_COMPATIBLE: Vendor = {
  ...compatible('google'),
  hasCredential: GOOGLE.hasCredential,
};
export const XAI: Vendor = compatible('xai');
export const GROQ: Vendor = compatible('groq');
