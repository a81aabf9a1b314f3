/** The parts of the control totals that have to be nothing. Counts and money as text. */
export interface TotalsToJudge {
  quarantined: { usage: string; rated: string };
  /** Events waiting for the rater, or lost. */
  events_without_entry: string;
  entries_without_event: string;
  /** Charges minus rollups. */
  difference_usd: string;
  sequences: readonly { missing: string; repeated: string }[];
}

/**
 * `equal`: everything agrees. `behind`: what differs may be what is still on its way. `differ`: nothing is on its way, or what
 * differs cannot come right by waiting. `unknown`: it cannot be said whether anything is on its way, and something differs.
 */
export type Verdict = 'equal' | 'behind' | 'differ' | 'unknown';

const isNothing = (text: string): boolean => /^-?0*(\.0*)?$/.test(text);

/**
 * Judges the control totals.
 * @param lagEvents records not yet in the figures; null while unknown
 * @returns the verdict, and each thing that is not nothing, in words.
 */
export const judgeTotals = (
  totals: TotalsToJudge,
  lagEvents: number | null,
): { verdict: Verdict; differences: string[] } => {
  const lasting: string[] = [];
  const passing: string[] = [];
  const { quarantined, sequences } = totals;
  if (!isNothing(quarantined.usage)) lasting.push(`${quarantined.usage} events are quarantined`);
  if (!isNothing(quarantined.rated)) lasting.push(`${quarantined.rated} ratings are quarantined`);
  const repeated = sequences.filter((run) => !isNothing(run.repeated)).length;
  if (repeated > 0) lasting.push(`${repeated} proxy runs have sequence numbers used twice`);
  const missing = sequences.filter((run) => !isNothing(run.missing)).length;
  if (missing > 0) passing.push(`${missing} proxy runs have holes in their sequence`);
  if (!isNothing(totals.events_without_entry)) {
    passing.push(`${totals.events_without_entry} events have no ledger entry`);
  }
  if (!isNothing(totals.entries_without_event)) {
    passing.push(`${totals.entries_without_event} ledger entries have no event`);
  }
  if (!isNothing(totals.difference_usd)) {
    passing.push(`charges and rollups differ by ${totals.difference_usd} USD`);
  }
  const differences = [...lasting, ...passing];
  if (differences.length === 0) return { verdict: 'equal', differences };
  if (lasting.length > 0) return { verdict: 'differ', differences };
  if (lagEvents === null) return { verdict: 'unknown', differences };
  return { verdict: lagEvents > 0 ? 'behind' : 'differ', differences };
};
