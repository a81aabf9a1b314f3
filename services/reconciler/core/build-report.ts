import { formatAmount, scaledAmount } from '../../../pricing/money.ts';
import type { Instant, Period } from '../../../schemas/instant.ts';
import type { StatementItem } from '../../../schemas/statement-line.ts';
import type { LedgerCharge, LedgerEvent } from './call.ts';
import type { Cause } from './causes.ts';
import { cellKey, createCellNaming } from './cell.ts';
import type { LedgerSum, UnratedEvents } from './cell-facts.ts';
import { collectCells } from './cell-facts.ts';
import type { StatementFile, StatementSum } from './effective-lines.ts';
import { effectiveSums } from './effective-lines.ts';
import { commonShares, withShareEvidence } from './ledger-share.ts';
import type { CellContribution, MatchResult } from './match-attempts.ts';
import { matchAttempts } from './match-attempts.ts';
import { createModelNaming } from './model-names.ts';
import { meaningOfOwnLine } from './own-lines.ts';
import type { PricedLedger } from './prove-causes.ts';
import { proveCauses } from './prove-causes.ts';
import type { CellReport, ReconciliationReport } from './report.ts';
import type { CellFacts } from './variance.ts';
import { explainCell, nameOfCall, nameOfDifference } from './variance.ts';

export interface ReconciliationInput {
  readonly run_id: string;
  readonly run_at: Instant;
  readonly provider: string;
  readonly period: Period;
  readonly tolerance_usd: string;
  readonly ledger: readonly LedgerSum[];
  /** Events no book prices: how many, by model. */
  readonly unrated: readonly UnratedEvents[];
  readonly statements: { files: readonly StatementFile[]; sums: readonly StatementSum[] };
  /** The provider's record per call, with our side of it. */
  readonly calls?: {
    items: readonly StatementItem[];
    charges: readonly LedgerCharge[];
    events: readonly LedgerEvent[];
    /** Of the days just before and after the month. */
    beside?: readonly LedgerCharge[];
  };
  /** The ledger by price and by time, where it was read: then tiers, caches and time zones can be told. */
  priced?: PricedLedger;
}

const sumCauses = (causes: readonly Cause[], explained: boolean): bigint =>
  causes
    .filter((cause) => cause.explained === explained)
    .reduce((sum, cause) => sum + scaledAmount(cause.amount_usd), 0n);

const reportCell = (
  facts: CellFacts,
  contributions: readonly CellContribution[] | null,
): CellReport => {
  const causes = explainCell(facts, contributions);
  return {
    ...facts.cell,
    ledger_quantity: formatAmount(facts.ledgerQuantity),
    statement_quantity:
      facts.statementQuantity === null ? null : formatAmount(facts.statementQuantity),
    ledger_usd: formatAmount(facts.ledgerAmount),
    statement_usd: formatAmount(facts.statementAmount),
    delta_usd: formatAmount(facts.statementAmount - facts.ledgerAmount),
    explained_usd: formatAmount(sumCauses(causes, true)),
    unexplained_usd: formatAmount(sumCauses(causes, false)),
    causes,
  };
};

/** Calls behind each cause: one call lies in several cells and is counted once. */
const countCalls = (matching: MatchResult | null): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const difference of matching?.differences ?? []) {
    const { text } = nameOfDifference(difference);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
};

const OF_LINES: ReadonlySet<string> = new Set(['scope', 'rounding', 'credit', 'tax']);

interface CauseTotal {
  cause: Cause;
  amount: bigint;
  lines: number;
  /** Per model the most of any cell: an attempt has a line in several meters of one model. */
  attempts: Map<string, number>;
}

const scaledSize = (amount: string): bigint => scaledAmount(amount.replace('-', ''));

