import { addAmounts, compareAmounts, negateAmount } from '../../../pricing/money.ts';
import type { DemoResult } from './result.ts';

/** What the proof knows before it is judged. */
export type Findings = Omit<DemoResult, 'faults' | 'seconds'> & {
  /** What the control totals say against themselves. */
  controlDifferences: string[];
  /** Calls that are on somebody else's books. */
  wrongOwners: string[];
};

const KIND_IN_WORDS = {
  missing_event: 'missing event: the provider bills this call, and there is no event of it',
  extra_event: 'extra event: we charge this call, and the provider does not bill it',
  charged_twice: 'charged twice: two events for one call of the provider',
  wrong_class: 'wrong class: the same tokens, counted in other classes',
  quantity: 'wrong quantity: other tokens than the provider counted',
  price: 'wrong amount: the same quantities, another sum',
} as const;

const attemptFaults = (findings: Findings): string[] =>
  findings.differences
    .filter((difference) => !difference.flagged)
    .map((difference) => {
      const meters = [...new Set(difference.meters.map((m) => `${m.model} ${m.meter}`))];
      return (
        `${KIND_IN_WORDS[difference.kind]} (${difference.provider} ${difference.provider_request_id}, ` +
        `attempt ${difference.attempt_id ?? 'unknown'}, ${meters.join(' and ') || 'no meter'}, ` +
        `bill minus ledger ${difference.delta_usd} USD)`
      );
    });

const sumFaults = (findings: Findings): string[] => {
  const faults: string[] = [];
  const { ledger_usd: ledger, sandbox_bill_usd: bill } = findings;
  const named = addAmounts(findings.differences.map((difference) => difference.delta_usd));
  const delta = addAmounts([bill, negateAmount(ledger)]);
  if (compareAmounts(named, delta) !== 0) {
    faults.push(
      `the differences named attempt by attempt add up to ${named} USD, but bill minus ledger is ${delta} USD`,
    );
  }
  for (const [name, usd] of [
    ['rollup', findings.rollup_usd],
    ['console', findings.console_usd],
  ] as const) {
    if (compareAmounts(usd, ledger) !== 0) {
      faults.push(`the ${name} says ${usd} USD, the ledger ${ledger} USD`);
    }
  }
  for (const report of findings.reports.filter((r) => !r.within_tolerance)) {
    const cells = report.cells.filter((cell) => compareAmounts(cell.unexplained_usd, '0') !== 0);
    for (const cell of cells) {
      faults.push(
        `statement of ${report.provider}: ${cell.model} ${cell.meter} differs by ${cell.unexplained_usd} USD that nothing explains`,
      );
    }
  }
  return faults;
};

/** Says in one sentence each what does not hold; nothing when all does. */
export const judge = (findings: Findings): string[] => {
  const faults = [...attemptFaults(findings), ...findings.wrongOwners, ...sumFaults(findings)];
  if (findings.events !== findings.attempts) {
    faults.push(
      `${findings.events} events for ${findings.attempts} calls that the provider counted`,
    );
  }
  faults.push(...findings.controlDifferences.map((text) => `control totals: ${text}`));
  const { push } = findings;
  if (!push.equal) {
    faults.push(
      `pushed ${push.sent} of ${push.planned} micro-USD, and Stripe holds ${push.read_back}`,
    );
  }
  if (push.sent_again > 0) faults.push(`a second push sent ${push.sent_again} more`);
  const blocked = findings.blocked[0];
  if (!blocked || blocked.refused === 0) faults.push('no tenant was stopped at its budget');
  else if (blocked.refused_in_dialect !== blocked.refused) {
    faults.push(
      `${blocked.refused - blocked.refused_in_dialect} of ${blocked.refused} refusals were not in the caller's dialect`,
    );
  }
  return faults;
};
