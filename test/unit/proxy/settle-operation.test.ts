import { expect, test } from 'vitest';
import { askedOnce, isGone, NOT_ASKED } from '../../../services/proxy/core/settle-operation.ts';

const HOUR_MS = 3_600_000;

/** Whether work is taken for gone after answers with these statuses, one a minute or as far apart as said. */
const goneAfter = (statuses: readonly (number | null)[], everyMs: number): boolean => {
  let asked = NOT_ASKED;
  statuses.forEach((status, at) => {
    asked = askedOnce(asked, status, at * everyMs);
  });
  return isGone({ asked, nowMs: (statuses.length - 1) * everyMs, goneMs: HOUR_MS });
};

test.each([
  ['three in the first minutes: not everywhere yet', [404, 404, 404], 60_000, false],
  ['three over an hour', [404, 404, 404], HOUR_MS / 2, true],
  ['two, however far apart', [404, 410], HOUR_MS * 5, false],
  ['an answer in between begins anew', [404, 404, 200, 404, 404], HOUR_MS / 2, false],
  [
    'refusals, faults and silence in between end nothing',
    [404, 429, 404, 503, null, 404],
    720_000,
    true,
  ],
  ['a credential that was taken away', [401, 403, 401, 403, 401], HOUR_MS, false],
  ['an upstream whose record was deleted', [null, null, null, null], HOUR_MS, false],
  ['a provider that is down', [500, 502, 503, 504, 529], HOUR_MS, false],
])('no such work: %s', (_what, statuses, everyMs, gone) => {
  expect(goneAfter(statuses, everyMs)).toBe(gone);
});

test('only answers about the work use up the questions about an estimate', () => {
  const asked = [401, 429, 500, null, 200, 404].reduce<typeof NOT_ASKED>(
    (so, status) => askedOnce(so, status, 0),
    NOT_ASKED,
  );
  expect(asked.told).toBe(2);
});
