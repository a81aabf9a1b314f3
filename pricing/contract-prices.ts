import type { Instant } from '../schemas/instant.ts';
import type { ContractBook, ContractPrice, Price } from '../schemas/price-book.ts';
import { ContractBookSchema } from '../schemas/price-book.ts';
import { Money } from './money.ts';
import { ceilingOf } from './price-book-lint.ts';
import type { FoundPrice } from './price-schedule.ts';
import { PRICE_PLACES, withScaledPrice } from './price-schedule.ts';

interface Term {
  readonly price: ContractPrice;
  readonly label: string;
  readonly knownFrom: Instant;
  /** List prices this term has been applied to: one multiplication a price, not one an event. */
  readonly applied: Map<string, FoundPrice>;
}

/** What all contracts say for one account of one provider. */
export interface AccountTerms {
  /** `name@version` of every contract known then, in one text; null when there was none. */
  versionAt(knownAt: Instant): string | null;
  /** The agreed price in place of a list price, or the list price itself. */
  apply(list: FoundPrice, when: { at: Instant; knownAt: Instant; listModel: string }): FoundPrice;
}

const tiersOf = (list: Price): readonly string[] => list.when?.tier ?? [];

const matches = (term: ContractPrice, list: Price, listModel: string): boolean => {
  if (term.models !== undefined && !term.models.includes(listModel)) return false;
  if (term.meters !== undefined && !term.meters.includes(list.meter)) return false;
  if (term.tier !== undefined) return tiersOf(list).some((tier) => term.tier?.includes(tier));
  if (term.factor !== undefined) return true;
  return list.when === undefined;
};

const applyTerm = (term: Term, list: FoundPrice): FoundPrice => {
  const before = term.applied.get(list.price.price_id);
  if (before) return before;
  const { unit_price: fixed, factor } = term.price;
  const exact =
    fixed === undefined ? new Money(list.price.unit_price).times(factor ?? '1') : new Money(fixed);
  const unitPrice = exact.toFixed();
  // An agreed price settles what the public sources dispute; a factor on a disputed price does not.
  const { claim, ...undisputed } = list.price;
  const price: Price = {
    ...undisputed,
    ...(claim === undefined || fixed !== undefined ? {} : { claim }),
    unit_price: unitPrice,
    price_id: `${term.label}/${term.price.id} on ${list.price.price_id}`.slice(0, 300),
  };
  const applied: FoundPrice =
    exact.decimalPlaces() > PRICE_PLACES
      ? { ...list, inexact: true }
      : { ...withScaledPrice(price), scaledEdge: list.scaledEdge };
  term.applied.set(list.price.price_id, applied);
  return applied;
};

/** Fixed prices before factors, then the later valid_from, then the one known later; one term applies, terms do not stack. */
const precedence = (left: Term, right: Term): number => {
  const fixed =
    Number(right.price.unit_price !== undefined) - Number(left.price.unit_price !== undefined);
  if (fixed !== 0) return fixed;
  if (left.price.valid_from !== right.price.valid_from) {
    return left.price.valid_from > right.price.valid_from ? -1 : 1;
  }
  return left.knownFrom > right.knownFrom ? -1 : 1;
};

