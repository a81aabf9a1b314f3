import { expect, test } from 'vitest';
import type { PendingOperation } from '../../../schemas/pending-operation.ts';
import { itemFact, jobFact } from '../../../services/proxy/core/batch-results.ts';
import { closeAttempt, recoverAttempt } from '../../../services/proxy/core/close-attempt.ts';
import type { Statement } from '../../../services/proxy/core/flavour.ts';
import { givenUpFact, settledFact } from '../../../services/proxy/core/settle-operation.ts';
import { attemptOf } from './attempt-fixtures.ts';

const NOW = '2026-11-21T12:00:01.000Z';
const BOOT = '019aa000-0000-7000-8000-000000000005';
const attempt = attemptOf({ unknown_price: 'ceiling', flavour: 'anthropic.batch' });
const statement: Statement = { completeness: 'none', classes: {}, units: {} };
const closed = closeAttempt(attempt, statement, {
  kind: 'complete',
  clientLeft: false,
  closedAt: NOW,
  durationMs: 1,
  outputTokensSeen: 0,
  streamSeen: false,
});
const operation = { fact: closed, operation: 'anthropic_batch', id: 'b' } as PendingOperation;
const writing = { eventId: attempt.event_id, bootId: BOOT, now: NOW };
const item = { label: 'a', flavour: 'anthropic.messages' as const, statement, failed: false };
const itemWriting = { ...writing, attemptId: attempt.attempt_id, completedAt: undefined };

test.each([
  ['closed', closed],
  ['found open at a start', recoverAttempt(attempt, BOOT, NOW)],
  ['settled later', settledFact(operation, statement, writing)],
  ['given up', givenUpFact(operation, writing)],
  ['an item of a batch', itemFact(operation, item, itemWriting)],
  ['the job of a batch', jobFact(operation, { ...writing, completedAt: undefined } as never)],
])(
  'an attempt at an upstream that counts unknown prices at a ceiling says so: %s',
  (_how, fact) => {
    expect(fact.unknown_price).toBe('ceiling');
  },
);
