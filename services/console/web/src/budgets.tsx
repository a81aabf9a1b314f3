import { Amount } from './amount.tsx';
import type { Budget } from './api.ts';
import { decimalsFor, percent, shareOf } from './money.ts';

const STATES: Record<string, { text: string; tone: string }> = {
  clear: { text: 'open', tone: 'good' },
  warn: { text: 'near limit', tone: 'warn' },
  block: { text: 'blocked', tone: 'bad' },
};

const resetText = (budget: Budget): string =>
  budget.resets_at === null ? 'never resets' : `resets ${budget.resets_at.slice(0, 10)}`;

const BudgetRow = ({ budget, decimals }: { budget: Budget; decimals: number }) => {
  const share = shareOf(budget.spent_usd, budget.limit_usd);
  const state = STATES[budget.state] ?? { text: budget.state, tone: 'muted' };
  return (
    <tr>
      <th scope="row">
        {budget.budget_id}
        <span class="sub">
          {budget.tenant} · {budget.window} · {resetText(budget)}
        </span>
      </th>
      <td class="gauge-cell">
        <span class={`gauge ${state.tone}`} aria-hidden="true">
          <span class="length" style={{ width: `${Math.min(1, share) * 100}%` }} />
        </span>
      </td>
      <td class="number">{percent(share)}</td>
      <td class="number">
        <Amount usd={budget.spent_usd} decimals={decimals} />
      </td>
      <td class="number limit">
        <Amount usd={budget.limit_usd} decimals={decimals} />
      </td>
      <td>
        <span class={`state ${state.tone}`}>{state.text}</span>
      </td>
    </tr>
  );
};

/** Every budget and how much of it is gone. */
export const Budgets = ({ budgets }: { budgets: Budget[] }) => {
  const decimals = decimalsFor(budgets.flatMap((budget) => [budget.limit_usd, budget.spent_usd]));
  return (
    <section class="card wide" aria-labelledby="budgets">
      <div class="card-head">
        <h2 id="budgets">Budgets</h2>
      </div>
      {budgets.length === 0 ? (
        <p class="hint">
          No budget is set. Declare one under <code>records.budgets</code> in{' '}
          <code>reckoner.yaml</code> and run <code>reckoner apply</code>.
        </p>
      ) : (
        <div class="scroll">
          <table class="budgets">
            <thead class="quiet">
              <tr>
                <th scope="col">budget</th>
                <th scope="col">
                  <span class="visually-hidden">bar</span>
                </th>
                <th scope="col" class="number">
                  used
                </th>
                <th scope="col" class="number">
                  spent USD
                </th>
                <th scope="col" class="number">
                  limit USD
                </th>
                <th scope="col">state</th>
              </tr>
            </thead>
            <tbody>
              {budgets.map((budget) => (
                <BudgetRow
                  key={`${budget.budget_id} ${budget.window}`}
                  budget={budget}
                  decimals={decimals}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
};
