import type { Period } from '../../schemas/instant.ts';
import { toInstant } from '../platform/clock.ts';
import type { ZoneDays } from './core/day-boundary.ts';

const DAY_MS = 86_400_000;

/** A zone for each way that days are cut anywhere people live; of those that cut alike the best known. */
const ZONES = [
  'America/Los_Angeles',
  'America/New_York',
  'America/Chicago',
  'America/Denver',
  'America/Phoenix',
  'America/Anchorage',
  'Pacific/Honolulu',
  'America/Halifax',
  'America/St_Johns',
  'America/Bogota',
  'America/Sao_Paulo',
  'Europe/London',
  'Europe/Berlin',
  'Europe/Helsinki',
  'Europe/Istanbul',
  'Africa/Lagos',
  'Africa/Johannesburg',
  'Africa/Cairo',
  'Asia/Jerusalem',
  'Asia/Dubai',
  'Asia/Karachi',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Dhaka',
  'Asia/Bangkok',
  'Asia/Singapore',
  'Asia/Tokyo',
  'Australia/Brisbane',
  'Australia/Adelaide',
  'Australia/Sydney',
  'Pacific/Auckland',
];

/** How far a zone's clocks are ahead of UTC at an instant, in milliseconds. */
const offsetMs = (clock: Intl.DateTimeFormat, atMs: number): number => {
  const parts = Object.fromEntries(
    clock.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]),
  );
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - atMs;
};

const clockOf = (zone: string): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });

/** Where the clocks of a zone show the midnight that UTC has at `utcMs`; twice, since clocks may be changed in between. */
const midnightOf = (clock: Intl.DateTimeFormat, utcMs: number): number => {
  const near = utcMs - offsetMs(clock, utcMs);
  return utcMs - offsetMs(clock, near);
};

/** First instants of the month's days, and of the month after, in UTC and in every zone whose midnights are others; UTC first. */
export const zoneDaysOf = (period: Period): ZoneDays[] => {
  const first = Date.parse(`${period}-01T00:00:00.000Z`);
  const start = new Date(first);
  const end = Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 1);
  const utc = Array.from({ length: (end - first) / DAY_MS + 1 }, (_, day) => first + day * DAY_MS);
  const found = new Map<string, ZoneDays>();
  const add = (zone: string, starts: readonly number[]): void => {
    const day_starts = starts.map((at) => toInstant(at));
    const key = day_starts.join();
    if (!found.has(key)) found.set(key, { zone, day_starts });
  };
  add('UTC', utc);
  for (const zone of ZONES) {
    const clock = clockOf(zone);
    add(
      zone,
      utc.map((at) => midnightOf(clock, at)),
    );
  }
  return [...found.values()];
};
