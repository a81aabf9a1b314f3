import type { Guard } from './guard.ts';

const DROP_IN = 'test/integration/proxy-drop-in.test.ts';
const SSRF = 'test/integration/proxy-ssrf.test.ts';
const SMUGGLING = 'test/integration/proxy-smuggling.test.ts';
const SECRETS = 'test/integration/proxy-secrets.test.ts';
const HEADERS = 'services/proxy/core/headers.ts';
const CONNECT = 'services/proxy/safe-connect.ts';

/** Who a call belongs to, and what may never pass: dimensions, headers, addresses, secrets. */
export const dropinGuards: readonly Guard[] = [
  {
    name: 'request-id-is-ours',
    protects: ['case 27'],
    file: 'services/proxy/app.ts',
    find: '  const requestId = newId();\n  const route',
    replace:
      "  const requestId = String(req.headers['helicone-request-id'] ?? newId());\n  const route",
    test: { file: DROP_IN, name: 'case 27 ·' },
  },
  {
    name: 'agent-sessions-are-read',
    protects: ['case 65'],
    file: 'services/proxy/core/foreign-attribution.ts',
    find: "  ['x-claude-code-agent-id', 'claude_code', as('agent')],\n",
    replace: '',
    test: { file: DROP_IN, name: 'case 65 · a coding agent’s call' },
  },
  {
    name: 'native-route-obeys-budget',
    protects: ['case 59', 'case 65'],
    file: 'services/proxy/admit-call.ts',
    find: 'if (!budget.admitted && route.flavour !== null)',
    replace: "if (!budget.admitted && route.flavour === 'openai.chat')",
    test: { file: DROP_IN, name: 'case 65 · and is blocked' },
  },
  {
    name: 'literal-address-checked',
    protects: ['row 71'],
    file: CONNECT,
    find: 'if (isIP(host) !== 0 && !mayBe(host)) return done(refused(), null);',
    replace: '',
    test: { file: SSRF, name: 'cloud metadata, https://169.254.169.254/, is refused' },
  },
  {
    name: 'resolved-address-checked',
    protects: ['row 71'],
    file: CONNECT,
    find: 'found.filter((entry) => mayBe(entry.address))',
    replace: 'found',
    test: { file: SSRF, name: 'of a mixed answer only the public addresses' },
  },
  {
    name: 'metadata-refused-in-private-networks',
    protects: ['row 71'],
    file: CONNECT,
    find: 'const mayBe = allowPrivate ? isPrivateAddress : isPublicAddress;',
    replace: 'const mayBe = allowPrivate ? () => true : isPublicAddress;',
    test: { file: SSRF, name: 'a name is asked for once per connection' },
  },
  {
    name: 'credential-not-in-clear',
    protects: ['row 71'],
    file: CONNECT,
    find: "if (!allowPrivate && options.protocol !== 'https:') return done(refused(), null);",
    replace: '',
    test: { file: SSRF, name: 'a provider that would be called without encryption' },
  },
  {
    name: 'upstream-headers-are-a-list',
    protects: ['row 72', 'row 73'],
    file: HEADERS,
    find: 'if (!known || value === undefined',
    replace: 'if (value === undefined',
    test: {
      file: DROP_IN,
      name: 'nothing of the caller’s but what a provider reads travels to openai',
    },
  },
  {
    name: 'nominated-headers-stay',
    protects: ['row 72'],
    file: HEADERS,
    find: 'value === undefined || dropped.has(name) || NOT_FOR_UPSTREAM',
    replace: 'value === undefined || NOT_FOR_UPSTREAM',
    test: { file: SMUGGLING, name: 'headers that Connection names stay here' },
  },
  {
    name: 'strict-http-parser',
    protects: ['row 72'],
    file: 'services/proxy/doors.ts',
    find: 'insecureHTTPParser: false',
    replace: 'insecureHTTPParser: true',
    test: { file: SMUGGLING, name: 'Content-Length and Transfer-Encoding is answered 4xx' },
  },
  {
    name: 'trace-shows-no-credential',
    protects: ['row 72', 'row 73'],
    file: 'services/proxy/app.ts',
    find: "if (!METHODS.has(req.method ?? '')) return deny(BAD_METHOD);",
    replace: '',
    test: { file: SMUGGLING, name: 'TRACE, which would show the credential' },
  },
  {
    name: 'model-names-are-no-sentences',
    protects: ['row 73'],
    file: 'services/proxy/core/request-facts.ts',
    find: 'named !== undefined && MODEL_SHAPE.test(named)',
    replace: 'named !== undefined',
    test: { file: SECRETS, name: 'row 73 ·' },
  },
  {
    name: 'query-credential-stays',
    protects: ['row 73'],
    file: HEADERS,
    find: '.filter((pair) => !SECRET_PARAMETER.test(decodedName(pair)))',
    replace: '',
    test: { file: DROP_IN, name: 'a credential in the address stays here' },
  },
  {
    name: 'aws-secret-not-told',
    protects: ['row 73'],
    file: 'services/proxy/sign-aws.ts',
    find: 'The credential of upstream ${upstream.id} is neither',
    replace: 'The credential ${secret} of upstream ${upstream.id} is neither',
    test: { file: SECRETS, name: 'row 73 ·' },
  },
];
