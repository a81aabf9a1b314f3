import type { OpenItems, PeriodState } from '../../../schemas/control-record.ts';
import type { Instant, Period } from '../../../schemas/instant.ts';
import { periodOf } from '../../../schemas/instant.ts';

export interface CloseFacts {
  period: Period;
  now: Instant;
  /** The newest word about it; undefined while nobody has spoken. */
  state: PeriodState | undefined;
  openItems: OpenItems;
  /** Close although something is not settled. */
  force: boolean;
}

const describe = ({ unrated, quarantined, not_rated_yet: waiting }: OpenItems): string =>
  [
    ...(unrated > 0 ? [`${unrated} event(s) without a price`] : []),
    ...(quarantined > 0 ? [`${quarantined} record(s) in quarantine`] : []),
    ...(waiting > 0 ? [`${waiting} event(s) that are not rated yet`] : []),
  ].join(', ');

/** Why a month cannot be closed, in a sentence, or null. A month that is not over is never closed: there would be nowhere to post into. */
export const whyNotClosed = (facts: CloseFacts): string | null => {
  const { period, now, state, openItems, force } = facts;
  if (state?.state === 'closed') {
    return `${period} is closed already, by ${state.by} at ${state.at}. Reopen it first if it is to be closed anew.`;
  }
  if (period >= periodOf(now)) {
    return `${period} is not over; a month can be closed from the first instant of the next, in UTC.`;
  }
  const open = describe(openItems);
  if (open === '' || force) return null;
  return `${period} has ${open}. Settle them (see the views "unrated" and "quarantine"; "reckoner rerate" rates what has a price by now), or close with --force and a reason.`;
};

/** Why a month cannot be reopened, in a sentence, or null. */
export const whyNotReopened = (period: Period, state: PeriodState | undefined): string | null =>
  state?.state === 'closed' ? null : `${period} is open; only a closed month can be reopened.`;
