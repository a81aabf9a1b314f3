import type { LogExtent, ReportRecipe } from '../../../schemas/report.ts';

type RecipeLog = ReportRecipe['logs'][number];

const MODULUS = 1n << 128n;

/** What was read of each log: counts, and a sum that any other set of events would not give. */
export interface LogTally {
  add(place: { log: string; partition: number; content: bigint }, counted: boolean): void;
  logs(): RecipeLog[];
}

const placeOf = ({ log, partition }: { log: string; partition: number }): string =>
  `${log}/${partition}`;

/** Counts what is read of the logs, in the order of `extents`; the order of the events does not matter. */
export const createLogTally = (extents: readonly LogExtent[]): LogTally => {
  const found = new Map(
    extents.map(({ log, partition, up_to }) => [
      placeOf({ log, partition }),
      { log, partition, up_to, events: 0, superseded: 0, content: 0n },
    ]),
  );
  return {
    add: (place, counted) => {
      const log = found.get(placeOf(place));
      if (!log) return;
      if (counted) {
        log.events += 1;
        log.content = (log.content + place.content) % MODULUS;
      } else {
        log.superseded += 1;
      }
    },
    logs: () =>
      [...found.values()].map((log) => ({
        ...log,
        content: log.content.toString(16).padStart(32, '0'),
      })),
  };
};

const problemOf = (wanted: RecipeLog, found: RecipeLog): string | null => {
  const name = `log ${wanted.log}, partition ${wanted.partition}, offsets below ${wanted.up_to}`;
  const counts = ({ events, superseded }: RecipeLog): string =>
    `${events} event(s) counted and ${superseded} replaced by later facts`;
  if (wanted.events !== found.events || wanted.superseded !== found.superseded) {
    return `${name}: ${counts(found)}, where the report had ${counts(wanted)}`;
  }
  return wanted.content === found.content
    ? null
    : `${name}: ${wanted.events} event(s) as before, but not the same ones`;
};

/** What a report was made of and is not there any more, a sentence a log. Both in the same order. */
export const logProblems = (
  wanted: readonly RecipeLog[],
  found: readonly RecipeLog[],
): string[] => {
  const there = new Map(found.map((log) => [placeOf(log), log]));
  return wanted.flatMap((log) => {
    const same = there.get(placeOf(log));
    const problem = same ? problemOf(log, same) : `log ${log.log} is not there`;
    return problem === null ? [] : [problem];
  });
};
