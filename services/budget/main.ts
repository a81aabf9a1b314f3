import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { Consumption } from '../platform/consume-batches.ts';
import { consumeBatches } from '../platform/consume-batches.ts';
import type { ControlStateFollower } from '../platform/control-state.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { RunningService } from '../platform/running-service.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { BudgetStatusRow } from './core/budget-controller.ts';
import { BudgetController } from './core/budget-controller.ts';
import { createInstruments } from './instruments.ts';
import { createSignalWriter, learnNewestSignals } from './signals.ts';
import { startStallAlarm } from './stall-alarm.ts';
import { createStatusWriter } from './status-writer.ts';

export type { BudgetStatusRow } from './core/budget-controller.ts';

export interface BudgetDeps {
  /** Holds `usage.rated.v1`. */
  rated: EventLog;
  /** Holds `budget.signals.v1` and takes the dead letters. This service is the only writer of signals. */
  backOffice: EventLog;
  control: ControlStateFollower;
  warehouse: Warehouse;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}

export interface BudgetService extends RunningService {
  /** Resolves once all that was rated before the start is counted and signalled. Rejects when that failed. */
  readonly caughtUp: Promise<void>;
  /** Rated entries not yet counted; null while unknown. */
  lag(): number | null;
  /** One row per declared budget, at its current window. Exact as of the entries counted so far. */
  status(): BudgetStatusRow[];
}

/** Turns of the timer: ends of windows are met exactly, set clocks and due refreshes within this. */
const TURN_MS = 250;
/** How often the warehouse is told. */
const STATUS_EVERY_MS = 1000;

/** Runs what no usage drives: ends of windows and refreshes that were held back. `signalAll` handles its own failure. */
const createTurns = (deps: BudgetDeps, controller: BudgetController, signalAll: () => void) => {
  let running = false;
  let timer: NodeJS.Timeout | undefined;
  const turn = (): void => {
    if (!running) return;
    signalAll();
    const nowMs = deps.clock.nowMs();
    const reset = controller.nextReset(toInstant(nowMs));
    const untilResetMs = reset === null ? TURN_MS : Date.parse(reset) - nowMs;
    timer = setTimeout(turn, Math.max(1, Math.min(TURN_MS, untilResetMs)));
  };
  return {
    start: (): void => {
      running = true;
      turn();
    },
    stop: (): void => {
      running = false;
      clearTimeout(timer);
    },
  };
};

const startFold = (
  deps: BudgetDeps,
  onEntry: (entry: Parameters<BudgetController['fold']>[0], now: string) => void,
  onFolded: () => Promise<void>,
): Consumption =>
  consumeBatches({
    logs: [deps.rated],
    topic: TOPICS.usageRated.name,
    kind: 'ratedUsage',
    deadLetters: deps.backOffice,
    clock: deps.clock,
    onRecords: async (records) => {
      const now = toInstant(deps.clock.nowMs());
      for (const { envelope } of records) onEntry(envelope.data, now);
      await onFolded();
    },
  });

const startStatus = (deps: BudgetDeps, controller: BudgetController, onFailure: () => void) => {
  const writer = createStatusWriter({ ...deps, onFailure });
  const write = (): Promise<void> => writer.write(controller.status(toInstant(deps.clock.nowMs())));
  let timer: NodeJS.Timeout | undefined;
  return {
    start: (): void => {
      timer = setInterval(() => void write(), STATUS_EVERY_MS);
      void write();
    },
    /** Ends with what was true last. */
    stop: async (): Promise<void> => {
      if (timer === undefined) return;
      clearInterval(timer);
      await write();
    },
  };
};

/** What runs between start and close once the past is counted. */
const createService = (deps: BudgetDeps, controller: BudgetController): BudgetService => {
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => undefined);
  let phase: 'replaying' | 'live' | 'closed' = 'replaying';
  let counted = 0;
  const instruments = createInstruments(deps.metrics, () => fold.lag());
  const writeSignals = createSignalWriter(deps, controller, instruments);
  const signalAll = (): void => {
    if (phase === 'live') writeSignals('all').catch(ended.reject);
  };
  const fold: Consumption = startFold(
    deps,
    (entry, now) => {
      counted += 1;
      instruments.entries.inc({ outcome: controller.fold(entry, now) });
    },
    async () => {
      if (phase === 'live') await writeSignals('touched');
    },
  );
  const stallAlarm = startStallAlarm(deps, () => ({ lag: fold.lag(), counted }));
  const turns = createTurns(deps, controller, signalAll);
  const status = startStatus(deps, controller, () => instruments.statusFailures.inc());
  const caughtUp = Promise.race([fold.caughtUp, fold.ended]).then(async () => {
    if (phase === 'closed') return;
    phase = 'live';
    await writeSignals('all');
    turns.start();
    status.start();
  });
  caughtUp.catch(ended.reject);
  fold.ended.catch(ended.reject);
  const readBudgets = (): void => controller.setBudgets(deps.control.state.budgets.values());
  readBudgets();
  deps.control.onChange(() => {
    readBudgets();
    signalAll();
  });
  return {
    name: 'budget',
    ended: ended.promise,
    caughtUp,
    lag: () => fold.lag(),
    status: () => controller.status(toInstant(deps.clock.nowMs())),
    close: async () => {
      phase = 'closed';
      turns.stop();
      stallAlarm.stop();
      await fold.close();
      await status.stop();
      ended.resolve();
    },
  };
};

/**
 * Counts rated usage against budgets and signals what changed. Rebuilt at every start from the first entry of
 * `usage.rated.v1`; nothing is signalled before all of it is counted, since a state long past would lift a block that stands.
 * Resolves when records and signals are read; `caughtUp` follows.
 */
export const startBudget = async (deps: BudgetDeps): Promise<BudgetService> => {
  const controller = new BudgetController();
  await deps.control.caughtUp;
  await learnNewestSignals(deps, controller);
  return createService(deps, controller);
};
