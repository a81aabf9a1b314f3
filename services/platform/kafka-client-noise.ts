import type { Logger } from './logger.ts';

/** What kafkajs hands to its log creator, as far as we read it. */
export interface KafkaLogEntry {
  namespace: string;
  log: { message: string; [field: string]: unknown };
}

const SAFE_FIELDS = ['broker', 'groupId', 'topic', 'partition', 'retryCount', 'error'] as const;

/**
 * Passes one line of kafkajs on. It calls everything it will retry an error, so here it is a warning: what cannot be retried
 * reaches the owner as a rejection. Fields are chosen one by one; none holds a key or a value.
 */
export const logKafkaEntry = (logger: Logger, entry: KafkaLogEntry): void => {
  const fields: Record<string, unknown> = { part: `kafkajs ${entry.namespace}`.trim() };
  for (const name of SAFE_FIELDS) {
    const value = entry.log[name];
    if (typeof value === 'string' || typeof value === 'number') fields[name] = value;
  }
  logger.warn(fields, entry.log.message);
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
