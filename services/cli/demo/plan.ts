import type { Random } from './random.ts';
import type { TraceCall } from './trace.ts';

export type DemoEndpoint =
  | 'openai.chat'
  | 'openai.responses'
  | 'openai.embeddings'
  | 'anthropic.messages';

/** One call that the demo will make, wholly decided before the first is sent. */
export interface PlannedCall {
  id: string;
  tenant: string;
  feature: string;
  endpoint: DemoEndpoint;
  /** As the client names it; the provider answers with the dated snapshot. */
  model: string;
  streamed: boolean;
  inputTokens: number;
  cachedTokens: number;
  /** Anthropic only: tokens written to the five-minute cache. */
  cacheWriteTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  /** What goes wrong on the way. `refused`: one 429 before it works. `cut`: the provider breaks off. `leaves`: the client does. */
  mishap: 'none' | 'refused' | 'cut' | 'leaves';
}

export const TENANTS = ['acme', 'globex', 'initech', 'umbrella', 'hooli'] as const;
export const FEATURES = ['chat', 'agent', 'search', 'summaries'] as const;
/** The tenant with a budget it will reach. */
export const BLOCKED_TENANT = 'globex';

/** Every tenth call is the blocked tenant's: then even a short demo has enough of them to stop one. */
const BLOCKED_TENANT_EVERY = 10;

const TENANT_WEIGHTS = [
  ['acme', 34],
  ['initech', 28],
  ['umbrella', 22],
  ['hooli', 16],
] as const;

const FEATURE_WEIGHTS = [
  ['chat', 45],
  ['agent', 25],
  ['search', 18],
  ['summaries', 12],
] as const;

interface Route {
  endpoint: DemoEndpoint;
  model: string;
  streamed: boolean;
}

const ROUTES: Record<(typeof FEATURES)[number], readonly (readonly [Route, number])[]> = {
  chat: [
    [{ endpoint: 'openai.chat', model: 'gpt-4o-mini', streamed: true }, 60],
    [{ endpoint: 'openai.chat', model: 'gpt-4o', streamed: true }, 25],
    [{ endpoint: 'anthropic.messages', model: 'claude-haiku-4-5', streamed: true }, 15],
  ],
  agent: [
    [{ endpoint: 'anthropic.messages', model: 'claude-sonnet-4-5', streamed: true }, 60],
    [{ endpoint: 'openai.responses', model: 'o4-mini', streamed: true }, 30],
    [{ endpoint: 'anthropic.messages', model: 'claude-opus-4-5', streamed: false }, 10],
  ],
  search: [
    [{ endpoint: 'openai.embeddings', model: 'text-embedding-3-small', streamed: false }, 60],
    [{ endpoint: 'openai.chat', model: 'gpt-4.1-mini', streamed: false }, 40],
  ],
  summaries: [
    [{ endpoint: 'openai.responses', model: 'gpt-4.1-mini', streamed: false }, 50],
    [{ endpoint: 'anthropic.messages', model: 'claude-sonnet-4-5', streamed: false }, 50],
  ],
};

const mishapOf = (random: Random, tenant: string, streamed: boolean): PlannedCall['mishap'] => {
  // The blocked tenant has none: its money must not depend on who is faster.
  if (tenant === BLOCKED_TENANT) return 'none';
  const roll = random.next();
  if (roll < 0.028) return 'refused';
  if (!streamed) return 'none';
  if (roll < 0.036) return 'cut';
  if (roll < 0.066) return 'leaves';
  return 'none';
};

const planCall = (random: Random, call: TraceCall, number: number): PlannedCall => {
  const tenant = number % BLOCKED_TENANT_EVERY === 0 ? BLOCKED_TENANT : random.pick(TENANT_WEIGHTS);
  const feature = random.pick(FEATURE_WEIGHTS);
  const route = random.pick(ROUTES[feature]);
  const mishap = mishapOf(random, tenant, route.streamed);
  const embeddings = route.endpoint === 'openai.embeddings';
  const anthropic = route.endpoint === 'anthropic.messages';
  const cachedTokens = embeddings ? 0 : call.cachedTokens;
  const uncached = call.inputTokens - cachedTokens;
  return {
    id: `call-${number}`,
    tenant,
    feature,
    ...route,
    inputTokens: call.inputTokens,
    cachedTokens,
    cacheWriteTokens: anthropic && random.chance(0.3) ? Math.floor(uncached / 2) : 0,
    outputTokens: embeddings ? 0 : call.outputTokens,
    reasoningTokens: route.model === 'o4-mini' ? Math.floor(call.outputTokens / 3) : 0,
    mishap,
  };
};

/** Decides every call of the demo from a trace and a seed. Same trace and seed, same plan. */
export const planCalls = (random: Random, trace: readonly TraceCall[]): PlannedCall[] =>
  trace.map((call, index) => planCall(random, call, index + 1));
