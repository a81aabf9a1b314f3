import type { ControlRecord } from '../../schemas/control-record.ts';
import { encodeEnvelope } from '../../schemas/envelope.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { ControlStateFollower } from '../platform/control-state.ts';
import { ReckonerError } from '../platform/errors.ts';
import type { EventLog, LogEntry } from '../platform/event-log.ts';
import { newId } from '../platform/id-source.ts';
import { isInForce } from './core/records-plan.ts';

const IN_FORCE_TIMEOUT_MS = 15_000;

export interface RecordWriter {
  control: ControlStateFollower;
  /** The log of the process that alone writes control records. */
  backOffice: EventLog;
  clock: Clock;
}

/** One listener per follower; a follower lives as long as its process. */
const listeners = new WeakMap<ControlStateFollower, Set<() => void>>();

const onEachChange = (control: ControlStateFollower, listener: () => void): (() => void) => {
  let set = listeners.get(control);
  if (!set) {
    const made = new Set<() => void>();
    set = made;
    listeners.set(control, made);
    control.onChange(() => {
      for (const call of made) call();
    });
  }
  const registered = set;
  registered.add(listener);
  return () => void registered.delete(listener);
};

const untilInForce = (records: readonly ControlRecord[], control: ControlStateFollower) =>
  new Promise<void>((resolve, reject) => {
    const done = () => records.every((record) => isInForce(record, control.state));
    if (done()) {
      resolve();
      return;
    }
    const stop = onEachChange(control, () => {
      if (!done()) return;
      stop();
      clearTimeout(timer);
      resolve();
    });
    const timer = setTimeout(() => {
      stop();
      reject(
        new ReckonerError(
          'LOG_APPEND_FAILED',
          `The records are written, but were not in force after ${IN_FORCE_TIMEOUT_MS} ms. Apply the same again; what is in force already is left alone.`,
          { retryable: true },
        ),
      );
    }, IN_FORCE_TIMEOUT_MS);
  });

const tenantOf = (record: ControlRecord): string => {
  switch (record.kind) {
    case 'tenant':
      return record.id;
    case 'upstream':
    case 'route':
    case 'period':
      return 'house';
    default:
      return record.body.tenant;
  }
};

const toEntry = (record: ControlRecord, time: string): LogEntry => ({
  topic: TOPICS.controlRecords.name,
  key: `${record.kind}/${record.id}`,
  value: encodeEnvelope(
    'controlRecord',
    {
      id: `${record.kind}/${record.id}/${newId()}`,
      source: '/console',
      subject: tenantOf(record),
      time,
    },
    record,
  ),
});

/** Appends control records; resolves when they are durable and in force in this process. */
export const appendRecords = async (
  records: readonly ControlRecord[],
  writer: RecordWriter,
): Promise<void> => {
  if (records.length === 0) return;
  const time = toInstant(writer.clock.nowMs());
  const appended = writer.backOffice.append(records.map((record) => toEntry(record, time)));
  await appended.stored;
  await appended.durable;
  await untilInForce(records, writer.control);
};