const sumByText = (cells: readonly CellReport[]): Map<string, CauseTotal> => {
  const totals = new Map<string, CauseTotal>();
  for (const cell of cells) {
    for (const cause of cell.causes) {
      const key = `${cause.class}\n${cause.text}`;
      const total = totals.get(key) ?? { cause, amount: 0n, lines: 0, attempts: new Map() };
      total.amount += scaledAmount(cause.amount_usd);
      total.lines += cause.count;
      total.attempts.set(cell.model, Math.max(total.attempts.get(cell.model) ?? 0, cause.count));
      // Of several cells the dearest speaks.
      if (scaledSize(cause.amount_usd) > scaledSize(total.cause.amount_usd)) total.cause = cause;
      totals.set(key, total);
    }
  }
  return totals;
};

/** Causes of all cells, summed where class and text are the same; the explained ones first. */
const totalCauses = (cells: readonly CellReport[], matching: MatchResult | null): Cause[] => {
  const calls = countCalls(matching);
  const sums = [...sumByText(cells).values()].map(({ cause, amount, lines, attempts }): Cause => {
    const ofLines = OF_LINES.has(cause.class);
    const most = [...attempts.values()].reduce((sum, count) => sum + count, 0);
    const count = calls.get(cause.text) ?? (ofLines ? lines : most);
    return { ...cause, amount_usd: formatAmount(amount), count };
  });
  return sums.sort((a, b) =>
    a.explained === b.explained ? (a.class < b.class ? -1 : 1) : a.explained ? -1 : 1,
  );
};

const UNMAPPED_SHOWN = 20;

const isOwnLine = ({ meter, description, amount_usd }: StatementSum): boolean =>
  meaningOfOwnLine({
    isMapped: meter !== null,
    isNegative: amount_usd.startsWith('-'),
    description,
  })?.explained === true;

const listUnmapped = (sums: readonly StatementSum[]): ReconciliationReport['unmapped'] => {
  const texts = new Map<string, { lines: number; amount: bigint }>();
  for (const sum of sums.filter((s) => s.meter === null && !isOwnLine(s))) {
    const before = texts.get(sum.description) ?? { lines: 0, amount: 0n };
    texts.set(sum.description, {
      lines: before.lines + sum.lines,
      amount: before.amount + scaledAmount(sum.amount_usd),
    });
  }
  const size = (amount: bigint): bigint => (amount < 0n ? -amount : amount);
  return [...texts]
    .sort(([, a], [, b]) => (size(a.amount) > size(b.amount) ? -1 : 1))
    .slice(0, UNMAPPED_SHOWN)
    .map(([description, { lines, amount }]) => ({
      description,
      lines,
      amount_usd: formatAmount(amount),
    }));
};

const groupContributions = (result: MatchResult): Map<string, CellContribution[]> => {
  const groups = new Map<string, CellContribution[]>();
  for (const part of result.contributions) {
    const key = cellKey(part.cell);
    const group = groups.get(key);
    if (group) group.push(part);
    else groups.set(key, [part]);
  }
  return groups;
};

const NO_SIDE = {
  ledgerAmount: 0n,
  ledgerQuantity: 0n,
  flaggedAmount: 0n,
  flaggedEvents: 0,
  unratedEvents: 0,
  largestStated: 0n,
  modelLargestStated: 0n,
  statementAmount: 0n,
  statementQuantity: null,
  statementLines: 0,
  roundingBound: 0n,
  ledgerKnowsModel: false,
  named: [],
} satisfies Omit<CellFacts, 'cell'>;

/** Cells with what attempts add to them, also where only the provider's record per call knows the cell. */
const explainCells = (facts: readonly CellFacts[], matching: MatchResult | null): CellReport[] => {
  if (matching === null) return facts.map((cell) => reportCell(cell, null));
  const contributions = groupContributions(matching);
  const known = new Set(facts.map(({ cell }) => cellKey(cell)));
  const only = [...contributions]
    .filter(([key]) => !known.has(key))
    .flatMap(([, [first]]) => (first ? [{ ...NO_SIDE, cell: first.cell }] : []));
  return [...facts, ...only].map((cell) =>
    reportCell(cell, contributions.get(cellKey(cell.cell)) ?? []),
  );
};

