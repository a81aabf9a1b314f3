import pino from 'pino';

export type Logger = pino.Logger;

/**
 * JSON lines on stderr, so that stdout stays for data. What is logged is chosen field by field by the caller: bodies, headers,
 * prompts and secrets are never handed to a logger.
 */
export const createLogger = (service: string, level: string): Logger =>
  pino(
    { level, base: { service }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
