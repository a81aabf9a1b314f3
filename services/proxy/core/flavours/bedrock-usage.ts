import type { ClassQuantities } from '../../../../schemas/usage-event.ts';
import { mustHold, requiredCount, statedCount } from '../counts.ts';
import type { JsonObject } from '../flavour.ts';
import { asArray, asObject } from '../flavour.ts';

/** Cache writes by the time to live that `cacheDetails` states; without it five minutes, the default. */
const readWrites = (usage: JsonObject, written: number | undefined): ClassQuantities => {
  const details = asArray(usage['cacheDetails']).map(asObject);
  if (written === undefined && details.length === 0) return {};
  let hour = 0;
  let five = 0;
  for (const entry of details) {
    const count = requiredCount(entry, 'inputTokens');
    if (entry?.['ttl'] === '1h') hour += count;
    else five += count;
  }
  const total = written ?? hour + five;
  mustHold(details.length === 0 || total === hour + five);
  return {
    cache_write_5m: String(total - hour),
    ...(hour > 0 ? { cache_write_1h: String(hour) } : {}),
  };
};

/**
 * Disjoint classes of Bedrock's own usage object, which Converse and the Nova models share: what was cached is additional to
 * `inputTokens`, and the total is the sum of all four.
 * @throws UnreadableUsage
 */
export const readBedrockUsage = (usage: JsonObject): ClassQuantities => {
  const input = requiredCount(usage, 'inputTokens');
  const output = statedCount(usage, 'outputTokens');
  const cached =
    statedCount(usage, 'cacheReadInputTokens') ?? statedCount(usage, 'cacheReadInputTokenCount');
  const written =
    statedCount(usage, 'cacheWriteInputTokens') ?? statedCount(usage, 'cacheWriteInputTokenCount');
  const total = statedCount(usage, 'totalTokens');
  mustHold(total === undefined || total === input + (output ?? 0) + (cached ?? 0) + (written ?? 0));
  return {
    input_uncached: String(input),
    ...(cached === undefined ? {} : { cache_read: String(cached) }),
    ...readWrites(usage, written),
    ...(output === undefined ? {} : { output_text: String(output) }),
  };
};

/** Counts that AWS itself states about a model of any vendor: in headers, or as metrics in the last chunk of a stream. */
export const readInvocationCounts = (counts: JsonObject): ClassQuantities => ({
  input_uncached: String(requiredCount(counts, 'inputTokenCount')),
  ...Object.fromEntries(
    (
      [
        ['cache_read', 'cacheReadInputTokenCount'],
        ['cache_write_5m', 'cacheWriteInputTokenCount'],
        ['output_text', 'outputTokenCount'],
      ] as const
    ).flatMap(([name, key]) => {
      const count = statedCount(counts, key);
      return count === undefined ? [] : [[name, String(count)]];
    }),
  ),
});
