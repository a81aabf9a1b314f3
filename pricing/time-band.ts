import type { Instant } from '../schemas/instant.ts';
import type { TimeBand } from '../schemas/price-book.ts';

/** Day of the week of a UTC day, 1 Monday to 7 Sunday. */
const isoWeekday = (day: string): number => new Date(`${day}T00:00:00.000Z`).getUTCDay() || 7;

/** Days count by the instant's own UTC day, also in a window that goes over midnight. Instants have one spelling, so text compares. */
export const inTimeBand = (band: TimeBand, at: Instant): boolean => {
  const day = at.slice(0, 10);
  const clock = at.slice(11, 16);
  const inWindow = band.windows.some(({ from, to }) =>
    from < to ? clock >= from && clock < to : clock >= from || clock < to,
  );
  if (!inWindow || band.except_days?.includes(day)) return false;
  return band.days === undefined || band.days.includes(isoWeekday(day));
};

/** One spelling of a time band, to tell one from another. */
export const timeBandName = (band: TimeBand): string =>
  [
    band.windows.map(({ from, to }) => `${from}-${to}`).join('+'),
    band.days === undefined ? '' : `days ${band.days.join('')}`,
    band.except_days === undefined ? '' : `but ${band.except_days.join(' ')}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
