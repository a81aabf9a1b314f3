/** What the console needs of other rooms, in its own words; whoever composes the process hands the real ones in. */
import type { OpenItems } from '../../schemas/control-record.ts';
import type { Period } from '../../schemas/instant.ts';
import type { ReportRecipe, ReportRequest } from '../../schemas/report.ts';
import type { TotalsToJudge } from './core/judge-totals.ts';

export interface ConsoleBiller {
  plan(request: { period: Period }): Promise<unknown>;
  push(request: { period: Period; yes: boolean }): Promise<unknown>;
  verify(request: { period: Period }): Promise<unknown>;
  planChargebee(request: { period: Period }): Promise<unknown>;
}

export interface ConsoleReconciler {
  /** Takes a provider's statement as it came. Rejects with STATEMENT_UNREADABLE. */
  importStatement(request: { provider: string; csv: string; fileName: string }): Promise<unknown>;
  /** `itemsCsv`: the provider's own record per call, where there is one. */
  reconcile(request: {
    provider: string;
    period: Period;
    tolerance_usd: string;
    itemsCsv?: string;
  }): Promise<unknown>;
}

/** What the rater does and says; see its report. */
export interface ConsoleRerater {
  /** Ends early when the iteration is ended. Rejects before its first step where it cannot begin. */
  run(request: {
    slice: Readonly<Record<string, string | undefined>>;
    books?: string | undefined;
    knownAt?: string | undefined;
    apply: boolean;
  }): AsyncIterable<unknown>;
}

/** What the rater makes of the archive; see its report. */
export interface ConsoleReporter {
  /** Ends early when the iteration is ended. Rejects before its first step where it cannot begin. */
  run(request: ReportRequest | ReportRecipe): AsyncIterable<unknown>;
}

export interface ConsolePeriods {
  /** What of a month is not settled. */
  openItems(period: Period): Promise<OpenItems>;
  /** Does `work` while nothing is being posted again, so that no month is closed under a run's feet. */
  runAlone<T>(work: () => Promise<T>): Promise<T>;
}

/** One budget's window as the budget room knows it now. Money as decimal strings. */
export interface BudgetRow {
  budget_id: string;
  tenant: string;
  /** For people: `day 2026-11-21`, `month 2026-11`, `total`. */
  window: string;
  /** Null for a budget without an end. */
  window_start: string | null;
  resets_at: string | null;
  limit_usd: string;
  spent_usd: string;
  state: string;
  version: number;
}

/** What the ledger room proves about events, entries and rollups. Counts and money as text. */
export interface ControlTotals extends TotalsToJudge {
  events: string;
  rated: string;
  unrated: string;
  charges_usd: string;
  rollup_usd: string;
}

export interface Freshness {
  /** Instant, epoch milliseconds. */
  asOf: number;
  /** Records written and not yet in the figures; null while unknown, which is not zero. */
  lagEvents: number | null;
  controlTotals: ControlTotals;
}

/** The newest version of a provider's book in force. Days and instants as text. */
export interface PriceBookRow {
  provider: string;
  version: number;
  /** Prices in all versions. */
  prices: number;
  known_from: string;
  /** Names; empty where the version says none. */
  approved_by: readonly string[];
  /** Day a price of it was last compared with its source; null for a book without prices. */
  last_compared: string | null;
  findings: readonly { finding: string; what: string }[];
}

type Answer<T> = T | Promise<T>;
export type ReadPriceBooks = () => readonly PriceBookRow[];
export type ReadBudgets = () => Answer<readonly BudgetRow[]>;
export type ReadFreshness = () => Answer<Freshness>;
