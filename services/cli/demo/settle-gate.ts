import { request } from 'undici';
import { ReckonerError } from '../../platform/errors.ts';
import type { AdminClient } from '../admin-client.ts';
import { waitFor } from './collect.ts';
import { BLOCKED_TENANT } from './plan.ts';

/** A budget as its own key sees it at the proxy. */
export interface OwnBudget {
  budget_id: string;
  state: 'clear' | 'warn' | 'block';
  version: number;
  received_at: string | null;
  cause_closed_at: string | null;
}

interface BudgetRow {
  budget_id: string;
  state: string;
  version: number;
  settled_events: number;
}

const WAIT_MS = 30_000;

const askOwnBudget = async (proxyUrl: string, virtualKey: string): Promise<OwnBudget | null> => {
  const response = await request(`${proxyUrl}/api/v1/me/budget`, {
    headers: { authorization: `Bearer ${virtualKey}` },
  });
  const answer = (await response.body.json()) as { budgets?: OwnBudget[] };
  if (response.statusCode !== 200) return null;
  return answer.budgets?.find((budget) => budget.budget_id === BLOCKED_TENANT) ?? null;
};

/**
 * Waits until the proxy has heard of the budget, and of a signal that satisfies.
 * @throws ReckonerError after half a minute: then the signals are broken, and so is the demo.
 */
export const signalSeen = async (
  proxyUrl: string,
  virtualKey: string,
  satisfied: (budget: OwnBudget) => boolean,
): Promise<OwnBudget> => {
  const { answer } = await waitFor(
    () => askOwnBudget(proxyUrl, virtualKey),
    (budget) => budget !== null && satisfied(budget),
    { timeoutMs: WAIT_MS, everyMs: 2 },
  );
  if (answer === null || !satisfied(answer)) {
    throw new ReckonerError(
      'NOT_FOUND',
      `The proxy did not hear of the budget ${BLOCKED_TENANT} within ${WAIT_MS / 1000} s. Look at the messages of both processes above.`,
    );
  }
  return answer;
};

/**
 * Lets the blocked tenant's next call go only when the last is settled and the signal it caused, if any, has reached the proxy:
 * then a seed gives the same money on every run.
 */
export const createSettleGate =
  (options: { admin: AdminClient; proxyUrl: string; virtualKey: string }) =>
  async (answered: number): Promise<void> => {
    const { answer } = await waitFor(
      async () => {
        const { rows } = await options.admin.get<{ rows: BudgetRow[] }>('/api/v1/budgets');
        return rows.find((row) => row.budget_id === BLOCKED_TENANT);
      },
      (row) => row !== undefined && row.settled_events >= answered,
      { timeoutMs: WAIT_MS, everyMs: 2 },
    );
    const version = answer?.version ?? 0;
    if (version > 0) {
      await signalSeen(options.proxyUrl, options.virtualKey, (own) => own.version >= version);
    }
  };
