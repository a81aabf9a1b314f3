import type { RatedUsage } from '../../../schemas/rated-usage.ts';

/** A plain decimal string as an integer of units of 10^-scale; null when it has more places than that. */
const scaled = (text: string, scale: number): bigint | null => {
  const negative = text.startsWith('-');
  const [whole = '0', fraction = ''] = (negative ? text.slice(1) : text).split('.');
  if (fraction.length > scale && !/^0*$/.test(fraction.slice(scale))) return null;
  const value = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'));
  return negative ? -value : value;
};

const QUANTITY_PLACES = 6;
const PRICE_PLACES = 12;
const AMOUNT_PLACES = 18;
/** The largest value `Decimal(38, s)` can hold, in its own units. The warehouse wraps beyond it without a word. */
const LARGEST = 10n ** 38n - 1n;

const fits = (value: bigint): boolean => value <= LARGEST && value >= -LARGEST;

/** An instant that exists and that the warehouse can hold: years 1970 to 2261. Takes what the schema has passed. */
export const isStorableInstant = (instant: string): boolean => {
  if (instant < '1970' || instant >= '2262') return false;
  // Only the last days of a month can be missing from one; asking the calendar is dear at this rate.
  if (instant.slice(8, 10) <= '28') return true;
  const time = new Date(instant);
  return !Number.isNaN(time.getTime()) && time.toISOString() === instant;
};

const checkCharges = (entry: RatedUsage): string | null => {
  let total = 0n;
  for (const [index, charge] of entry.charges.entries()) {
    const quantity = scaled(charge.quantity, QUANTITY_PLACES);
    const price = scaled(charge.unit_price, PRICE_PLACES);
    const amount = scaled(charge.amount_usd, AMOUNT_PLACES);
    if (quantity === null) return `charge ${index} has a quantity of more than 6 decimal places`;
    if (price === null || amount === null || quantity * price !== amount) {
      return `charge ${index} has an amount that is not its quantity times its unit price`;
    }
    total += amount;
    if (!fits(amount) || !fits(quantity) || !fits(total)) {
      return `charge ${index} is larger than the ledger can hold`;
    }
  }
  if (entry.total_usd !== undefined && scaled(entry.total_usd, AMOUNT_PLACES) !== total) {
    return 'the total is not the sum of the charges';
  }
  return null;
};

/**
 * Whether an entry can be believed: its identity fits its parts, its arithmetic is exact to the last digit, the warehouse can hold it.
 * @returns what is wrong, in words, or null.
 */
export const checkEntry = (entry: RatedUsage): string | null => {
  if (entry.entry_id !== `${entry.event_id}/${entry.revision}/${entry.kind}`) {
    return 'the entry_id is not made of event_id, revision and kind';
  }
  if (!isStorableInstant(entry.event_ts) || !isStorableInstant(entry.closed_at)) {
    return 'event_ts or closed_at is not an instant between 1970 and 2261';
  }
  if (entry.outcome === 'unrated' && entry.charges.length > 0)
    return 'an unrated entry has charges';
  return checkCharges(entry);
};