const totalOf = (cells: readonly CellReport[], pick: (cell: CellReport) => string): bigint =>
  cells.reduce((sum, cell) => sum + scaledAmount(pick(cell)), 0n);

const magnitude = (amount: bigint): bigint => (amount < 0n ? -amount : amount);

/** Money of one cell that needs somebody: faults of single calls without their signs, and what else there is, net. */
const offBy = (cell: CellReport, contributions: readonly CellContribution[]): bigint => {
  let net = scaledAmount(cell.unexplained_usd);
  let ofCalls = 0n;
  for (const part of contributions) {
    if (nameOfCall(part).explained) continue;
    net -= part.amount;
    ofCalls += magnitude(part.amount);
  }
  return ofCalls + magnitude(net);
};

const totals = (
  cells: readonly CellReport[],
  matching: MatchResult | null,
  toleranceUsd: string,
) => {
  const contributions = matching && groupContributions(matching);
  const off = cells.reduce(
    (sum, cell) => sum + offBy(cell, contributions?.get(cellKey(cell)) ?? []),
    0n,
  );
  return {
    ledger_usd: formatAmount(totalOf(cells, (cell) => cell.ledger_usd)),
    statement_usd: formatAmount(totalOf(cells, (cell) => cell.statement_usd)),
    delta_usd: formatAmount(totalOf(cells, (cell) => cell.delta_usd)),
    explained_usd: formatAmount(totalOf(cells, (cell) => cell.explained_usd)),
    unexplained_usd: formatAmount(totalOf(cells, (cell) => cell.unexplained_usd)),
    unexplained_abs_usd: formatAmount(off),
    within_tolerance: off <= scaledAmount(toleranceUsd),
  };
};

/** Compares both sides and says why they differ. Pure: the same input gives the same report. */
export const buildReport = (input: ReconciliationInput): ReconciliationReport => {
  const { provider, calls } = input;
  const files = new Map(input.statements.files.map((file) => [file.statement_id, file]));
  const sums = effectiveSums(input.statements.sums, files);
  const items = (calls?.items ?? []).filter((item) => item.provider === provider);
  const model = createModelNaming(
    sums.flatMap((sum) => sum.model ?? []),
    items.map((item) => item.model),
  );
  const cell = createCellNaming(provider, model);
  const facts = collectCells(input.ledger, input.unrated, { files, sums }, { cell, model });
  const matching = calls ? matchAttempts(calls, items, cell) : null;
  // Call by call everything is known; sums would name it a second time.
  const proven =
    input.priced && !matching ? proveCauses(input.priced, { sums, files, cell }) : new Map();
  const whole = facts.map((one) => ({
    ...one,
    named: [...one.named, ...(proven.get(cellKey(one.cell)) ?? [])],
  }));
  const shares = commonShares(facts);
  const plain = explainCells(whole, matching);
  const cells = plain.map((one) => ({
    ...one,
    causes: withShareEvidence(shares, one.causes, [one]),
  }));
  const used = new Set(sums.map((sum) => sum.statement_id));
  return {
    run_id: input.run_id,
    run_at: input.run_at,
    provider,
    period: input.period,
    tolerance_usd: input.tolerance_usd,
    statements: input.statements.files
      .filter((file) => used.has(file.statement_id))
      .map(({ statement_id, file_name, lines }) => ({ statement_id, file_name, lines })),
    ...totals(cells, matching, input.tolerance_usd),
    causes: withShareEvidence(shares, totalCauses(plain, matching), plain),
    cells,
    unmapped: listUnmapped(sums),
    attempts: matching && {
      matched: matching.matched,
      faults: matching.differences.filter((one) => !nameOfDifference(one).explained).length,
      differences: matching.differences,
    },
  };
};
