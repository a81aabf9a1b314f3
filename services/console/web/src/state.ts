import { effect, signal, untracked } from '@preact/signals';
import type { Budget, Prices, Spend, Totals } from './api.ts';
import {
  ApiError,
  isLoggedIn,
  readBudgets,
  readPeriods,
  readPrices,
  readSpend,
  readTotals,
} from './api.ts';

/** What narrows the page; all of it is in the address, so that a link shows what its sender saw. */
export const FILTERS = ['tenant', 'feature', 'model'] as const;
export type Filter = (typeof FILTERS)[number];
export type View = { period?: string } & { [name in Filter]?: string };

export interface Figures {
  /** The period shown, which is the newest with spend where the address names none. */
  period: string;
  periods: string[];
  totals: Totals;
  budgets: Budget[];
  day: Spend;
  tenant: Spend;
  feature: Spend;
  model: Spend;
}

const REFRESH_MS = 10_000;
const PRICES_KEPT_MS = 60_000;

const readView = (): View => {
  const params = new URLSearchParams(location.search);
  const view: View = {};
  for (const name of ['period', ...FILTERS] as const) {
    const value = params.get(name);
    if (value) view[name] = value;
  }
  return view;
};

export const view = signal<View>(readView());
export const session = signal<'unknown' | 'in' | 'out'>('unknown');
export const figures = signal<Figures | null>(null);
/** Read by itself and seldom: the figures do not wait for it. */
export const prices = signal<Prices | null>(null);
export const failure = signal<string | null>(null);
export const loading = signal(false);

/** Address of this page with some of its filters changed; undefined takes one away. */
export const hrefOf = (change: { [name in keyof View]?: string | undefined }): string => {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...view.value, ...change })) {
    if (value) params.set(name, value);
  }
  const query = params.toString();
  return query === '' ? location.pathname : `${location.pathname}?${query}`;
};

export const go = (href: string): void => {
  history.pushState(null, '', href);
  view.value = readView();
};

/** The month now, in UTC: what an empty house shows. */
const thisMonth = (): string => new Date().toISOString().slice(0, 7);

const readFigures = async (wanted: View): Promise<Figures> => {
  const periods = await readPeriods();
  const period = wanted.period ?? periods[0] ?? thisMonth();
  const query = { ...wanted, period };
  const by = (group: string): Promise<Spend> => readSpend({ ...query, by: group });
  const [totals, budgets, day, tenant, feature, model] = await Promise.all([
    readTotals(period),
    readBudgets(),
    by('day'),
    by('tenant'),
    by('feature'),
    by('model'),
  ]);
  return { period, periods, totals, budgets, day, tenant, feature, model };
};

let pricesReadAt = Number.NEGATIVE_INFINITY;

const refreshPrices = async (): Promise<void> => {
  const now = performance.now();
  if (now - pricesReadAt < PRICES_KEPT_MS) return;
  pricesReadAt = now;
  try {
    prices.value = await readPrices();
  } catch {
    // The figures say when the console is gone; this is asked for again with them.
    pricesReadAt = Number.NEGATIVE_INFINITY;
  }
};

let newest = 0;

/** Reads everything again. A slower earlier reading never replaces a later one. */
export const refresh = async (): Promise<void> => {
  newest += 1;
  const mine = newest;
  loading.value = true;
  try {
    if (session.value === 'unknown' && !(await isLoggedIn())) {
      session.value = 'out';
      return;
    }
    const read = await readFigures(view.value);
    if (mine !== newest) return;
    figures.value = read;
    failure.value = null;
    session.value = 'in';
    void refreshPrices();
  } catch (error) {
    if (mine !== newest) return;
    if (error instanceof ApiError && error.status === 401) {
      session.value = 'out';
      figures.value = null;
    } else {
      failure.value = error instanceof Error ? error.message : 'Something went wrong on this page.';
      if (session.value === 'unknown') session.value = 'in';
    }
  } finally {
    if (mine === newest) loading.value = false;
  }
};

export const startRefreshing = (): void => {
  addEventListener('popstate', () => {
    view.value = readView();
  });
  // Reads at once and whenever the filters change.
  effect(() => {
    void view.value;
    void untracked(refresh);
  });
  setInterval(() => {
    if (document.visibilityState === 'visible' && session.value === 'in') void refresh();
  }, REFRESH_MS);
};
