import { keepRawUsage } from '../counts.ts';
import type { JsonObject, ReplyReader } from '../flavour.ts';
import { asArray, asLowerWord, asObject, asWord, createTextSeen } from '../flavour.ts';
import { sourceAt } from '../json-span.ts';
import { makeStatement } from '../statement.ts';
import { readBedrockUsage } from './bedrock-usage.ts';

/** The tier, or `optimized` where the latency-optimised variant served the call. */
const tierOf = (object: JsonObject): string | undefined => {
  const tier = asLowerWord(asObject(object['serviceTier'])?.['type'], 64);
  const latency = asObject(object['performanceConfig'])?.['latency'];
  return tier ?? (latency === 'optimized' ? 'optimized' : undefined);
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
    rawUsage = keepRawUsage(sourceAt(source, ['usage']), stated);
  };
  return {
    readBody: read,
    readEvent: ({ source, data }) => read(source, data),
    statement: () => {
      const stated = usage;
      const figures = stated && (() => ({ classes: readBedrockUsage(stated) }));
      return makeStatement({ rawUsage, tier, finishReason }, figures);
    },
    textSeen: seen.text,
  };
};
