import { formatAmount } from '../../../pricing/money.ts';
import type { Budget, BudgetSignal } from '../../../schemas/budget.ts';
import type { Instant } from '../../../schemas/instant.ts';
import type { RatedUsage } from '../../../schemas/rated-usage.ts';
import type { BudgetState, SignalCause } from './evaluate-budget.ts';
import { liftingSignal, nextSignal, stateOf } from './evaluate-budget.ts';
import type { FoldOutcome } from './spend-book.ts';
import { createSpendBook } from './spend-book.ts';
import type { SpendWindow } from './windows.ts';
import { WINDOW_KINDS, windowAt, windowKeyAt } from './windows.ts';

/** Where one budget's current window stands. Money as exact decimal strings in USD. */
export interface BudgetStatusRow {
  budget_id: string;
  tenant: string;
  /** `day 2026-11-21`, `month 2026-11` or `total`. */
  window: string;
  /** Null for `total`, which neither starts nor ends. */
  window_start: Instant | null;
  resets_at: Instant | null;
  limit_usd: string;
  spent_usd: string;
  /** How much of `spent_usd` is ceilings of usage that has no price yet. */
  ceiling_usd: string;
  state: BudgetState;
  /** Of the newest signal; 0 before the first. */
  version: number;
  /** Distinct events whose charge counts in the window: rated, not reversed, not under the customer's own key. */
  settled_events: number;
  /** `closed_at` of the newest of them; null while there is none. */
  as_of: Instant | null;
}

/** How long a window over is kept, so that a clock set back a little finds it again. */
const KEEP_MS = 2 * 24 * 60 * 60 * 1000;

interface Pending {
  crossing?: SignalCause;
  newest: SignalCause;
}

type Windows = Record<Budget['window'], SpendWindow>;

const windowsAt = (now: Instant): Windows => ({
  day: windowAt('day', now),
  month: windowAt('month', now),
  total: windowAt('total', now),
});

const createCalendar = () => {
  let windows: Windows | undefined;
  let rolled = false;
  return {
    /** The windows of `now`; worked out once a day. */
    at: (now: Instant): Windows => {
      if (windows && windows.day.key === windowKeyAt('day', now)) return windows;
      windows = windowsAt(now);
      rolled = true;
      return windows;
    },
    /** Whether the windows are others than at the last call. */
    takeRoll: (): boolean => {
      const was = rolled;
      rolled = false;
      return was;
    },
  };
};

const groupByTenant = (budgets: Iterable<Budget>): Map<string, Budget[]> => {
  const groups = new Map<string, Budget[]>();
  for (const budget of budgets) {
    groups.set(budget.tenant, [...(groups.get(budget.tenant) ?? []), budget]);
  }
  return groups;
};

/** Decides what is signalled. Holds spend and the newest signals; told everything, asks nobody. */
export class BudgetController {
  readonly #book = createSpendBook();
  readonly #calendar = createCalendar();
  readonly #newest = new Map<string, BudgetSignal>();
  readonly #pending = new Map<string, Pending>();
  readonly #touched = new Set<string>();
  #budgets = new Map<string, Budget[]>();

  /** Tells a signal found in the log; only the newest of a scope counts. */
  learnSignal(signal: BudgetSignal): void {
    const known = this.#newest.get(signal.budget_id);
    if (known === undefined || signal.version > known.version) {
      this.#newest.set(signal.budget_id, signal);
    }
  }

  /** Tells the budgets in force, all of them. */
  setBudgets(inForce: Iterable<Budget>): void {
    this.#budgets = groupByTenant(inForce);
  }

