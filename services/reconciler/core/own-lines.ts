import type { CauseName } from './causes.ts';

/** Words of lines that give something back. */
const CREDIT =
  /\b(credits?|promo|promotions?|promotional|grants?|discounts?|rebates?|refunds?|goodwill|allowances?|complimentary|free (tier|tokens?|usage))\b/i;
/** Words of lines that are charged on top of usage. */
const ON_TOP =
  /\b(vat|gst|hst|pst|qst|tax|taxes|mwst|iva|tva|(platform|service|processing|payment|transaction|top-up|byok) fees?)\b/i;

export interface OwnLine {
  class: CauseName;
  explained: boolean;
  text: string;
}

export const CREDIT_TEXT = 'credits, promotions and free allowances on the statement';
export const TAX_TEXT = 'taxes and fees on the statement';
export const NEGATIVE_TEXT = 'negative lines that do not say what they give back';

/**
 * What a line of a statement is that is not for usage: by its own text, word by word, and by its sign. A line that both mention tax and
 * give something back is a credit. A positive line that speaks of credit (buying some, say) is none of the two.
 * @param line of one sign; `isMapped` where a table knows its model and meter.
 * @returns null for usage, and for what nobody can read.
 */
export const meaningOfOwnLine = (line: {
  isMapped: boolean;
  isNegative: boolean;
  description: string;
}): OwnLine | null => {
  const { isMapped, isNegative, description } = line;
  const isCredit = CREDIT.test(description);
  if (isNegative && isCredit && !isMapped) {
    return { class: 'credit', explained: true, text: CREDIT_TEXT };
  }
  if (!isMapped && !isCredit && ON_TOP.test(description)) {
    return { class: 'tax', explained: true, text: TAX_TEXT };
  }
  return isNegative ? { class: 'credit', explained: false, text: NEGATIVE_TEXT } : null;
};
