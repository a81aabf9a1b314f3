import type { Budget, BudgetSignal } from '../../../schemas/budget.ts';
import type { VirtualKey } from '../../../schemas/control-record.ts';
import type { Refusal } from './answers.ts';

/** A signal and when this proxy took it in. */
export interface HeardSignal {
  signal: BudgetSignal;
  receivedAt: string;
}

/** The greatest version wins, whatever the order of arrival; the same version again changes nothing. */
export const isNewer = (held: BudgetSignal | undefined, heard: BudgetSignal): boolean =>
  held === undefined || heard.version > held.version;

/** Ids of the budgets a key answers to: those it names and every budget of its tenant. */
export const budgetIdsOf = (
  key: VirtualKey,
  budgets: ReadonlyMap<string, Budget>,
): readonly string[] => {
  const ids = new Set(key.budgets);
  for (const budget of budgets.values()) if (budget.tenant === key.tenant) ids.add(budget.id);
  return [...ids];
};

/** A signal about a window that has ended says nothing about the one we are in. Instants compare as text. */
export const isInForce = (signal: BudgetSignal, now: string): boolean =>
  signal.resets_at === undefined || signal.resets_at > now;

const SCALE = 18;

const scaled = (amount: string): bigint => {
  const negative = amount.startsWith('-');
  const [whole = '0', fraction = ''] = amount.replace('-', '').split('.');
  const units = BigInt(whole + fraction.padEnd(SCALE, '0'));
  return negative ? -units : units;
};

const unscaled = (units: bigint): string => {
  const digits = String(units < 0n ? -units : units).padStart(SCALE + 1, '0');
  const fraction = digits.slice(-SCALE).replace(/0+$/, '');
  const whole = digits.slice(0, -SCALE);
  return `${units < 0n ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
};

/** Admitted, with what is left of the tightest budget heard of (USD), or refused. */
export type Admission =
  | { admitted: true; remainingUsd?: string }
  | { admitted: false; refusal: Refusal };

const secondsUntil = (instant: string | undefined, now: string): number =>
  instant === undefined
    ? 86_400
    : Math.max(1, Math.ceil((Date.parse(instant) - Date.parse(now)) / 1000));

/**
 * Decides on budgets. Closed when a budget that the key names was never heard of; blocked when the newest signal in force says so.
 * @param now instant in UTC with milliseconds.
 */
export const admit = (
  key: VirtualKey,
  budgets: ReadonlyMap<string, Budget>,
  signals: ReadonlyMap<string, HeardSignal>,
  now: string,
): Admission => {
  let remaining: bigint | null = null;
  for (const id of budgetIdsOf(key, budgets)) {
    const scope = `budget/${id}`;
    const budget = budgets.get(id);
    if (!budget || budget.tenant !== key.tenant) {
      const refusal: Refusal = {
        status: key.block_status,
        code: 'budget_unknown',
        message: `The key answers to budget "${id}", which this proxy has not heard of. Declare the budget or remove it from the key.`,
        budget: { scope },
      };
      if (key.block_status === 429) refusal.retryAfterS = 60;
      return { admitted: false, refusal };
    }
    const heard = signals.get(scope)?.signal;
    if (!heard || !isInForce(heard, now)) continue;
    if (heard.state === 'block') {
      const refusal: Refusal = {
        status: key.block_status,
        code: 'budget_exceeded',
        message: `Budget "${id}" is used up: ${heard.spent_usd} of ${heard.limit_usd} USD spent.${heard.resets_at ? ` It resets at ${heard.resets_at}.` : ''}`,
        budget: {
          scope,
          limit: heard.limit_usd,
          spent: heard.spent_usd,
          ...(heard.resets_at === undefined ? {} : { resets_at: heard.resets_at }),
        },
      };
      if (key.block_status === 429) refusal.retryAfterS = secondsUntil(heard.resets_at, now);
      return { admitted: false, refusal };
    }
    // Only a warning's figure is kept fresh; an older one would promise what is spent.
    if (heard.state !== 'warn') continue;
    const left = scaled(heard.limit_usd) - scaled(heard.spent_usd);
    if (remaining === null || left < remaining) remaining = left;
  }
  return remaining === null
    ? { admitted: true }
    : { admitted: true, remainingUsd: unscaled(remaining) };
};

/** Whether the key may ask for the model; a trailing `*` matches a prefix. A key without a list may ask for any. */
export const mayUseModel = (key: VirtualKey, model: string | undefined): boolean => {
  if (!key.models) return true;
  if (model === undefined) return false;
  return key.models.some((name) =>
    name.endsWith('*') ? model.startsWith(name.slice(0, -1)) : name === model,
  );
};
