import type { Vendor } from './dialect.ts';

const TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};
const MESSAGES: Readonly<Record<number, string>> = {
  429: "This request would exceed your organization's rate limit.",
  500: 'Internal server error',
  529: 'Overloaded',
};

export const ANTHROPIC: Vendor = {
  provider: 'anthropic',
  requestId: (ids) => ids.letters('req_011C'),
  headers: (requestId) => ({
    'request-id': requestId,
    'anthropic-organization-id': '00000000-0000-4000-8000-000000000000',
  }),
  hasCredential: (headers) =>
    /\S/.test(headers['x-api-key']?.toString() ?? '') ||
    /^Bearer\s+\S/i.test(headers['authorization']?.toString() ?? ''),
  noCredential: { status: 401, message: 'x-api-key header is required' },
  unknownModel: (name) => ({ status: 404, message: `model: ${name}` }),
  ordered: (status) => ({
    status,
    message: MESSAGES[status] ?? `The sandbox was told to answer ${status}.`,
  }),
  errorBody: (refusal, requestId) =>
    JSON.stringify({
      type: 'error',
      error: {
        type: TYPES[refusal.status] ?? (refusal.status >= 500 ? 'api_error' : TYPES[400]),
        message: refusal.message,
      },
      request_id: requestId,
    }),
};
