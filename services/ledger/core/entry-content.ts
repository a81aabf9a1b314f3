import type { RatedUsage } from '../../../schemas/rated-usage.ts';

const decoder = new TextDecoder();

/**
 * What two records of one entry must agree in: their bytes, but for the month they were posted into. Rated again after its month
 * was closed, the same usage is posted later; what the ledger took first stands, and the second is a duplicate, no conflict.
 */
export const contentOfEntry = (
  bytes: Uint8Array,
  { period, posting_period: posted }: Pick<RatedUsage, 'period' | 'posting_period'>,
): Uint8Array | string => {
  if (posted === period) return bytes;
  const field = '"posting_period":"';
  // Inside a text quotes are escaped, and of the fields of that name the entry's own comes before those of its tags.
  return decoder.decode(bytes).replace(`${field}${posted}"`, `${field}${period}"`);
};