  /** Counts one rated entry. */
  fold(entry: RatedUsage, now: Instant): FoldOutcome {
    const tenant = entry.dimensions.tenant;
    const concerned = this.#concernedBy(entry, now);
    const before = concerned.map(({ budget, key }) => this.#stateIn(budget, key));
    const outcome = this.#book.fold(entry);
    if (outcome !== 'counted' && outcome !== 'ceiling') return outcome;
    for (const [index, { budget, key }] of concerned.entries()) {
      this.#noteCause(budget, entry, this.#stateIn(budget, key) !== before[index]);
    }
    this.#touched.add(tenant);
    return outcome;
  }

  /** Signals to write now, for the tenants folded since the last call or for all; they count as written. */
  takeSignals(now: Instant, which: 'touched' | 'all'): BudgetSignal[] {
    this.#calendar.at(now);
    const rolled = this.#calendar.takeRoll();
    if (rolled) this.#book.forgetBefore(new Date(Date.parse(now) - KEEP_MS).toISOString());
    const tenants = which === 'all' || rolled ? [...this.#budgets.keys()] : [...this.#touched];
    this.#touched.clear();
    const signals = tenants
      .flatMap((tenant) => this.#budgets.get(tenant) ?? [])
      .flatMap((budget) => this.#evaluate(budget, now) ?? []);
    return which === 'all' ? [...signals, ...this.#liftUndeclared(now)] : signals;
  }

  /** The next instant at which a window of a declared budget ends; null when none does. */
  nextReset(now: Instant): Instant | null {
    const windows = this.#calendar.at(now);
    const kinds = new Set(this.#declared().map((budget) => budget.window));
    const ends = WINDOW_KINDS.filter((kind) => kinds.has(kind)).flatMap(
      (kind) => windows[kind].end ?? [],
    );
    return ends.sort()[0] ?? null;
  }

  /** One row per declared budget, at its window of `now`. */
  status(now: Instant): BudgetStatusRow[] {
    return this.#declared().map((budget) => {
      const window = this.#calendar.at(now)[budget.window];
      const spend = this.#book.spendOf(budget.tenant, window.key);
      return {
        budget_id: budget.id,
        tenant: budget.tenant,
        window: window.key,
        window_start: window.start ?? null,
        resets_at: window.end ?? null,
        limit_usd: budget.limit_usd,
        spent_usd: formatAmount(spend.spent),
        ceiling_usd: formatAmount(spend.ceilings),
        state: stateOf(budget, spend.spent),
        version: this.#newest.get(budget.id)?.version ?? 0,
        settled_events: spend.settledEvents,
        as_of: spend.asOf ?? null,
      };
    });
  }

  #declared(): Budget[] {
    return [...this.#budgets.values()].flat();
  }

  #stateIn(budget: Budget, windowKey: string): BudgetState {
    return stateOf(budget, this.#book.spendOf(budget.tenant, windowKey).spent);
  }

  /** Budgets in whose current window the entry falls. A late entry of a window that is over causes no signal. */
  #concernedBy(entry: RatedUsage, now: Instant): { budget: Budget; key: string }[] {
    const windows = this.#calendar.at(now);
    return (this.#budgets.get(entry.dimensions.tenant) ?? [])
      .map((budget) => ({ budget, key: windows[budget.window].key }))
      .filter(({ budget, key }) => windowKeyAt(budget.window, entry.event_ts) === key);
  }

  #noteCause(budget: Budget, entry: RatedUsage, crossed: boolean): void {
    const cause = { event_id: entry.event_id, closed_at: entry.closed_at };
    const crossing = crossed ? cause : this.#pending.get(budget.id)?.crossing;
    this.#pending.set(budget.id, { newest: cause, ...(crossing ? { crossing } : {}) });
  }

  #evaluate(budget: Budget, now: Instant): BudgetSignal | null {
    const window = this.#calendar.at(now)[budget.window];
    const { spent } = this.#book.spendOf(budget.tenant, window.key);
    const last = this.#newest.get(budget.id);
    const events = this.#pending.get(budget.id);
    const cause = last?.state === stateOf(budget, spent) ? events?.newest : events?.crossing;
    const signal = nextSignal({ budget, window, spent, ...(cause ? { cause } : {}) }, last, now);
    if (signal === null) {
      // A crossing that was taken back within its batch causes nothing later.
      if (events) this.#pending.set(budget.id, { newest: events.newest });
      return null;
    }
    this.#pending.delete(budget.id);
    this.#newest.set(budget.id, signal);
    return signal;
  }

  #liftUndeclared(now: Instant): BudgetSignal[] {
    const declared = new Set(this.#declared().map((budget) => budget.id));
    const lifted = [...this.#newest.values()]
      .filter((last) => !declared.has(last.budget_id))
      .flatMap((last) => liftingSignal(last, now) ?? []);
    for (const signal of lifted) this.#newest.set(signal.budget_id, signal);
    return lifted;
  }
}
