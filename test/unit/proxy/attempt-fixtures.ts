import type { AttemptRecord } from '../../../schemas/usage-event.ts';

/** The opened record of a call with a prompt of eleven tokens. */
export const attemptOf = (over: Partial<AttemptRecord> = {}): AttemptRecord => ({
  request_id: '019aa000-0000-7000-8000-000000000001',
  attempt_id: '019aa000-0000-7000-8000-000000000002',
  attempt_number: 1,
  attempt_role: 'primary',
  event_id: '019aa000-0000-7000-8000-000000000003',
  event_ts: '2026-11-21T12:00:00.000Z',
  proxy_id: 'proxy-1',
  boot_id: '019aa000-0000-7000-8000-000000000004',
  key_id: 'k',
  credential_pool_id: 'openai',
  byo_key: false,
  upstream: 'openai',
  provider: 'openai',
  flavour: 'openai.chat',
  streamed: false,
  dimensions: { tenant: 'acme' },
  tags: {},
  estimated_input_tokens: '11',
  ...over,
});
