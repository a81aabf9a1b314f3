import type { Budget } from '../../../schemas/budget.ts';
import type { Instant } from '../../../schemas/instant.ts';

/** One calendar window in UTC, half-open. `total` has neither start nor end. */
export interface SpendWindow {
  /** `day 2026-11-21`, `month 2026-11`, `total`: names the window within its tenant. */
  readonly key: string;
  readonly start?: Instant;
  readonly end?: Instant;
}

const TOTAL: SpendWindow = { key: 'total' };

/** The window of the kind given that an instant lies in. */
export const windowAt = (kind: Budget['window'], instant: Instant): SpendWindow => {
  if (kind === 'total') return TOTAL;
  const year = Number(instant.slice(0, 4));
  const month = Number(instant.slice(5, 7)) - 1;
  const day = Number(instant.slice(8, 10));
  const [start, end] =
    kind === 'day'
      ? [Date.UTC(year, month, day), Date.UTC(year, month, day + 1)]
      : [Date.UTC(year, month, 1), Date.UTC(year, month + 1, 1)];
  return {
    key: windowKeyAt(kind, instant),
    start: new Date(start).toISOString(),
    end: new Date(end).toISOString(),
  };
};

/** Only the key of that window: cheap enough for every entry of a replay. */
export const windowKeyAt = (kind: Budget['window'], instant: Instant): string => {
  if (kind === 'total') return 'total';
  return kind === 'day' ? `day ${instant.slice(0, 10)}` : `month ${instant.slice(0, 7)}`;
};

export const WINDOW_KINDS: readonly Budget['window'][] = ['day', 'month', 'total'];
