export interface SpendRow {
  tenant?: string;
  feature?: string;
  model?: string;
  day?: string;
  amount_usd: string;
}
export interface Spend {
  rows: SpendRow[];
  truncated: boolean;
  total_usd: string;
  as_of: string;
}
export interface Totals {
  events: number;
  unrated: number;
  flagged: number;
  ledger_usd: string;
  rollup_usd: string;
  lag_events: number | null;
  control_totals: { verdict: 'equal' | 'behind' | 'differ' | 'unknown'; differences: string[] };
  as_of: string;
}
export interface PriceBook {
  provider: string;
  version: number;
  prices: number;
  known_from: string;
  approved_by: string[];
  last_compared: string | null;
  findings: { finding: string; what: string }[];
}
export interface Prices {
  rows: PriceBook[];
  unpriced: { provider: string; model: string; reason: string; events: number }[];
}
export interface Budget {
  budget_id: string;
  tenant: string;
  window: string;
  resets_at: string | null;
  limit_usd: string;
  spent_usd: string;
  state: string;
}

/** An answer that was not 2xx, or none. `status` 0: the console could not be reached. */
export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, detail: string) {
    super(detail);
    this.name = 'ApiError';
    this.status = status;
  }
}

const TIMEOUT_MS = 15_000;

const call = async (path: string, init: RequestInit = {}): Promise<Response> => {
  let response: Response;
  try {
    response = await fetch(path, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new ApiError(0, 'The console does not answer. Is the back office running?');
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as { detail?: string };
  throw new ApiError(response.status, problem.detail ?? `The console answered ${response.status}.`);
};

const get = async <T>(path: string): Promise<T> => (await call(path)).json() as Promise<T>;

const withQuery = (path: string, query: Record<string, string | undefined>): string => {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) params.set(name, value);
  return `${path}?${params}`;
};

export const readSpend = (query: Record<string, string | undefined>): Promise<Spend> =>
  get(withQuery('/api/v1/spend', query));
export const readTotals = (period: string | undefined): Promise<Totals> =>
  get(withQuery('/api/v1/totals', { period }));
export const readPrices = (): Promise<Prices> => get('/api/v1/prices/books');
export const readPeriods = async (): Promise<string[]> =>
  (await get<{ periods: string[] }>('/api/v1/periods')).periods;
export const readBudgets = async (): Promise<Budget[]> =>
  (await get<{ rows: Budget[] }>('/api/v1/budgets')).rows;

/** Whether this browser is logged in; asked once, so that a first visit is not an error. */
export const isLoggedIn = async (): Promise<boolean> =>
  (await get<{ open: boolean }>('/session')).open;

export const login = async (token: string): Promise<void> => {
  await call('/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token }),
  });
};
export const logout = async (): Promise<void> => {
  await call('/logout', { method: 'POST' });
};
