import type { BookRule } from '../../../pricing/book-rules.ts';
import {
  allowanceSubject,
  isValidAt,
  passThroughSubject,
  rulesKnown,
  rulesOfBooks,
} from '../../../pricing/book-rules.ts';
import type { PriceBooks } from '../../../pricing/price-books.ts';
import type { Allowance, PassThrough } from '../../../schemas/price-book.ts';
import type { PriceFilter, PriceRow } from './prices.ts';

const rowOf = (
  { id, rule, knownFrom }: BookRule<Allowance | PassThrough>,
  says: Pick<PriceRow, 'meter' | 'context' | 'unit_price'>,
): PriceRow => ({
  book: id.slice(0, id.indexOf('/')),
  model: rule.models?.join(' ') ?? '*',
  meter: says.meter,
  tier: '',
  geo: '',
  context: says.context,
  claim: '',
  unit_price: says.unit_price,
  valid_from: rule.valid_from,
  valid_to: rule.valid_to ?? '',
  known_from: knownFrom,
  source: rule.source,
  price_id: id,
});

/**
 * The rules beside the prices, as rows of the same columns: what an account gets free, and whose calls cost what the provider says.
 * Rules of all models are shown for every model.
 */
export const showRules = (books: PriceBooks, filter: PriceFilter = {}): PriceRow[] => {
  const knownAt = filter.knownAt ?? books.newestKnownFrom;
  const isWanted = (provider: string, rule: Allowance | PassThrough): boolean => {
    if (filter.asOf !== undefined && !isValidAt(rule, filter.asOf)) return false;
    if (filter.model === undefined || rule.models === undefined) return true;
    return rule.models.includes(books.modelOf(provider, filter.model, knownAt) ?? filter.model);
  };
  const providers = [...new Set(books.books.map(({ provider }) => provider))];
  return providers
    .filter((provider) => filter.provider === undefined || provider === filter.provider)
    .flatMap((provider) => {
      const versions = books.books.filter((book) => book.provider === provider);
      const passThrough = rulesKnown(
        rulesOfBooks(versions, 'pass-through', (book) => book.pass_through),
        knownAt,
        passThroughSubject,
      );
      const allowances = rulesKnown(
        rulesOfBooks(versions, 'allowance', (book) => book.allowances),
        knownAt,
        allowanceSubject,
      );
      return [
        ...passThrough
          .filter(({ rule }) => isWanted(provider, rule))
          .map((stated) =>
            rowOf(stated, {
              meter: 'stated_cost_micro_usd',
              context: 'costs what the provider states',
              unit_price: '0.000001',
            }),
          ),
        ...allowances
          .filter(({ rule }) => isWanted(provider, rule))
          .map((stated) =>
            rowOf(stated, {
              meter: stated.rule.meter,
              context: `free: ${stated.rule.quantity} a ${stated.rule.per}`,
              unit_price: '0',
            }),
          ),
      ];
    });
};
