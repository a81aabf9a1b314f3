import { addAmounts, compareAmounts, negateAmount } from '../../../pricing/money.ts';
import type { DemoResult } from './result.ts';

/** What the proof knows before it is judged. */
export type Findings = Omit<DemoResult, 'faults' | 'traces' | 'seconds'> & {
  /** What the control totals say against themselves. */
  controlDifferences: string[];
  /** Calls that are on somebody else's books. */
  wrongOwners: string[];
};

const KIND_IN_WORDS = {
  missing_event: 'missing event: the provider bills this call, and there is no event of it',
  extra_event: 'extra event: we charge this call, and the provider does not bill it',
  charged_twice: 'charged twice: two events for one call of the provider',
  other_month: 'other month: we charge this call in the month beside',
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

/** What the provider's statements and the control totals say: faults of their own, or the traces of a fault that is named. */
const traceFaults = (findings: Findings): string[] => {
  const traces = findings.reports
    .filter((report) => !report.within_tolerance)
    .flatMap((report) =>
      report.cells
        .filter((cell) => compareAmounts(cell.unexplained_usd, '0') !== 0)
        .map(
          (cell) =>
            `statement of ${report.provider}: ${cell.model} ${cell.meter} differs by ${cell.unexplained_usd} USD that nothing explains`,
        ),
    );
  if (findings.events !== findings.attempts) {
    traces.push(
      `${findings.events} events for ${findings.attempts} calls that the provider counted`,
    );
  }
  return [...traces, ...findings.controlDifferences.map((text) => `control totals: ${text}`)];
};

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
  return faults;
};

const pushFaults = ({ push }: Findings): string[] => {
  const faults: string[] = [];
  if (!push.equal) {
    faults.push(
      `pushed ${push.sent} of ${push.planned} micro-USD, and Stripe holds ${push.read_back}`,
    );
  }
  if (push.sent_again > 0) faults.push(`a second push sent ${push.sent_again} more`);
  return faults;
};

const blockFaults = ({ blocked }: Findings): string[] => {
  const [first] = blocked;
  if (!first || first.refused === 0) return ['no tenant was stopped at its budget'];
  const foreign = first.refused - first.refused_in_dialect;
  return foreign === 0
    ? []
    : [`${foreign} of ${first.refused} refusals were not in the caller's dialect`];
};

/**
 * Says in one sentence each what does not hold; nothing when all does. `traces` are where a fault that is named call by call shows
 * besides; without such a fault they are faults themselves.
 */
export const judge = (findings: Findings): { faults: string[]; traces: string[] } => {
  const named = [...attemptFaults(findings), ...findings.wrongOwners];
  const traces = traceFaults(findings);
  const others = [...sumFaults(findings), ...pushFaults(findings), ...blockFaults(findings)];
  return named.length > 0
    ? { faults: [...named, ...others], traces }
    : { faults: [...traces, ...others], traces: [] };
};
