import type { BudgetSignal } from '../../schemas/budget.ts';
import { encodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import { consumeBatches } from '../platform/consume-batches.ts';
import type { EventLog, LogEntry } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { BudgetController } from './core/budget-controller.ts';
import type { Instruments } from './instruments.ts';

/** Tells the controller every signal the log still holds, so that versions go on where they stopped. */
export const learnNewestSignals = async (
  deps: { backOffice: EventLog; clock: Clock },
  controller: BudgetController,
): Promise<void> => {
  const reading = consumeBatches({
    logs: [deps.backOffice],
    topic: TOPICS.budgetSignals.name,
    kind: 'budgetSignal',
    deadLetters: deps.backOffice,
    clock: deps.clock,
    onRecords: async (records) => {
      for (const { envelope } of records) controller.learnSignal(envelope.data);
    },
  });
  await Promise.race([reading.caughtUp, reading.ended]);
  await reading.close();
};

const toLogEntry = (signal: BudgetSignal): LogEntry => ({
  topic: TOPICS.budgetSignals.name,
  key: signal.scope,
  value: encodeEnvelope(
    'budgetSignal',
    {
      id: `${signal.scope}/${signal.version}`,
      source: '/budget',
      subject: signal.tenant,
      time: signal.issued_at,
    },
    signal,
  ),
});

const observe = (signal: BudgetSignal, nowMs: number, instruments: Instruments): void => {
  instruments.signals.inc({ state: signal.state });
  if (signal.cause === undefined) return;
  const lagMs = nowMs - Date.parse(signal.cause.closed_at);
  instruments.lagSeconds.observe(Math.max(0, lagMs) / 1000);
};

/**
 * Appends what the controller has to say, at once and in one append. Resolves when it is stored: with the operating system or
 * the broker. Rejects when it is not; then the service stops, and the next start says it again.
 */
export const createSignalWriter = (
  deps: { backOffice: EventLog; clock: Clock; logger: Logger },
  controller: BudgetController,
  instruments: Instruments,
): ((which: 'touched' | 'all') => Promise<void>) => {
  return async (which) => {
    const signals = controller.takeSignals(toInstant(deps.clock.nowMs()), which);
    if (signals.length === 0) return;
    const { stored } = deps.backOffice.append(signals.map(toLogEntry));
    await stored;
    const nowMs = deps.clock.nowMs();
    for (const signal of signals) {
      observe(signal, nowMs, instruments);
      const { budget_id, state, version, spent_usd, limit_usd } = signal;
      deps.logger.info({ budget_id, state, version, spent_usd, limit_usd }, 'budget signal');
    }
  };
};
