import type { Call } from './call.ts';
import { isUnidentified } from './call.ts';
import { withoutDate } from './model-names.ts';

/** Up to this many possible pairs of one model the nearest are found; beyond it both sides are paired in order of size. */
const COMPARED_MAX = 250_000;

interface Candidate {
  readonly call: Call;
  readonly amount: bigint;
}

const candidateOf = (call: Call, side: 'ledger' | 'provider'): Candidate => {
  let amount = 0n;
  for (const line of call.lines.values()) amount += line[side].amount;
  return { call, amount };
};

const isOursAlone = (call: Call): boolean =>
  isUnidentified(call) && [...call.events.values()].every((event) => event.flagged);

const isTheirsAlone = (call: Call): boolean => call.billed && call.events.size === 0;

const bareModelOf = (call: Call): string => {
  const model = [...call.events.values()][0]?.model ?? [...call.lines.values()][0]?.model ?? '';
  return withoutDate(model);
};

const byAmount = (a: Candidate, b: Candidate): number => {
  if (a.amount !== b.amount) return a.amount < b.amount ? -1 : 1;
  return a.call.id < b.call.id ? -1 : 1;
};

const group = (calls: readonly Call[], side: 'ledger' | 'provider'): Map<string, Candidate[]> => {
  const groups = new Map<string, Candidate[]>();
  for (const call of calls) {
    const model = bareModelOf(call);
    groups.set(model, [...(groups.get(model) ?? []), candidateOf(call, side)]);
  }
  return groups;
};

/** Pairs nearest amounts first. */
const pairNearest = (ours: readonly Candidate[], theirs: readonly Candidate[]): [Call, Call][] => {
  const distances = ours.flatMap((mine) =>
    theirs.map((other) => {
      const apart = mine.amount - other.amount;
      return { mine, other, apart: apart < 0n ? -apart : apart };
    }),
  );
  distances.sort((a, b) => (a.apart < b.apart ? -1 : a.apart > b.apart ? 1 : 0));
  const joined = new Map<Call, Call>();
  const taken = new Set<Call>();
  for (const { mine, other } of distances) {
    if (joined.has(mine.call) || taken.has(other.call)) continue;
    joined.set(mine.call, other.call);
    taken.add(other.call);
  }
  return [...joined];
};

const pairInOrder = (ours: readonly Candidate[], theirs: readonly Candidate[]): [Call, Call][] =>
  ours
    .slice(0, theirs.length)
    .flatMap((mine, index) => (theirs[index] ? [[mine.call, theirs[index].call]] : []));

const merge = (ours: Call, theirs: Call): Call => {
  const lines = new Map(theirs.lines);
  for (const [key, line] of ours.lines) {
    const other = lines.get(key);
    lines.set(key, other ? { ...other, ledger: line.ledger } : line);
  }
  return { id: theirs.id, events: ours.events, charged: ours.charged, lines, billed: true };
};

/**
 * Joins attempts of ours that never learnt the provider's id with calls of theirs that nobody else claims, within one model.
 * Which call is which may be a guess; how many are left over is not.
 */
export const pairUnidentified = (calls: readonly Call[]): Call[] => {
  const ours = group(calls.filter(isOursAlone), 'ledger');
  const theirs = group(calls.filter(isTheirsAlone), 'provider');
  const joined = new Map<Call, Call>();
  for (const [model, mine] of ours) {
    const others = theirs.get(model) ?? [];
    mine.sort(byAmount);
    others.sort(byAmount);
    const near = mine.length * others.length <= COMPARED_MAX;
    const pairs = near ? pairNearest(mine, others) : pairInOrder(mine, others);
    for (const [call, other] of pairs) joined.set(call, other);
  }
  const taken = new Set(joined.values());
  return calls
    .filter((call) => !taken.has(call))
    .map((call) => {
      const other = joined.get(call);
      return other ? merge(call, other) : call;
    });
};
