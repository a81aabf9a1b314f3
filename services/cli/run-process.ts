import { ReckonerError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { RunningService } from '../platform/running-service.ts';

/** Exit codes of every command: 0 ok, 1 error, 2 usage or configuration, 3 differences found, 4 blocked. */
export const EXIT = { ok: 0, error: 1, usage: 2, differences: 3, blocked: 4 } as const;

/** Errors that a restart cannot heal: a supervisor that sees this exit code stops instead of trying again. */
const NEEDS_A_PERSON = new Set([
  'CONFIG_INVALID',
  'CONFIG_UNREADABLE',
  'DATA_DIR_UNUSABLE',
  'LOG_LOCKED',
  'WAREHOUSE_LOCKED',
  'MIGRATION_CHANGED',
  'MIGRATION_NEWER',
  'PORT_IN_USE',
  'PRICE_BOOK_INVALID',
]);

export const exitCodeOf = (error: unknown): number =>
  error instanceof ReckonerError && NEEDS_A_PERSON.has(error.code) ? EXIT.usage : EXIT.error;

/** What a person reads of an error: the sentence, and the stack only where it is a bug of ours. */
export const describeError = (error: unknown): string => {
  if (error instanceof ReckonerError) return error.message;
  if (error instanceof Error) return error.stack ?? error.message;
  return String(error);
};

export interface ProcessParts {
  /** In the order started; closed in reverse. */
  services: readonly RunningService[];
  /** Closed last, in order: logs, warehouse. */
  resources: readonly { close(): Promise<void> }[];
  logger: Logger;
}

/**
 * Runs until a signal comes or a service cannot go on. Close has a deadline, so that a stuck part cannot hold the
 * process: what it had not committed is replayed at the next start.
 * @returns the exit code.
 */
export const runUntilStopped = async (
  parts: ProcessParts,
  closeTimeoutMs: number,
): Promise<number> => {
  const signalled = new Promise<number>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => resolve(EXIT.ok));
    }
    process.once('disconnect', () => resolve(EXIT.ok));
    // The supervisor may have died while this process was starting; the event is over then.
    if (process.connected === false) resolve(EXIT.ok);
  });
  const failed = Promise.race(
    parts.services.map((service) =>
      service.ended.then(
        () => new Promise<never>(() => {}),
        (error: unknown) => {
          parts.logger.fatal({ failed: service.name, err: describeError(error) }, 'stopping');
          return exitCodeOf(error);
        },
      ),
    ),
  );
  const code = await Promise.race([signalled, failed]);
  const closing = (async () => {
    for (const service of parts.services.toReversed()) await service.close();
    for (const resource of parts.resources) await resource.close();
  })();
  const deadline = new Promise<'late'>((resolve) => {
    setTimeout(() => resolve('late'), closeTimeoutMs).unref();
  });
  const closed = await Promise.race([
    closing.then(
      () => 'closed' as const,
      (error: unknown) => {
        parts.logger.error({ err: describeError(error) }, 'closing failed');
        return 'failed' as const;
      },
    ),
    deadline,
  ]);
  if (closed === 'late') parts.logger.error({ closeTimeoutMs }, 'closing took too long');
  return closed === 'closed' ? code : Math.max(code, EXIT.error);
};

/** Tells the supervisor, if there is one, that this process answers. */
export const announceReady = (message: { name: string; url: string }): void => {
  // A supervisor that has just died is noticed by `runUntilStopped`; without a listener here it would end the process at once.
  process.send?.({ ready: message }, () => undefined);
};
