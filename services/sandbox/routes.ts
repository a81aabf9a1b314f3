import { MESSAGES } from './anthropic-messages.ts';
import { ANTHROPIC } from './anthropic-vendor.ts';
import { CONVERSE } from './bedrock-converse.ts';
import { INVOKE_MODEL } from './bedrock-invoke.ts';
import { COHERE_CHAT_V1, COHERE_CHAT_V2 } from './cohere-chat.ts';
import { AZURE_CHAT, GEMINI_CHAT, GROQ_CHAT, XAI_CHAT } from './compatible-chat.ts';
import type { Endpoint, Vendor } from './dialect.ts';
import { GENERATE_CONTENT } from './gemini-generate.ts';
import { OLLAMA_CHAT, OLLAMA_GENERATE } from './ollama-native.ts';
import { CHAT_COMPLETIONS } from './openai-chat.ts';
import { COMPLETIONS } from './openai-completions.ts';
import { EMBEDDINGS } from './openai-embeddings.ts';
import { RESPONSES } from './openai-responses.ts';
import { OPENAI } from './openai-vendor.ts';
import {
  AZURE,
  BEDROCK,
  COHERE,
  GOOGLE,
  GOOGLE_COMPATIBLE,
  GROQ,
  OLLAMA,
  XAI,
} from './other-vendors.ts';
import type { Route } from './provider-call.ts';

/** Endpoints whose path says all there is. */
const PLAIN: Readonly<Record<string, Route>> = {
  '/openai/v1/chat/completions': { vendor: OPENAI, endpoint: CHAT_COMPLETIONS },
  '/openai/v1/responses': { vendor: OPENAI, endpoint: RESPONSES },
  '/openai/v1/embeddings': { vendor: OPENAI, endpoint: EMBEDDINGS },
  '/openai/v1/completions': { vendor: OPENAI, endpoint: COMPLETIONS },
  '/anthropic/v1/messages': { vendor: ANTHROPIC, endpoint: MESSAGES },
  '/gemini/v1beta/openai/chat/completions': { vendor: GOOGLE_COMPATIBLE, endpoint: GEMINI_CHAT },
  '/cohere/v1/chat': { vendor: COHERE, endpoint: COHERE_CHAT_V1 },
  '/cohere/v2/chat': { vendor: COHERE, endpoint: COHERE_CHAT_V2 },
  '/ollama/api/chat': { vendor: OLLAMA, endpoint: OLLAMA_CHAT },
  '/ollama/api/generate': { vendor: OLLAMA, endpoint: OLLAMA_GENERATE },
  '/xai/v1/chat/completions': { vendor: XAI, endpoint: XAI_CHAT },
  '/groq/openai/v1/chat/completions': { vendor: GROQ, endpoint: GROQ_CHAT },
};

interface NamedInPath {
  readonly pattern: RegExp;
  readonly vendor: Vendor;
  readonly endpoint: Endpoint;
  /** The second part of the path that stands for a stream; elsewhere the body decides. */
  readonly streams?: string;
}

/** Endpoints whose path names the model, and some of whose paths say whether it streams. */
const NAMED: readonly NamedInPath[] = [
  {
    pattern: /^\/gemini\/v1(?:beta)?\/models\/([^/:]+):(streamGenerateContent|generateContent)$/,
    vendor: GOOGLE,
    endpoint: GENERATE_CONTENT,
    streams: 'streamGenerateContent',
  },
  {
    pattern: /^\/bedrock\/model\/([^/]+)\/(converse|converse-stream)$/,
    vendor: BEDROCK,
    endpoint: CONVERSE,
    streams: 'converse-stream',
  },
  {
    pattern: /^\/bedrock\/model\/([^/]+)\/(invoke|invoke-with-response-stream)$/,
    vendor: BEDROCK,
    endpoint: INVOKE_MODEL,
    streams: 'invoke-with-response-stream',
  },
  {
    pattern: /^\/azure\/openai\/deployments\/([^/]+)\/(chat\/completions)$/,
    vendor: AZURE,
    endpoint: AZURE_CHAT,
  },
];

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** The metered endpoint behind a path, or undefined. */
export const metered = (path: string, query: URLSearchParams): Route | undefined => {
  const plain = PLAIN[path];
  if (plain !== undefined) return plain;
  for (const { pattern, vendor, endpoint, streams } of NAMED) {
    const match = pattern.exec(path);
    if (match?.[1] === undefined) continue;
    const stream = streams === undefined ? {} : { stream: match[2] === streams };
    return { vendor, endpoint, target: { model: decoded(match[1]), query, ...stream } };
  }
  return undefined;
};

const VENDORS: readonly (readonly [string, Vendor])[] = [
  ['/openai/', OPENAI],
  ['/anthropic/', ANTHROPIC],
  ['/gemini/', GOOGLE],
  ['/bedrock/', BEDROCK],
  ['/azure/', AZURE],
  ['/cohere/', COHERE],
  ['/ollama/', OLLAMA],
  ['/xai/', XAI],
  ['/groq/', GROQ],
];

/** Whose error shape a path without a metered endpoint is answered in; undefined for paths of no vendor. */
export const vendorOf = (path: string): Vendor | undefined =>
  VENDORS.find(([prefix]) => path.startsWith(prefix))?.[1];
