import type { UnitQuantities } from '../../../../schemas/usage-event.ts';
import { keepRawUsage, statedCount } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asArray, asLowerWord, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { joinRaw, makeStatement } from '../statement.ts';
import { readBedrockUsage } from './bedrock-usage.ts';

/** The tier, or `optimized` where the latency-optimised variant served the call. */
const tierOf = (object: JsonObject): string | undefined => {
  const tier = asLowerWord(asObject(object['serviceTier'])?.['type'], 64);
  const latency = asObject(object['performanceConfig'])?.['latency'];
  return tier ?? (latency === 'optimized' ? 'optimized' : undefined);
};

/** What guardrails used, beside the tokens: sold by units of their own, which are kept and not booked. */
const guardrailUsage = (source: string, object: JsonObject): string | undefined => {
  const path = asObject(object['trace']) ? ['trace', 'guardrail'] : ['guardrail'];
  const guardrail = path.reduce<JsonObject | null>((at, name) => asObject(at?.[name]), object);
  const input = asObject(guardrail?.['inputAssessment']);
  const used = Object.entries(input ?? {}).flatMap(([name, assessment]) => {
    const metrics = asObject(asObject(assessment)?.['invocationMetrics']);
    const usage = asObject(metrics?.['usage']);
    const within = [...path, 'inputAssessment', name, 'invocationMetrics', 'usage'];
    return usage ? [keepRawUsage(sourceAt(source, within), usage)] : [];
  });
  return joinRaw(used);
};

/** Calls of the host's own tools. */
const readTools = (usage: JsonObject): UnitQuantities => {
  const tools = asObject(usage['serverToolUsage']) ?? asObject(usage['serverToolUse']);
  const searches = statedCount(tools, 'webSearchRequests') ?? 0;
  return searches > 0 ? { web_search_requests: String(searches) } : {};
};

/**
 * Bedrock Converse and ConverseStream, whose usage is in the last event (`metadata`); a stream that stops before it states nothing. The
 * model is not named in replies.
 */
export const createBedrockConverseReader = (): ReplyReader => {
  const seen = createTextSeen();
  let usage: JsonObject | null = null;
  let rawUsage: string | undefined;
  let tier: string | undefined;
  let finishReason: string | undefined;

  const see = (block: JsonObject | null): void => {
    seen.add(block?.['text']);
    seen.add(asObject(block?.['reasoningContent'])?.['text']);
    const input = asObject(block?.['toolUse'])?.['input'];
    seen.add(typeof input === 'object' ? JSON.stringify(input) : input);
  };
  const read = (source: string, data: unknown): void => {
    const object = asObject(data);
    if (!object) return;
    finishReason = asWord(object['stopReason'], 64) ?? finishReason;
    tier = tierOf(object) ?? tier;
    see(asObject(object['delta']));
    const message = asObject(asObject(object['output'])?.['message']);
    for (const block of asArray(message?.['content'])) see(asObject(block));
    const stated = asObject(object['usage']);
    if (!stated) return;
    usage = stated;
    rawUsage = joinRaw([
      keepRawUsage(sourceAt(source, ['usage']), stated),
      guardrailUsage(source, object),
    ]);
  };
  return {
    readBody: read,
    readEvent: ({ source, data }) => read(source, data),
    statement: () => {
      const stated = usage;
      const figures =
        stated && (() => ({ classes: readBedrockUsage(stated), units: readTools(stated) }));
      return makeStatement({ rawUsage, tier, finishReason }, figures);
    },
    textSeen: seen.text,
  };
};
