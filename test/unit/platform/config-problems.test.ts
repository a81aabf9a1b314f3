import { expect, test } from 'vitest';
import { HouseConfigSchema } from '../../../schemas/house-config.ts';
import { describeIssues } from '../../../services/platform/config-problems.ts';

const problemsOf = (raw: object): string => {
  const { error } = HouseConfigSchema.safeParse(raw);
  return error ? describeIssues(error, raw, 'reckoner.yaml') : '';
};
const upstream = {
  id: 'openai',
  provider: 'openai',
  dialect: 'openai',
  base_url: 'https://api.openai.com/v1',
};
const SECRET = 'expected { env: NAME } or { file: path }; never the secret itself';

test('a secret in place of its reference: what is expected, at the record’s id, and not the secret', () => {
  const text = problemsOf({
    process: { stripe: { api_key: { STRIPE_API_KEY: null } } },
    records: {
      upstreams: [{ ...upstream, credential: 'sk-secret' }],
      keys: [{ id: 'chat', tenant: 'acme', secret: 'rk_secret' }],
    },
  });
  expect(text).toBe(
    `reckoner.yaml has 3 problem(s):\n  process.stripe.api_key: ${SECRET}\n  records.keys.chat.secret: ${SECRET}\n  records.upstreams.openai.credential: ${SECRET}`,
  );
});

test('a value outside a short list: the list', () => {
  const key = { id: 'chat', tenant: 'acme', secret: { env: 'KEY' }, block_status: 500 };
  expect(problemsOf({ records: { keys: [key] } })).toContain(
    '  records.keys.chat.block_status: expected 402, 429 or 403',
  );
});

test.for([
  [{ records: { upstreams: [{ ...upstream, credentail: { env: 'KEY' } }] } }, 'credential'],
  [{ recrods: {} }, 'records'],
  [{ process: { event_log: { kind: 'kafka', brokers: ['a:1'], prefx: 'x' } } }, 'prefix'],
  [{ records: { routes: [{ id: 'r', steps: [{ target: [] }] }] } }, 'targets'],
] as const)('a field that is not known: the one that is near (%j)', ([raw, meant]) => {
  expect(problemsOf(raw)).toContain(`is not known here; did you mean "${meant}"?`);
});

test('a field near to none, and a record without a usable id', () => {
  const text = problemsOf({ records: { tenants: [{ id: 'a b', colour: 'red' }] } });
  expect(text).toContain('  records.tenants.0: "colour" is not known here');
  expect(text).not.toContain('did you mean');
});
