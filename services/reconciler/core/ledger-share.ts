import { scaledAmount } from '../../../pricing/money.ts';
import type { Cause } from './causes.ts';
import type { CellFacts } from './variance.ts';

const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);

/** `over / under` as a whole number, half away from zero. `under` is positive. */
const roundedQuotient = (over: bigint, under: bigint): bigint => {
  const rounded = (magnitude(over) * 2n + under) / (under * 2n);
  return over < 0n ? -rounded : rounded;
};

/**
 * A delta as a share of the ledger, `+9.0 %`: rounded to one place, from exact amounts. `-` where there is no ledger to compare with;
 * what is not zero and rounds to it is `<0.1 %`.
 */
export const shareOfLedger = (deltaUsd: string, ledgerUsd: string): string => {
  const [delta, ledger] = [scaledAmount(deltaUsd), scaledAmount(ledgerUsd)];
  if (delta === 0n) return '0.0 %';
  if (ledger <= 0n) return '-';
  const tenths = roundedQuotient(delta * 1000n, ledger);
  if (tenths === 0n) return '<0.1 %';
  const digits = magnitude(tenths).toString().padStart(2, '0');
  return `${delta < 0n ? '-' : '+'}${digits.slice(0, -1)}.${digits.slice(-1)} %`;
};

/** A hundredth of a percent: contracts and surcharges are agreed no finer. */
const PARTS = 10_000n;

const fits = (cell: CellFacts, parts: bigint): boolean => {
  const expected = cell.ledgerAmount * (PARTS + parts);
  return magnitude(cell.statementAmount * PARTS - expected) <= cell.roundingBound * PARTS;
};

/** The one share by which every line of a model is off, in hundredths of a percent; null where there is none. */
const commonShare = (cells: readonly CellFacts[]): bigint | null => {
  const [largest] = cells.toSorted((a, b) => (a.ledgerAmount > b.ledgerAmount ? -1 : 1));
  if (largest === undefined || cells.length < 2 || largest.ledgerAmount <= 0n) return null;
  // A line that its own print leaves open by more than the grain tells no share.
  if (largest.roundingBound * 2n * PARTS > largest.ledgerAmount) return null;
  const delta = largest.statementAmount - largest.ledgerAmount;
  const parts = roundedQuotient(delta * PARTS, largest.ledgerAmount);
  return parts !== 0n && cells.every((cell) => fits(cell, parts)) ? parts : null;
};

const percentText = (parts: bigint): string => {
  const digits = magnitude(parts).toString().padStart(3, '0');
  const percent = `${digits.slice(0, -2)}.${digits.slice(-2)}`.replace(/\.?0+$/, '');
  return `${percent} % ${parts < 0n ? 'below' : 'above'}`;
};

/**
 * Models with two lines or more whose lines are all off by the same share of the ledger, exactly but for the last digit printed:
 * `9 % above`, by model. One line that agrees, or is off by another share, and the model is not among them.
 */
export const commonShares = (facts: readonly CellFacts[]): Map<string, string> => {
  const models = new Map<string, CellFacts[]>();
  for (const one of facts) {
    if (one.ledgerAmount === 0n && one.statementAmount === 0n) continue;
    models.set(one.cell.model, [...(models.get(one.cell.model) ?? []), one]);
  }
  const shares = new Map<string, string>();
  for (const [model, cells] of models) {
    const parts = model === '' ? null : commonShare(cells);
    if (parts !== null) shares.set(model, percentText(parts));
  }
  return shares;
};

const MODELS_NAMED = 5;

const sentence = (models: readonly string[], share: string): string => {
  const more = models.length - MODELS_NAMED;
  const named = models.slice(0, MODELS_NAMED).join(', ');
  return `Every line of ${named}${more > 0 ? ` and ${more} more models` : ''} is ${share}: a price or a surcharge on the whole; see the contract.`;
};

/**
 * Says of causes without a name which models' lines are off by one share; that proves no cause, it only says where to look.
 * @param cells those that the causes are of.
 */
export const withShareEvidence = (
  shares: ReadonlyMap<string, string>,
  causes: readonly Cause[],
  cells: readonly { model: string; causes: readonly Cause[] }[],
): Cause[] => {
  const byShare = new Map<string, Set<string>>();
  for (const { model, causes: own } of cells) {
    const share = shares.get(model);
    if (share === undefined || own.every((cause) => cause.class !== 'unexplained')) continue;
    byShare.set(share, (byShare.get(share) ?? new Set()).add(model));
  }
  const said = [...byShare].map(([share, models]) => sentence([...models], share));
  return causes.map((cause) =>
    cause.class === 'unexplained'
      ? { ...cause, evidence: [cause.evidence, ...said].join(' ') }
      : cause,
  );
};
