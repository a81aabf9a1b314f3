import type { BookRule } from '../../../pricing/book-rules.ts';
import {
  allowanceSubject,
  passThroughSubject,
  rulesKnown,
  rulesOfBooks,
} from '../../../pricing/book-rules.ts';
import type { Allowance, PassThrough, PriceBook } from '../../../schemas/price-book.ts';
import type { PriceChange } from './price-change.ts';

const ALWAYS = '9999-12-31T23:59:59.999Z';

/** Rules in force of a provider's published versions, whatever their valid times. */
const activeAllowances = (versions: readonly PriceBook[]): BookRule<Allowance>[] =>
  rulesKnown(
    rulesOfBooks(versions, 'allowance', (book) => book.allowances),
    ALWAYS,
    allowanceSubject,
  );
const activePassThrough = (versions: readonly PriceBook[]): BookRule<PassThrough>[] =>
  rulesKnown(
    rulesOfBooks(versions, 'pass-through', (book) => book.pass_through),
    ALWAYS,
    passThroughSubject,
  );

type Row = Omit<PriceChange, 'kind' | 'before' | 'after' | 'percent' | 'flag'> & { says: string };

const until = (to: string | undefined): string => (to === undefined ? '' : ` until ${to}`);
const modelsOf = (models: readonly string[] | undefined): string => models?.join(' ') ?? '*';

const allowanceRow = (rule: Allowance): Row => ({
  model: modelsOf(rule.models),
  meter: rule.meter,
  conditions: `free a ${rule.per}`,
  valid_from: rule.valid_from,
  says: `${rule.quantity}${until(rule.valid_to)}`,
});
const passThroughRow = (rule: PassThrough): Row => ({
  model: modelsOf(rule.models),
  meter: 'stated_cost_micro_usd',
  conditions: 'costs what the provider states',
  valid_from: rule.valid_from,
  says: `0.000001${rule.rounding === undefined ? '' : `, finer ones rounded ${rule.rounding}`}${until(rule.valid_to)}`,
});

const changesAmong = (active: readonly Row[], candidate: readonly Row[]): PriceChange[] => {
  const keyOf = ({ says: _, ...subject }: Row): string => JSON.stringify(subject);
  const before = new Map(active.map((row) => [keyOf(row), row]));
  const after = new Set(candidate.map(keyOf));
  const change = (row: Row, kind: PriceChange['kind'], says: [string, string]): PriceChange => {
    const { says: _, ...subject } = row;
    const flag = kind === 'removed' ? 'stays in force until it is ended by hand' : '';
    return { kind, ...subject, before: says[0], after: says[1], percent: '', flag };
  };
  return [
    ...candidate.flatMap((row) => {
      const old = before.get(keyOf(row));
      if (!old) return [change(row, 'added', ['', row.says])];
      return old.says === row.says ? [] : [change(row, 'changed', [old.says, row.says])];
    }),
    ...active
      .filter((row) => !after.has(keyOf(row)))
      .map((row) => change(row, 'removed', [row.says, ''])),
  ];
};

/** What a candidate says otherwise of free allowances and pass-through than the published versions; sources do not count. */
export const diffRules = (versions: readonly PriceBook[], candidate: PriceBook): PriceChange[] => [
  ...changesAmong(
    activePassThrough(versions).map(({ rule }) => passThroughRow(rule)),
    (candidate.pass_through ?? []).map(passThroughRow),
  ),
  ...changesAmong(
    activeAllowances(versions).map(({ rule }) => allowanceRow(rule)),
    (candidate.allowances ?? []).map(allowanceRow),
  ),
];

/** The rules of a candidate that the published versions do not state already; a field is left out where there are none. */
export const newRules = (
  versions: readonly PriceBook[],
  candidate: PriceBook,
): Pick<PriceBook, 'allowances' | 'pass_through'> => {
  const known = new Set([
    ...activeAllowances(versions).map(({ rule }) => JSON.stringify(allowanceRow(rule))),
    ...activePassThrough(versions).map(({ rule }) => JSON.stringify(passThroughRow(rule))),
  ]);
  const allowances = candidate.allowances?.filter(
    (rule) => !known.has(JSON.stringify(allowanceRow(rule))),
  );
  const passThrough = candidate.pass_through?.filter(
    (rule) => !known.has(JSON.stringify(passThroughRow(rule))),
  );
  return {
    ...(allowances?.length ? { allowances } : {}),
    ...(passThrough?.length ? { pass_through: passThrough } : {}),
  };
};
