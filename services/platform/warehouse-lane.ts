import { ReckonerError } from './errors.ts';

/** Codes whose message speaks of the statement and the schema, never of a row. */
const SPEAKS_OF_SQL = new Set([
  '16',
  '36',
  '42',
  '43',
  '46',
  '47',
  '60',
  '62',
  '81',
  '115',
  '158',
  '164',
  '207',
  '215',
  '396',
  '497',
]);
/** Timeout, too many queries, network, memory, no space. */
const MAY_PASS = new Set(['159', '202', '209', '210', '241', '243']);

/**
 * What an operator may read of an engine's error: its code and name, and its words only where they cannot hold a row's value.
 * `retryable` where the same may succeed later; without an answer the outcome is unknown and the same may be sent again.
 */
export const asWarehouseError = (error: unknown, doing: string): ReckonerError => {
  if (error instanceof ReckonerError) return error;
  // By shape, not by class: chDB brings its own copy of the client's error class.
  const { code, type, message } = error as { code?: unknown; type?: string; message: string };
  if (typeof code === 'string' && /^\d+$/.test(code)) {
    const said = SPEAKS_OF_SQL.has(code) ? `: ${message.slice(0, 300)}` : '';
    return new ReckonerError(
      'WAREHOUSE_FAILED',
      `The warehouse refused to ${doing} with ClickHouse code ${code} (${type ?? 'unknown'})${said}`,
      { retryable: MAY_PASS.has(code) },
    );
  }
  const name = typeof code === 'string' ? code : (error as Error).name;
  return new ReckonerError(
    'WAREHOUSE_FAILED',
    `The warehouse did not answer when asked to ${doing} (${name}). What was sent may or may not have been done; the same may be sent again.`,
    { retryable: true },
  );
};

/** One statement at a time; what would make more than `maxWaiting` is refused as retryable. */
export const createLane = (maxWaiting: number): (<T>(work: () => Promise<T>) => Promise<T>) => {
  let tail: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return (work) => {
    if (waiting >= maxWaiting) {
      return Promise.reject(
        new ReckonerError(
          'WAREHOUSE_FAILED',
          `${waiting} statements already wait for the warehouse; this one was not taken. Send it again later.`,
          { retryable: true },
        ),
      );
    }
    waiting += 1;
    const run = tail.then(work);
    tail = run
      .catch(() => undefined)
      .finally(() => {
        waiting -= 1;
      });
    return run;
  };
};
