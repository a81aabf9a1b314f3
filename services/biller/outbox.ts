import { createHash } from 'node:crypto';
import type { Period } from '../../schemas/instant.ts';
import { InstantSchema } from '../../schemas/instant.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { sqlString } from '../platform/warehouse.ts';
import type { PushRecord, PushState } from './core/push-record.ts';
import { PUSH_STATES } from './core/push-record.ts';

/** The durable list of what was, or is to be, pushed. Also the deduplication beyond the destination's own 24 hours. */
export interface Outbox {
  load(period: Period): Promise<PushRecord[]>;
  /** Appends the next state of each push; durable when it resolves. Gives the pushes as they now are. */
  advance(pushes: readonly PushRecord[]): Promise<PushRecord[]>;
}

const COLUMNS = [
  'push_id',
  'step',
  'state',
  'destination',
  'account',
  'mapping_id',
  'tenant',
  'customer',
  'meter',
  'period',
  'window_start',
  'revision',
  'identifier',
  'value',
  'event_at',
  'attempted_at',
  'verified_at',
  'reason',
  'recorded_at',
] as const;
const BLOCK_ROWS = 5_000;
const LOAD_ROWS_MAX = 500_000;

const toRow = (push: PushRecord, recordedAt: string): unknown[] => [
  push.pushId,
  push.step,
  push.state,
  'stripe',
  push.account,
  push.mappingId,
  push.tenant,
  push.customer,
  push.meter,
  push.period,
  push.windowStart,
  push.revision,
  push.identifier,
  push.value.toString(),
  push.eventAt,
  push.attemptedAt,
  push.verifiedAt,
  push.reason,
  recordedAt,
];

type Row = Record<string, string | number | null>;

const fromRow = (row: Row): PushRecord => {
  const text = (name: string): string => String(row[name] ?? '');
  const instant = (name: string): string => InstantSchema.parse(text(name));
  const optional = (name: string): string | null => (text(name) === '' ? null : instant(name));
  const state = text('state') as PushState;
  if (!PUSH_STATES.includes(state)) {
    throw new ReckonerError(
      'WAREHOUSE_FAILED',
      `The outbox holds a push in the state ${state}, which this version does not know. Run a Reckoner at least as new as the one that wrote it.`,
    );
  }
  return {
    pushId: text('push_id'),
    step: Number(text('step')),
    state,
    account: text('account'),
    mappingId: text('mapping_id'),
    tenant: text('tenant'),
    customer: text('customer'),
    meter: text('meter'),
    period: text('period'),
    windowStart: instant('window_start'),
    revision: Number(text('revision')),
    identifier: text('identifier'),
    value: BigInt(text('value')),
    eventAt: instant('event_at'),
    attemptedAt: optional('attempted_at'),
    verifiedAt: optional('verified_at'),
    reason: text('reason'),
  };
};

const SELECT = `SELECT push_id, step, state, account, mapping_id, tenant, customer, meter, period, window_start, revision, identifier,
  value, event_at, attempted_at, verified_at, reason FROM billing_pushes`;

/** The outbox of one account, in the table behind the view `billing_pushes`. */
export const createOutbox = (warehouse: Warehouse, account: string, clock: Clock): Outbox => ({
  load: async (period) => {
    const rows = await warehouse.query<Row>(
      `${SELECT} WHERE destination = 'stripe' AND account = ${sqlString(account)} AND period = ${sqlString(period)} ORDER BY push_id LIMIT ${LOAD_ROWS_MAX + 1}`,
    );
    if (rows.length > LOAD_ROWS_MAX) {
      throw new ReckonerError(
        'PUSH_FAILED',
        `The outbox holds more than ${LOAD_ROWS_MAX} pushes for ${period}, more than one run plans. Push fewer customers from one house.`,
      );
    }
    return rows.map(fromRow);
  },
  advance: async (pushes) => {
    const next = pushes.map((push) => ({ ...push, step: push.step + 1 }));
    const recordedAt = toInstant(clock.nowMs());
    for (let from = 0; from < next.length; from += BLOCK_ROWS) {
      const rows = next.slice(from, from + BLOCK_ROWS).map((push) => toRow(push, recordedAt));
      const token = createHash('sha256').update(JSON.stringify(rows)).digest('hex');
      await warehouse.insert({ table: 'billing_push_steps', columns: COLUMNS, rows, token });
    }
    return next;
  },
});
