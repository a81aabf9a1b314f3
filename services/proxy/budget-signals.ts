import type { BudgetSignal } from '../../schemas/budget.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { Consumption } from '../platform/consume-batches.ts';
import { consumeBatches } from '../platform/consume-batches.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { HeardSignal } from './core/admission.ts';
import { isNewer } from './core/admission.ts';

/** The newest signal of every scope, as far as this proxy has heard. */
export interface BudgetSignals {
  readonly byScope: ReadonlyMap<string, HeardSignal>;
  readonly consumption: Consumption;
}

/**
 * Follows `budget.signals.v1` from its start: the topic is compacted, so that is cheap, and memory alone holds the state.
 * @param onHeard is told of every signal that changed something.
 */
export const followBudgetSignals = (
  logs: readonly EventLog[],
  deadLetters: EventLog,
  about: { clock: Clock; onHeard: (signal: BudgetSignal) => void },
): BudgetSignals => {
  const byScope = new Map<string, HeardSignal>();
  const consumption = consumeBatches({
    logs,
    topic: TOPICS.budgetSignals.name,
    kind: 'budgetSignal',
    deadLetters,
    clock: about.clock,
    onRecords: async (records) => {
      const receivedAt = toInstant(about.clock.nowMs());
      for (const { envelope } of records) {
        const signal = envelope.data;
        if (!isNewer(byScope.get(signal.scope)?.signal, signal)) continue;
        byScope.set(signal.scope, { signal, receivedAt });
        about.onHeard(signal);
      }
    },
  });
  return { byScope, consumption };
};
