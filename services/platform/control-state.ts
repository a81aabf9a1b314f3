import type { Budget } from '../../schemas/budget.ts';
import type {
  BillingMapping,
  ControlRecord,
  PeriodState,
  Route,
  Tenant,
  Upstream,
  VirtualKey,
} from '../../schemas/control-record.ts';
import type { Period } from '../../schemas/instant.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from './clock.ts';
import { consumeBatches } from './consume-batches.ts';
import type { EventLog } from './event-log.ts';
import type { RunningService } from './running-service.ts';

/** The control records in force: what the log's newest record per `kind/id` says. A projection; rebuilt at every start. */
export interface ControlState {
  readonly tenants: ReadonlyMap<string, Tenant>;
  readonly keys: ReadonlyMap<string, VirtualKey>;
  /** The same keys by the public part of their secret. */
  readonly keysByPublicId: ReadonlyMap<string, VirtualKey>;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly routes: ReadonlyMap<string, Route>;
  readonly budgets: ReadonlyMap<string, Budget>;
  readonly mappings: ReadonlyMap<string, BillingMapping>;
  /** Months somebody has closed or reopened; any other is open. */
  readonly periods: ReadonlyMap<string, PeriodState>;
}

export interface ControlStateFollower extends RunningService {
  readonly state: ControlState;
  /** Resolves once every record written before the start is in force. Nothing may be admitted earlier. */
  readonly caughtUp: Promise<void>;
  /** Called after each batch of changes. */
  onChange(listener: () => void): void;
}

/** Months nothing is posted into. */
export const closedPeriodsOf = ({ periods }: Pick<ControlState, 'periods'>): ReadonlySet<Period> =>
  new Set([...periods.values()].filter(({ state }) => state === 'closed').map(({ id }) => id));

const put = <T extends { id: string }>(map: Map<string, T>, deleted: boolean, body: T): void => {
  if (deleted) map.delete(body.id);
  else map.set(body.id, body);
};

const createMaps = () => ({
  tenants: new Map<string, Tenant>(),
  keys: new Map<string, VirtualKey>(),
  keysByPublicId: new Map<string, VirtualKey>(),
  upstreams: new Map<string, Upstream>(),
  routes: new Map<string, Route>(),
  budgets: new Map<string, Budget>(),
  mappings: new Map<string, BillingMapping>(),
  periods: new Map<string, PeriodState>(),
});

const applyRecord = (maps: ReturnType<typeof createMaps>, record: ControlRecord): void => {
  switch (record.kind) {
    case 'tenant':
      put(maps.tenants, record.deleted, record.body);
      break;
    case 'upstream':
      put(maps.upstreams, record.deleted, record.body);
      break;
    case 'route':
      put(maps.routes, record.deleted, record.body);
      break;
    case 'budget':
      put(maps.budgets, record.deleted, record.body);
      break;
    case 'mapping':
      put(maps.mappings, record.deleted, record.body);
      break;
    case 'period':
      put(maps.periods, record.deleted, record.body);
      break;
    case 'key': {
      const before = maps.keys.get(record.id);
      if (before) maps.keysByPublicId.delete(before.public_id);
      put(maps.keys, record.deleted, record.body);
      if (!record.deleted) maps.keysByPublicId.set(record.body.public_id, record.body);
    }
  }
};

/** Follows `control.records.v1` and keeps the records in force in memory. */
export const followControlState = (
  logs: readonly EventLog[],
  deadLetters: EventLog,
  clock: Clock,
): ControlStateFollower => {
  const maps = createMaps();
  const listeners: (() => void)[] = [];
  const consumption = consumeBatches({
    logs,
    topic: TOPICS.controlRecords.name,
    kind: 'controlRecord',
    deadLetters,
    clock,
    onRecords: async (records) => {
      for (const { envelope } of records) applyRecord(maps, envelope.data);
      for (const listener of listeners) listener();
    },
  });
  return {
    name: 'control-state',
    state: maps,
    caughtUp: consumption.caughtUp,
    ended: consumption.ended,
    onChange: (listener) => void listeners.push(listener),
    close: () => consumption.close(),
  };
};