const termsOf = (books: readonly ContractBook[]): AccountTerms => {
  const terms = books
    .flatMap((book) =>
      book.prices.map(
        (price): Term => ({
          price,
          label: `${book.contract}@${book.version}`,
          knownFrom: book.known_from,
          applied: new Map(),
        }),
      ),
    )
    .sort(precedence);
  const contractOf = (term: Term): string => term.label.slice(0, term.label.lastIndexOf('@'));
  /** A later version that states the same id replaces the term, its end date included. */
  const isReplaced = (term: Term, knownAt: Instant): boolean =>
    terms.some(
      (other) =>
        other.price.id === term.price.id &&
        contractOf(other) === contractOf(term) &&
        other.knownFrom > term.knownFrom &&
        other.knownFrom <= knownAt,
    );
  return {
    versionAt: (knownAt) => {
      const newest = new Map<string, number>();
      for (const book of books) {
        if (book.known_from <= knownAt) newest.set(book.contract, book.version);
      }
      if (newest.size === 0) return null;
      return [...newest].map(([contract, version]) => `${contract}@${version}`).join('+');
    },
    apply: (list, { at, knownAt, listModel }) => {
      const term = terms.find(
        (candidate) =>
          candidate.knownFrom <= knownAt &&
          candidate.price.valid_from <= at &&
          (candidate.price.valid_to === undefined || candidate.price.valid_to > at) &&
          matches(candidate.price, list.price, listModel) &&
          !isReplaced(candidate, knownAt),
      );
      return term === undefined ? list : applyTerm(term, list);
    },
  };
};

/** Nobody agrees to more than twice the list: 15 for 15 % is above it. */
const FACTOR_AT_MOST = '2';

const lintTerm = (
  where: string,
  { unit_price: fixed, factor, ...term }: ContractPrice,
): string[] => {
  const problems: string[] = [];
  if (factor !== undefined && new Money(factor).gt(FACTOR_AT_MOST)) {
    problems.push(
      `${where}: a factor of ${factor} on the list price is above the plausible ${FACTOR_AT_MOST}; 15 % off is 0.85.`,
    );
  }
  for (const meter of fixed === undefined ? [] : (term.meters ?? [])) {
    const ceiling = ceilingOf(meter);
    if (fixed === undefined || !new Money(fixed).gt(ceiling)) continue;
    problems.push(
      `${where}: ${fixed} USD for one of ${meter} is above the plausible ${ceiling}; was a price per million or per thousand typed?`,
    );
  }
  if (term.valid_to !== undefined && term.valid_to <= term.valid_from) {
    problems.push(
      `${where}: valid_to ${term.valid_to} is not after valid_from ${term.valid_from}.`,
    );
  }
  return problems;
};

/** Problems of contracts taken by themselves; empty when there are none. */
export const lintContracts = (contracts: readonly ContractBook[]): string[] => {
  const problems: string[] = [];
  const versions = new Map<string, ContractBook>();
  for (const book of contracts) {
    const parsed = ContractBookSchema.safeParse(book);
    if (!parsed.success) {
      problems.push(
        ...parsed.error.issues.map(
          (issue) => `contract ${book?.contract}: ${issue.path.join('.')}: ${issue.message}`,
        ),
      );
      continue;
    }
    const name = `${book.provider} contract ${book.contract}`;
    const before = versions.get(name);
    const expected = (before?.version ?? 0) + 1;
    if (book.version !== expected) {
      problems.push(`${name}: expected version ${expected}, found ${book.version}.`);
    }
    if (before && book.known_from <= before.known_from) {
      problems.push(
        `${name} version ${book.version}: known_from is not after that of version ${before.version}, so its terms would replace none of the earlier ones.`,
      );
    }
    versions.set(name, book);
    for (const term of book.prices) {
      problems.push(...lintTerm(`${name}@${book.version} term ${term.id}`, term));
    }
    const ids = book.prices.map(({ id }) => id);
    if (new Set(ids).size < ids.length) {
      problems.push(`${name}@${book.version}: one id stands for two prices of the same version.`);
    }
  }
  return problems;
};

/** Terms by `provider account`. Contracts of one name in the order of their versions. */
export const indexContracts = (
  contracts: readonly ContractBook[],
): ReadonlyMap<string, AccountTerms> => {
  const groups = new Map<string, ContractBook[]>();
  for (const book of contracts) {
    for (const account of book.accounts) {
      const key = `${book.provider} ${account}`;
      groups.set(key, [...(groups.get(key) ?? []), book]);
    }
  }
  return new Map([...groups].map(([key, books]) => [key, termsOf(books)]));
};
