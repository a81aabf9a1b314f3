import type { Instant } from '../schemas/instant.ts';
import type { Allowance, PassThrough, PriceBook } from '../schemas/price-book.ts';

/** A rule of a book beside its prices, with the version it stands in. */
export interface BookRule<Rule> {
  /** `openrouter@2/pass-through/1`. */
  readonly id: string;
  readonly rule: Rule;
  readonly knownFrom: Instant;
}

interface DatedRule {
  valid_from: Instant;
  valid_to?: Instant | undefined;
}

/** Rules of the versions of one provider's book, the one known last first. */
export const rulesOfBooks = <Rule>(
  books: readonly PriceBook[],
  kind: string,
  rulesOf: (book: PriceBook) => readonly Rule[] | undefined,
): BookRule<Rule>[] =>
  [...books]
    .sort((left, right) => right.version - left.version)
    .flatMap((book) =>
      (rulesOf(book) ?? []).map((rule, place) => ({
        id: `${book.provider}@${book.version}/${kind}/${place + 1}`,
        rule,
        knownFrom: book.known_from,
      })),
    );

/**
 * What stands at an instant of knowledge: of rules about the same thing with the same valid_from the one known last, its end
 * included. A version that does not restate a rule leaves it as it is; a rule ends by being stated again with a valid_to.
 * @param rules the one known last first.
 */
export const rulesKnown = <Rule extends DatedRule>(
  rules: readonly BookRule<Rule>[],
  knownAt: Instant,
  subjectOf: (rule: Rule) => string,
): BookRule<Rule>[] => {
  const seen = new Set<string>();
  return rules.filter(({ rule, knownFrom }) => {
    if (knownFrom > knownAt) return false;
    const key = `${subjectOf(rule)} ${rule.valid_from}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
};

/** Half-open. */
export const isValidAt = (rule: DatedRule, at: Instant): boolean =>
  rule.valid_from <= at && (rule.valid_to === undefined || rule.valid_to > at);

/** What an allowance is about: a later version that says the same of it replaces it. */
export const allowanceSubject = ({ meter, models, per }: Allowance): string =>
  JSON.stringify([meter, per, models === undefined ? null : [...models].sort()]);

/** What a rule of pass-through is about. */
export const passThroughSubject = (rule: PassThrough): string =>
  JSON.stringify(rule.models === undefined ? null : [...rule.models].sort());
