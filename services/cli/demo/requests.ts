import type { PlannedCall } from './plan.ts';

/** One planned call as a client sends it. */
export interface DemoRequest {
  path: string;
  headers: Record<string, string>;
  body: string;
}

/**
 * What the sandbox is to pretend, in its own words, inside the last user message: the one place that every SDK and proxy
 * leaves alone.
 */
const directive = (call: PlannedCall): string => {
  const words = [
    `id=${call.id}`,
    `input=${call.inputTokens}`,
    `cached=${call.cachedTokens}`,
    `output=${call.outputTokens}`,
  ];
  if (call.cacheWriteTokens > 0) words.push(`write5m=${call.cacheWriteTokens}`);
  if (call.reasoningTokens > 0) words.push(`reasoning=${call.reasoningTokens}`);
  if (call.mishap === 'refused') words.push('status=429x1');
  if (call.mishap === 'cut') words.push(`cut=after:${Math.ceil(call.outputTokens / 2)}`);
  if (call.mishap === 'leaves') words.push('chunk_ms=2', 'chunks=40');
  else if (call.streamed) words.push('chunks=12');
  return `[[sandbox ${words.join(' ')}]]`;
};

const openAiChat = (call: PlannedCall, text: string) => ({
  model: call.model,
  stream: call.streamed,
  max_completion_tokens: call.outputTokens + 64,
  messages: [{ role: 'user', content: text }],
});

const openAiResponses = (call: PlannedCall, text: string) => ({
  model: call.model,
  stream: call.streamed,
  max_output_tokens: call.outputTokens + 64,
  input: text,
});

const anthropicMessages = (call: PlannedCall, text: string) => ({
  model: call.model,
  stream: call.streamed,
  max_tokens: call.outputTokens + 64,
  messages: [{ role: 'user', content: text }],
});

const bodyOf = (call: PlannedCall): { path: string; body: object } => {
  const text = `Please go on. ${directive(call)}`;
  switch (call.endpoint) {
    case 'openai.chat':
      return { path: '/openai/v1/chat/completions', body: openAiChat(call, text) };
    case 'openai.responses':
      return { path: '/openai/v1/responses', body: openAiResponses(call, text) };
    case 'openai.embeddings':
      return { path: '/openai/v1/embeddings', body: { model: call.model, input: text } };
    case 'anthropic.messages':
      return { path: '/anthropic/v1/messages', body: anthropicMessages(call, text) };
  }
};

/** Turns a planned call into a request to the proxy, with the caller's virtual key in its dialect's header. */
export const requestOf = (call: PlannedCall, virtualKey: string): DemoRequest => {
  const { path, body } = bodyOf(call);
  const anthropic = call.endpoint === 'anthropic.messages';
  return {
    path,
    headers: {
      'content-type': 'application/json',
      ...(anthropic
        ? { 'x-api-key': virtualKey, 'anthropic-version': '2023-06-01' }
        : { authorization: `Bearer ${virtualKey}` }),
      'x-reckoner-feature': call.feature,
    },
    body: JSON.stringify(body),
  };
};
