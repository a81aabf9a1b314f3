import { expect, test } from 'vitest';
import { whyNotClosed, whyNotReopened } from '../../../services/console/core/close-period.ts';
import { openConsole } from './console-fakes.ts';

const settled = { unrated: 0, quarantined: 0, not_rated_yet: 0 };
const facts = {
  period: '2026-10',
  now: '2026-11-01T00:00:00.000Z',
  state: undefined,
  openItems: settled,
  force: false,
};
const closed = {
  id: '2026-10',
  state: 'closed' as const,
  by: 'ada',
  at: '2026-11-02T10:00:00.000Z',
  reason: 'month end',
  open_items: settled,
};

test('a month can be closed from the first instant of the next, when everything in it is settled', () => {
  expect(whyNotClosed(facts)).toBeNull();
  expect(whyNotClosed({ ...facts, now: '2026-10-31T23:59:59.999Z' })).toContain('is not over');
  expect(whyNotClosed({ ...facts, now: '2026-10-31T23:59:59.999Z', force: true })).toContain(
    'is not over',
  );
});

test('a month with something that is not settled is closed by force only', () => {
  const openItems = { unrated: 3, quarantined: 1, not_rated_yet: 2 };
  expect(whyNotClosed({ ...facts, openItems })).toContain(
    '2026-10 has 3 event(s) without a price, 1 record(s) in quarantine, 2 event(s) that are not rated yet',
  );
  expect(whyNotClosed({ ...facts, openItems, force: true })).toBeNull();
});

test('a closed month is not closed again, and only a closed one is reopened', () => {
  expect(whyNotClosed({ ...facts, state: closed, force: true })).toContain(
    'closed already, by ada',
  );
  expect(whyNotReopened('2026-10', closed)).toBeNull();
  expect(whyNotReopened('2026-10', undefined)).toContain('only a closed month');
  expect(whyNotReopened('2026-10', { ...closed, state: 'open' })).toContain('only a closed month');
  expect(whyNotClosed({ ...facts, state: { ...closed, state: 'open' } })).toBeNull();
});

test('the newest word about a month says who, when and why, and is in force when it is answered', async () => {
  const { call, control } = await openConsole({
    clock: { nowMs: () => Date.parse('2026-11-03T08:00:00Z'), monotonicMs: () => 0 },
  });
  const word = { period: '2026-10', by: 'ada', reason: 'month end' };
  const post = (path: string, body: unknown) => call('POST', `/api/v1/periods/${path}`, { body });
  expect((await post('close', word)).status).toBe(200);
  expect(control.state.periods.get('2026-10')?.state).toBe('closed');
  const again = await post('close', word);
  expect(again.status).toBe(409);
  expect(await again.json()).toMatchObject({ type: 'urn:reckoner:problem:period-state' });
  expect((await post('reopen', { ...word, reason: 'late credit note' })).status).toBe(200);
  expect((await post('close', { ...word, reason: '' })).status).toBe(400);
  const states = await call('GET', '/api/v1/periods/states');
  expect(await states.json()).toEqual({
    rows: [
      {
        id: '2026-10',
        state: 'open',
        by: 'ada',
        at: '2026-11-03T08:00:00.000Z',
        reason: 'late credit note',
        open_items: settled,
      },
    ],
  });
});

test('a run that breaks off on its way says so in its last line; one that cannot begin answers a problem', async () => {
  const { call } = await openConsole({
    rerater: {
      run: async function* () {
        yield { step: 'progress', events: 0, of: 9 };
        throw new TypeError('secret of a stack');
      },
    },
  });
  const answer = await call('POST', '/api/v1/rerate', { body: { period: '2026-10' } });
  expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
  const lines = (await answer.text()).trim().split('\n');
  expect(lines).toHaveLength(2);
  expect(lines[1]).toContain('"step":"failed"');
  expect(lines[1]).not.toContain('secret');
  for (const body of [
    { period: '2026-13' },
    { period: '2026-10', from: '2026-10-01T00:00:00.000Z' },
    { from: '2026-11-01T00:00:00.000Z', to: '2026-10-01T00:00:00.000Z' },
    { tenant: "x' OR 1" },
  ]) {
    expect((await call('POST', '/api/v1/rerate', { body })).status).toBe(400);
  }
});
