import type { PriceBooks } from '../../pricing/price-books.ts';
import type { Upstream } from '../../schemas/control-record.ts';
import type { ProcessConfig } from '../../schemas/house-config.ts';
import type { Clock } from '../platform/clock.ts';
import type { ControlStateFollower } from '../platform/control-state.ts';
import type { Logger } from '../platform/logger.ts';
import type { AttemptJournal } from './attempt-journal.ts';
import type { BodyRoom } from './body-room.ts';
import type { BudgetSignals } from './budget-signals.ts';
import type { Follower } from './follow-operations.ts';
import type { Forwarder } from './forward.ts';
import type { PressureMetrics, ProxyMetrics } from './proxy-metrics.ts';
import type { TargetBoard } from './target-board.ts';
import type { PressureWatch } from './watch-pressure.ts';

/** What every call needs of the running proxy. */
export interface ProxyParts {
  config: ProcessConfig['proxy'];
  bootId: string;
  control: ControlStateFollower;
  signals: BudgetSignals;
  journal: AttemptJournal;
  /** Of attempts that go on although their opened record could not be kept. */
  unrecorded: AttemptJournal;
  pressure: PressureWatch;
  pressureMetrics: PressureMetrics;
  follower: Follower;
  forwarder: Forwarder;
  targets: TargetBoard;
  /** Prices in force. May be others at the next call of this. */
  books: () => PriceBooks;
  metrics: ProxyMetrics;
  clock: Clock;
  logger: Logger;
  pepper: string;
  /** The upstream's credential in clear, or null when it needs none. */
  credentialOf: (upstream: Upstream) => string | null;
  drains: Places;
  calls: Places;
  bodies: BodyRoom;
  /** True once control records and signals of before the start are in force. */
  ready: () => boolean;
  stopping: () => boolean;
  /** Registers what to do when patience ends at a stop; gives the way to forget it. */
  onShutdown: (listener: () => void) => () => void;
}

/** A bounded number of places. */
export interface Places {
  /** @returns false when all places are taken. */
  enter(): boolean;
  leave(): void;
  taken(): number;
}

export const createPlaces = (max: number): Places => {
  let taken = 0;
  return {
    enter: () => {
      if (taken >= max) return false;
      taken += 1;
      return true;
    },
    leave: () => {
      taken -= 1;
    },
    taken: () => taken,
  };
};
