import type { Refusal, Vendor } from './dialect.ts';

const ORDERED: Readonly<Record<number, { message: string; code: string | null; type: string }>> = {
  429: {
    message: 'Rate limit reached in organization org-sandbox on requests per min (RPM).',
    code: 'rate_limit_exceeded',
    type: 'requests',
  },
  500: {
    message: 'The server had an error while processing your request. Sorry about that!',
    code: null,
    type: 'server_error',
  },
  503: {
    message: 'The engine is currently overloaded, please try again later.',
    code: null,
    type: 'service_unavailable_error',
  },
};

const typeOf = (refusal: Refusal): string =>
  ORDERED[refusal.status]?.type ??
  (refusal.status >= 500 ? 'server_error' : 'invalid_request_error');

export const OPENAI: Vendor = {
  provider: 'openai',
  requestId: (ids) => ids.hex('req_'),
  headers: (requestId) => ({
    'x-request-id': requestId,
    'openai-organization': 'org-sandbox',
    'openai-processing-ms': '1',
    'openai-version': '2020-10-01',
    'x-content-type-options': 'nosniff',
  }),
  hasCredential: (headers) => /^Bearer\s+\S/i.test(headers['authorization']?.toString() ?? ''),
  noCredential: {
    status: 401,
    message:
      "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
  },
  unknownModel: (name) => ({
    status: 404,
    message: `The model \`${name}\` does not exist or you do not have access to it.`,
    code: 'model_not_found',
  }),
  ordered: (status) => {
    const known = ORDERED[status];
    return {
      status,
      message: known?.message ?? `The sandbox was told to answer ${status}.`,
      ...(known?.code == null ? {} : { code: known.code }),
    };
  },
  errorBody: (refusal) =>
    `${JSON.stringify(
      {
        error: {
          message: refusal.message,
          type: typeOf(refusal),
          param: refusal.param ?? null,
          code: refusal.code ?? null,
        },
      },
      null,
      2,
    )}\n`,
};
