import type { Dialect } from './route.ts';

/** Every refusal of the proxy. Status and code are public; the message says what to do. */
export interface Refusal {
  status: number;
  code:
    | 'invalid_api_key'
    | 'invalid_request'
    | 'dimension_required'
    | 'request_too_large'
    | 'too_many_bytes'
    | 'overloaded'
    | 'model_not_found'
    | 'upstream_not_found'
    | 'budget_exceeded'
    | 'budget_unknown'
    | 'model_not_allowed'
    | 'model_not_priced'
    | 'account_wide'
    | 'upstream_unreachable'
    | 'upstream_timeout'
    | 'cannot_meter'
    | 'credential_missing'
    | 'not_ready'
    | 'stopping';
  message: string;
  /** Of a budget block. Money as exact decimal strings. */
  budget?: { scope: string; limit?: string; spent?: string; resets_at?: string };
  retryAfterS?: number;
}

export const UNREACHABLE: Refusal = {
  status: 502,
  code: 'upstream_unreachable',
  message: 'The upstream could not be reached or broke the connection before it answered.',
};

const OPENAI_TYPES: Partial<Record<Refusal['code'], string>> = {
  invalid_api_key: 'authentication_error',
  budget_exceeded: 'insufficient_quota',
  budget_unknown: 'insufficient_quota',
  model_not_allowed: 'permission_error',
  model_not_priced: 'permission_error',
  account_wide: 'permission_error',
};

const ANTHROPIC_TYPES: Partial<Record<Refusal['code'], string>> = {
  invalid_api_key: 'authentication_error',
  request_too_large: 'request_too_large',
  model_not_found: 'not_found_error',
  upstream_not_found: 'not_found_error',
  budget_exceeded: 'billing_error',
  budget_unknown: 'billing_error',
  model_not_allowed: 'permission_error',
  model_not_priced: 'permission_error',
  account_wide: 'permission_error',
  upstream_timeout: 'timeout_error',
};

const generalType = (status: number): string =>
  status >= 500 ? 'api_error' : 'invalid_request_error';

/** The refusal in the caller's own dialect, with the same figures in both. */
export const refusalBody = (refusal: Refusal, dialect: Dialect, requestId: string): string => {
  const { code, message, status, budget } = refusal;
  if (dialect === 'anthropic') {
    const type = ANTHROPIC_TYPES[code] ?? generalType(status);
    return JSON.stringify({
      type: 'error',
      error: { type, message, code, ...budget },
      request_id: requestId,
    });
  }
  const type = OPENAI_TYPES[code] ?? generalType(status);
  return JSON.stringify({ error: { message, type, param: null, code, ...budget } });
};

const BLOCKED_BY_MODEL: ReadonlySet<Refusal['code']> = new Set([
  'model_not_allowed',
  'model_not_priced',
]);

/** Headers of a refusal. Blocks say that asking again is no use: the SDKs obey that before their own rules. */
export const refusalHeaders = (refusal: Refusal): Record<string, string> => ({
  'content-type': 'application/json',
  ...(refusal.retryAfterS === undefined ? {} : { 'retry-after': String(refusal.retryAfterS) }),
  ...(refusal.budget || BLOCKED_BY_MODEL.has(refusal.code) ? { 'x-should-retry': 'false' } : {}),
});
