import type { Logger } from './logger.ts';

/** What kafkajs hands to its log creator, as far as we read it. */
export interface KafkaLogEntry {
  namespace: string;
  log: { message: string; [field: string]: unknown };
}

const SAFE_FIELDS = ['broker', 'groupId', 'topic', 'partition', 'retryCount', 'error'] as const;

/** The same line again within this time is left out: an outage is told once, not once a retry. */
const REPEAT_MS = 10_000;
const MAX_REMEMBERED = 200;

/**
 * Passes kafkajs' lines on. It calls everything it will retry an error, so here all are warnings: what cannot be retried
 * reaches the owner as a rejection. Fields are chosen one by one; none holds a key or a value.
 */
export const createKafkaLogSink = (logger: Logger): ((entry: KafkaLogEntry) => void) => {
  const saidMs = new Map<string, number>();
  return (entry) => {
    const line = `${entry.namespace} ${entry.log.message}`;
    const nowMs = performance.now();
    if (nowMs - (saidMs.get(line) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    if (saidMs.size >= MAX_REMEMBERED) saidMs.clear();
    saidMs.set(line, nowMs);
    const fields: Record<string, unknown> = { part: `kafkajs ${entry.namespace}`.trim() };
    for (const name of SAFE_FIELDS) {
      const value = entry.log[name];
      if (typeof value === 'string' || typeof value === 'number') fields[name] = value;
    }
    // An error code in an answer: retried, or the rejection of the call that asked.
    if (entry.log.message.startsWith('Response ')) logger.debug(fields, entry.log.message);
    else logger.warn(fields, entry.log.message);
  };
};

let silenced = false;

/**
 * Drops the one warning kafkajs 2.2.4 causes on Node 24: its request queue asks for a timer of minus the present time (its
 * issue 1751), which Node runs after 1 ms as it always did. Any other warning, and the same one from other code, passes.
 */
export const silenceKafkaTimerWarning = (): void => {
  if (silenced) return;
  silenced = true;
  const emitWarning = process.emitWarning;
  const filtered = (...args: unknown[]): void => {
    const ours =
      args[1] === 'TimeoutNegativeWarning' && new Error('where').stack?.includes('/kafkajs/');
    if (!ours) Reflect.apply(emitWarning, process, args);
  };
  process.emitWarning = filtered;
};
