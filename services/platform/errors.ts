/** Every code an operator can meet. A code is a name for one situation and one next action. */
export type ErrorCode =
  | 'CONFIG_INVALID'
  | 'CONFIG_UNREADABLE'
  | 'DATA_DIR_UNUSABLE'
  | 'LOG_LOCKED'
  | 'LOG_READ_ONLY'
  | 'LOG_FULL'
  | 'LOG_APPEND_FAILED'
  | 'LOG_BROKEN'
  | 'LOG_TRIMMED'
  | 'LOG_GAP'
  | 'LOG_CLOSED'
  | 'LOG_UNREACHABLE'
  | 'WAREHOUSE_LOCKED'
  | 'WAREHOUSE_FAILED'
  | 'MIGRATION_CHANGED'
  | 'MIGRATION_NEWER'
  | 'STATEMENT_UNREADABLE'
  | 'PUSH_FAILED'
  | 'PRICE_BOOK_INVALID'
  | 'PORT_IN_USE'
  | 'NOT_AUTHORISED'
  | 'NOT_FOUND'
  | 'REQUEST_INVALID';

/**
 * An expected failure. The message is one full sentence or two: what was found, what was expected, what to do.
 * Never carries customer content or a secret.
 */
export class ReckonerError extends Error {
  readonly code: ErrorCode;
  /** Whether the same act may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; retryable?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ReckonerError';
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

export const hasCode = (error: unknown, code: ErrorCode): boolean =>
  error instanceof ReckonerError && error.code === code;
