import { formatAmount, scaledAmount } from '../../../pricing/money.ts';
import type { Meter } from '../../../schemas/words.ts';
import type { NamedAmount } from './causes.ts';
import type { CellName, CellNaming } from './cell.ts';
import { cellKey, UNMAPPED_CELL } from './cell.ts';
import type { StatementFile, StatementSum } from './effective-lines.ts';
import { roundingBound } from './effective-lines.ts';
import { ANY_MODEL } from './meter-groups.ts';
import { meaningOfOwnLine } from './own-lines.ts';
import type { CellFacts } from './variance.ts';

/** What the ledger charges for one model and meter in the period, reversals taken off, customers' own keys left out. */
export interface LedgerSum {
  model: string;
  meter: Meter;
  quantity: string;
  amount_usd: string;
  /** Share of attempts whose usage the provider did not state, and how many they are. */
  flagged_usd: string;
  flagged_events: number;
  /** The dearest single attempt that the provider did state. */
  largest_stated_usd: string;
}

/** How many events of a model no book prices. */
export interface UnratedEvents {
  model: string;
  events: number;
}

type Draft = { -readonly [Key in keyof CellFacts]: CellFacts[Key] } & { named: NamedAmount[] };

const draftOf = (drafts: Map<string, Draft>, cell: CellName): Draft => {
  const draft = drafts.get(cellKey(cell)) ?? {
    cell,
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
  };
  drafts.set(cellKey(cell), draft);
  return draft;
};

const addLedger = (
  drafts: Map<string, Draft>,
  ledger: readonly LedgerSum[],
  name: CellNaming,
): void => {
  for (const sum of ledger) {
    const draft = draftOf(drafts, name(sum.model, sum.meter));
    draft.ledgerAmount += scaledAmount(sum.amount_usd);
    draft.ledgerQuantity += scaledAmount(sum.quantity);
    draft.flaggedAmount += scaledAmount(sum.flagged_usd);
    draft.flaggedEvents += sum.flagged_events;
    const largest = scaledAmount(sum.largest_stated_usd);
    if (largest > draft.largestStated) draft.largestStated = largest;
  }
};

/** Lines that are not for usage speak for themselves. */
const nameOwnLine = (draft: Draft, sum: StatementSum): void => {
  const amount = scaledAmount(sum.amount_usd);
  const isMapped = sum.meter !== null;
  const { description, lines } = sum;
  const own = meaningOfOwnLine({ isMapped, isNegative: amount < 0n, description });
  if (!own) return;
  const says = isMapped ? `for ${draft.cell.model} ${draft.cell.meter}` : `"${description}"`;
  const evidence = `${lines} ${lines === 1 ? 'line' : 'lines'} ${says} of ${formatAmount(amount)} USD on the statement.`;
  const same = draft.named.findIndex(({ text }) => text === own.text);
  const before = draft.named[same];
  if (!before) draft.named.push({ ...own, amount, count: lines, evidence });
  else {
    const total = { amount: before.amount + amount, count: before.count + lines };
    const more = `${before.evidence.replace(/ And others\.$/, '')} And others.`;
    draft.named[same] = { ...own, ...total, evidence: more };
  }
};

const addStatements = (
  drafts: Map<string, Draft>,
  sums: readonly StatementSum[],
  context: { files: ReadonlyMap<string, StatementFile>; name: CellNaming },
): void => {
  for (const sum of sums) {
    const cell =
      sum.meter === null ? UNMAPPED_CELL : context.name(sum.model ?? ANY_MODEL, sum.meter);
    const draft = draftOf(drafts, cell);
    const quantity = sum.quantity === null ? null : scaledAmount(sum.quantity);
    const before = draft.statementLines === 0 ? 0n : draft.statementQuantity;
    draft.statementQuantity = quantity === null || before === null ? null : before + quantity;
    draft.statementAmount += scaledAmount(sum.amount_usd);
    draft.statementLines += sum.lines;
    const places = context.files.get(sum.statement_id)?.amount_places ?? 18;
    draft.roundingBound += roundingBound(sum.lines, places);
    nameOwnLine(draft, sum);
  }
};

/** Cells of one model share what is known of the model: whether the ledger has it, and its events without a charge. */
const addModelFacts = (
  drafts: Map<string, Draft>,
  unrated: readonly UnratedEvents[],
  nameModel: (model: string) => string,
): void => {
  const known = new Set<string>();
  for (const draft of drafts.values()) {
    if (draft.ledgerAmount === 0n && draft.ledgerQuantity === 0n) continue;
    known.add(draft.cell.model === ANY_MODEL ? cellKey(draft.cell) : draft.cell.model);
  }
  const uncounted = new Map<string, number>();
  for (const { model, events } of unrated) {
    const named = nameModel(model);
    uncounted.set(named, (uncounted.get(named) ?? 0) + events);
  }
  const dearest = new Map<string, bigint>();
  for (const { cell, largestStated } of drafts.values()) {
    if (largestStated > (dearest.get(cell.model) ?? 0n)) dearest.set(cell.model, largestStated);
  }
  for (const draft of drafts.values()) {
    const { model } = draft.cell;
    draft.modelLargestStated = dearest.get(model) ?? 0n;
    draft.unratedEvents = uncounted.get(model) ?? 0;
    draft.ledgerKnowsModel =
      known.has(model === ANY_MODEL ? cellKey(draft.cell) : model) || uncounted.has(model);
  }
};

/** Both sides, cell by cell, ordered by model and meter. */
export const collectCells = (
  ledger: readonly LedgerSum[],
  unrated: readonly UnratedEvents[],
  statements: { files: ReadonlyMap<string, StatementFile>; sums: readonly StatementSum[] },
  naming: { cell: CellNaming; model: (model: string) => string },
): CellFacts[] => {
  const drafts = new Map<string, Draft>();
  addLedger(drafts, ledger, naming.cell);
  addStatements(drafts, statements.sums, { files: statements.files, name: naming.cell });
  addModelFacts(drafts, unrated, naming.model);
  return [...drafts.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, draft]) => draft);
};
