import { expect, test } from 'vitest';
import type { PushRecord } from '../../../services/biller/core/push-record.ts';
import type { MeterDestination, SendOutcome } from '../../../services/biller/meter-destination.ts';
import type { Outbox } from '../../../services/biller/outbox.ts';
import { sendPushes } from '../../../services/biller/send-pushes.ts';

const NOW = Date.parse('2026-11-21T14:20:30.000Z');
const PUSH: PushRecord = {
  pushId: 'p1',
  step: 1,
  state: 'planned',
  account: 'api.stripe.com/test',
  mappingId: 'acme-stripe',
  tenant: 'acme',
  customer: 'cus_1',
  meter: 'llm_cost',
  period: '2026-11',
  windowStart: '2026-11-21T10:00:00.000Z',
  revision: 1,
  identifier: 'p1',
  value: 1n,
  eventAt: '2026-11-21T10:30:00.000Z',
  attemptedAt: null,
  verifiedAt: null,
  reason: '',
};

/** Sends one push to a destination that gives these answers. @returns its last state. */
const sendTo = async (
  answers: SendOutcome[],
  push: PushRecord,
): Promise<PushRecord | undefined> => {
  let last: PushRecord | undefined;
  const outbox: Outbox = {
    load: async () => [],
    advance: async (pushes) => {
      last = pushes.at(-1) ?? last;
      return [...pushes];
    },
  };
  const destination: MeterDestination = {
    kind: 'stripe',
    account: 'api.stripe.com/test',
    checkMeters: async () => undefined,
    readSum: async () => 0n,
    send: async () => answers.shift() ?? { kind: 'rate_limited', retryAfterMs: null },
  };
  const clock = { nowMs: () => NOW, monotonicMs: () => 0 };
  await sendPushes([push], { outbox, destination, clock, wait: async () => undefined });
  return last;
};

const UNKNOWN: SendOutcome = { kind: 'unknown', reason: 'no answer' };
const REFUSED: SendOutcome = { kind: 'refused', reason: '400 archived_meter' };

test.each([
  ['a refusal', REFUSED],
  ['a refused key', { kind: 'not_authorised', reason: '401 no code' } as const],
])(
  '%s after an unanswered call leaves the push unknown: that call may have been taken',
  async (_, then) => {
    const left = await sendTo([UNKNOWN, then], PUSH);
    expect(left).toMatchObject({ state: 'sending', attemptedAt: '2026-11-21T14:20:30.000Z' });
  },
);

test('a repeat that is refused does not undo what an earlier run left unknown', async () => {
  const earlier = { ...PUSH, state: 'sending', attemptedAt: '2026-11-21T13:00:00.000Z' } as const;
  expect(await sendTo([REFUSED], earlier)).toMatchObject({
    state: 'sending',
    attemptedAt: '2026-11-21T13:00:00.000Z',
    reason: 'unknown, then refused: 400 archived_meter',
  });
  expect(await sendTo([REFUSED], PUSH)).toMatchObject({ state: 'failed' });
});
