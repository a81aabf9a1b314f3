/** One way a provider streams, as a caller of the proxy uses it. */
export interface StreamingFlavour {
  name: string;
  /** The upstream as configured; its address is the sandbox's `base` path. */
  upstream: { id: string; provider: string; dialect: string; base: string; models: string[] };
  path: (stream: boolean) => string;
  body: (prompt: string, stream: boolean) => object;
  headers?: Record<string, string>;
  /** Meters the model is sold by beside plain input and output. */
  cached?: boolean;
  reasoning?: boolean;
}

const CLAUDE_ON_BEDROCK = 'global.anthropic.claude-haiku-4-5-20251001-v1:0';

const upstream = (
  id: string,
  base: string,
  model: string,
  rest: { provider?: string; dialect?: string } = {},
): StreamingFlavour['upstream'] => ({
  id,
  provider: rest.provider ?? id,
  dialect: rest.dialect ?? 'openai',
  base,
  models: [model],
});

const said = (prompt: string) => [{ role: 'user', content: prompt }];
const parts = (prompt: string) => [{ role: 'user', content: [{ text: prompt }] }];

const OPENAI = upstream('openai', '/openai', 'gpt-4o-mini');
const ANTHROPIC = upstream('anthropic', '/anthropic', 'claude-haiku-4-5', { dialect: 'anthropic' });
const GEMINI = upstream('gemini', '/gemini', 'gemini-2.5-flash', {
  provider: 'google',
  dialect: 'gemini',
});
const BEDROCK = upstream('bedrock', '/bedrock', CLAUDE_ON_BEDROCK, { dialect: 'bedrock' });
const AZURE = upstream('azure', '/azure', 'gpt-4o-mini', { dialect: 'azure' });
const COHERE = upstream('cohere', '/cohere', 'command-a-03-2025', { dialect: 'cohere' });
const OLLAMA = upstream('ollama', '/ollama', 'llama3.2', { dialect: 'ollama' });
const XAI = upstream('xai', '/xai', 'grok-3-mini');
const GROQ = upstream('groq', '/groq/openai', 'openai/gpt-oss-20b');

const chat = (model: string) => (prompt: string, stream: boolean) => ({
  model,
  stream,
  messages: said(prompt),
});
const generate = (prompt: string) => ({
  contents: [{ role: 'user', parts: [{ text: prompt }] }],
});
const gemini = (query: string) => (stream: boolean) =>
  `/gemini/v1beta/models/gemini-2.5-flash:${stream ? `streamGenerateContent${query}` : 'generateContent'}`;
const bedrock = (whole: string, streamed: string) => (stream: boolean) =>
  `/bedrock/model/${encodeURIComponent(CLAUDE_ON_BEDROCK)}/${stream ? streamed : whole}`;
const same = (path: string) => () => path;

/** Every wire format that streams. */
export const STREAMING_FLAVOURS: readonly StreamingFlavour[] = [
  {
    name: 'OpenAI chat',
    upstream: OPENAI,
    path: same('/openai/v1/chat/completions'),
    body: chat('gpt-4o-mini'),
    cached: true,
    reasoning: true,
  },
  {
    name: 'OpenAI responses',
    upstream: OPENAI,
    path: same('/openai/v1/responses'),
    body: (prompt, stream) => ({ model: 'gpt-4o-mini', stream, input: prompt }),
    cached: true,
    reasoning: true,
  },
  {
    name: 'OpenAI legacy completions',
    upstream: OPENAI,
    path: same('/openai/v1/completions'),
    body: (prompt, stream) => ({ model: 'gpt-3.5-turbo-instruct', stream, prompt }),
  },
  {
    name: 'Azure OpenAI chat',
    upstream: AZURE,
    path: same('/azure/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21'),
    body: (prompt, stream) => ({ stream, messages: said(prompt) }),
    cached: true,
  },
  {
    name: 'Anthropic messages',
    upstream: ANTHROPIC,
    path: same('/anthropic/v1/messages'),
    body: (prompt, stream) => ({
      model: 'claude-haiku-4-5',
      stream,
      max_tokens: 4096,
      messages: said(prompt),
    }),
    cached: true,
    reasoning: true,
  },
  {
    name: 'Gemini, events',
    upstream: GEMINI,
    path: gemini('?alt=sse'),
    body: generate,
    cached: true,
    reasoning: true,
  },
  { name: 'Gemini, JSON array', upstream: GEMINI, path: gemini(''), body: generate, cached: true },
  {
    name: 'Gemini, compatible endpoint',
    upstream: GEMINI,
    path: same('/gemini/v1beta/openai/chat/completions'),
    body: chat('gemini-2.5-flash'),
    reasoning: true,
  },
  {
    name: 'Bedrock converse',
    upstream: BEDROCK,
    path: bedrock('converse', 'converse-stream'),
    body: (prompt) => ({ messages: parts(prompt) }),
    cached: true,
  },
  {
    name: 'Bedrock invoke, Claude',
    upstream: BEDROCK,
    path: bedrock('invoke', 'invoke-with-response-stream'),
    body: (prompt) => ({
      anthropic_version: 'bedrock-2023-05-31',
      max_tokens: 4096,
      messages: said(prompt),
    }),
    cached: true,
  },
  {
    name: 'Cohere v2 chat',
    upstream: COHERE,
    path: same('/cohere/v2/chat'),
    body: chat('command-a-03-2025'),
  },
  {
    name: 'Cohere v1 chat',
    upstream: COHERE,
    path: same('/cohere/v1/chat'),
    body: (prompt, stream) => ({ model: 'command-a-03-2025', stream, message: prompt }),
  },
  {
    name: 'Ollama chat',
    upstream: OLLAMA,
    path: same('/ollama/api/chat'),
    body: chat('llama3.2'),
    cached: true,
  },
  {
    name: 'Ollama generate',
    upstream: OLLAMA,
    path: same('/ollama/api/generate'),
    body: (prompt, stream) => ({ model: 'llama3.2', stream, prompt }),
  },
  {
    name: 'xAI chat',
    upstream: XAI,
    path: same('/xai/v1/chat/completions'),
    body: chat('grok-3-mini'),
    cached: true,
    reasoning: true,
  },
  {
    name: 'Groq chat',
    upstream: GROQ,
    path: same('/groq/v1/chat/completions'),
    body: chat('openai/gpt-oss-20b'),
    cached: true,
    reasoning: true,
  },
];
